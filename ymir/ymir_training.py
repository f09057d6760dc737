"""The training task: data, config and weights are made ready, then tools/dist_train.sh trains.

tools/train.py knows nothing of the platform; the hooks that the config names write progress, checkpoints and
result.yaml. With the environment variable YMIR_CPU_PROCESSES=N a task without GPU trains in N processes over gloo.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

# `python ymir/ymir_training.py` puts ymir/ on the import path, where its modules would be found under second names.
ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'ymir')]

from tmi.errors import SettingError, UnknownError, cause_name
from tmi.processes import ERROR_FILE_VARIABLE, end_with_parent, forget_record, read_record, task_started
from ymir.errors import as_task_error, report_uncaught, run_task

if __name__ == '__main__':
    end_with_parent()
    report_uncaught('training')  # also what goes wrong in the imports that follow

from mmengine.config import Config

from tmi.devices import cpu_processes, find_device, select_devices
from tmi.paths import PROJECT_ROOT
from tmi.training.config import PlatformHooks, TrainingConfig, TrainingTask, config_text, modify_mmengine_config
from tmi.training.image_cache import shared_image_cache
from tmi.training.initial_weights import holds_detector, prepare_initial_weights, read_structure
from tmi.training.launch import Kept, find_resumption, first_checkpoint, is_resume, read_kept
from tmi.training.needs import check_needs
from tmi.training.nodes import NodeLink, Nodes
from tmi.training.options import UserOptions, check_options, read_options
from tmi.training.supervise import Supervisor
from tmi.training.task_file import write_task
from tmi.training.training_state import SECONDS_USED
from tmi.zoo.models import find_model
from tmi.zoo.weights import choose_training_weights
from ymir.checkpoint_hook import RESUME_FILE
from ymir.data import prepare_training_data
from ymir.environment import configure_logging, prepare_environment
from ymir.evaluation_files import write_evaluation
from ymir.examination import examine_labelled_images
from ymir.log_tables import print_table
from ymir.params import TrainingParams, load_params
from ymir.progress import check_progress, write_progress
from ymir.restart import ALL, TRAINED, Restart, find_restart, set_aside, state_file, task_of, write_done
from ymir.stage_files import unused_name
from ymir.training_summary import write_plan
from ymir_exc.atomic import remove_temporary_files, write_text_atomically
from ymir_exc.env import get_current_env
from ymir_exc.errors import NoGpuError
from ymir_exc.monitor import read_monitor
from ymir_exc.progress import YmirStage
from ymir_exc.sysinfo import get_gpu_memory
from ymir_exc.util import get_merged_config

logger = logging.getLogger('ymir')

RUN_CONFIG = 'run_config.py'
TASK_FILE = 'task.json'
BEGUN = 0.01  # of the progress, as monitor.txt has it
HOOKS = PlatformHooks(
    imports=('ymir.progress_hook', 'ymir.checkpoint_hook', 'ymir.skipped_images_hook'),
    checkpoint={'type': 'YmirCheckpointHook'},
    others=({'type': 'YmirProgressHook'}, {'type': 'YmirSkippedImagesHook'}),
)


def main() -> None:
    """Train as config.yaml and env.yaml of the task say, with other nodes if there are any."""
    nodes = Nodes.of()
    if nodes.count == 1:
        run()
        return
    with NodeLink(nodes) as link:
        # Of what is no Exception, such as an exit: the others must not take it for success.
        ended = {'cause': UnknownError.__name__, 'sentence': 'its process was ended.'}
        try:
            run(link)
            ended = {'cause': '', 'sentence': ''}
        except Exception as error:
            record = read_record(os.environ.get(ERROR_FILE_VARIABLE, ''))
            known = record.to_error() if record else as_task_error(error)
            ended = {'cause': cause_name(known), 'sentence': known.sentence}
            raise
        finally:
            link.say(ended=ended)


def run(link: NodeLink | None = None) -> None:
    """Train.

    Args:
        link: To the other nodes; None if this is the only one.
    """
    env = get_current_env()
    config = get_merged_config()
    configure_logging()
    params = load_params(TrainingParams, config.param)
    configure_logging(params.log_level)
    write_progress(YmirStage.PREPROCESS, 0.0)
    model = find_model(params.model_name, params.masks)
    user_options = read_options(params)
    check_options(user_options, Path(env.output.root_dir), Path(env.output.models_dir))
    options = user_options.config
    select_devices(params.gpu_ids)
    task_dir = Path(env.output.root_dir) / 'ymir_training'
    with check_progress() as progress:
        data, splits = prepare_training_data(params.class_names, task_dir, progress, params.masks)
    models_dir = Path(env.output.models_dir)
    initial = [options.get('load_from') or '', *params.pretrained_model_params]
    identity = task_of(params, env, data, [os.path.join(env.input.models_dir, path) for path in initial if path])
    restart = find_restart(env, identity, task_dir, options.get('resume') is not False)
    resuming, arguments, kept = True, [word for word in user_options.arguments if not is_resume(word)], Kept()
    if restart.state:
        kept = Kept.of(restart.state.content)
    else:
        resuming, arguments = find_resumption(user_options.arguments, options, models_dir)
        kept = read_kept(arguments, options, models_dir) if resuming else kept
    with blame_options(user_options):
        weights = None
        load_from = options.get('load_from')
        if not resuming and (load_from or 'load_from' not in options):
            weights = choose_training_weights(
                params.pretrained_model_params, model.stem, params.pretrained == 'auto', env.input.models_dir, load_from
            )
        config = Config.fromfile(model.config)
        first = weights.checkpoint if weights else first_checkpoint(arguments, options, models_dir)
        first = restart.state.path if restart.state else first
        pretrained = bool(load_from or params.pretrained_model_params)
        if weights:
            pretrained = holds_detector(weights, config)
        elif kept.pretrained is not None:
            pretrained = kept.pretrained
        structure = read_structure(first, config, options)
    nodes = link.nodes.count if link else 1
    task = TrainingTask(
        params=params,
        model=model,
        data=data,
        num_processes=nodes * (len(params.gpu_ids) or cpu_processes(1)),
        nodes=nodes,
        device=find_device(len(params.gpu_ids)),
        models_dir=models_dir,
        tensorboard_dir=Path(env.output.tensorboard_dir),
        pretrained=pretrained,
        optimizer=kept.optimizer,
        samples_per_gpu=kept.samples_per_gpu,
        structure=structure,
        hooks=replace(HOOKS, checkpoint={**HOOKS.checkpoint, 'meta': {**restart.meta(), 'pretrained': pretrained}}),
        file=task_dir / TASK_FILE,
        started=task_started() - seconds_used(restart),
    )
    with blame_options(user_options):
        task.models_dir.mkdir(parents=True, exist_ok=True)
        remove_temporary_files(task.models_dir)
        if task.deadline:
            write_task(task.file, task)
        training = modify_mmengine_config(config, task)
        training.run.resume = bool(options.get('resume')) and resuming
        if restart.state:
            training.run.resume = True
            training.run.load_from = str(state_file(restart.state, task_dir, restart.is_trained))
            training.run.train_cfg.micro_batches = micro_batches(restart, training)
        elif weights and weights.checkpoint:
            target = task_dir / 'initial_weights.pth'
            training.run.load_from = str(prepare_initial_weights(weights, training.run, model.name, target))
        check_needs(training, task, free_gpu_memory)
        recipe = recipe_rows(task, training)
        print_table('Recipe', recipe)
        write_plan(Path(env.output.root_dir), task, training, recipe, splits, resuming)
        package_text = config_text(training.package, task.models_dir / task.package_config_file)
        config_file = unused_name(task.models_dir, task.package_config_file, package_text)
        write_text_atomically(task.models_dir / config_file, package_text)
        training.run.default_hooks.checkpoint.config_file = config_file
        run_config = task_dir / RUN_CONFIG
        result_file = Path(env.output.training_result_file)
        earlier = file_version(result_file)
        if not resuming:
            set_aside(restart, models_dir)
        is_complete = has_no_epoch_left(kept, task, training.run.train_cfg.max_epochs, result_file)
        if not (restart.is_trained or is_complete):
            with shared_image_cache(training.run, task, [task_dir]):
                write_text_atomically(run_config, config_text(training.run, run_config))
                write_progress(YmirStage.PREPROCESS, 1.0)
                train(training.run, run_config, task, arguments, link)
    if not result_file.is_file() or not resuming and file_version(result_file) == earlier:
        cause = SettingError if user_options.text else UnknownError
        raise cause(
            f'The training ended without writing {result_file}: no epoch was validated. Check args_options and '
            'cfg_options.'
        )
    write_done(task_dir, restart.training, TRAINED)
    write_evaluation(task, training.run, run_config)
    examine_labelled_images(task)
    write_done(task_dir, restart.training, ALL)
    if task.deadline:
        minutes = (time.monotonic() - task.started) / 60
        logger.info('The task took %.2f of %g minutes', minutes, params.max_minutes)
    write_progress(YmirStage.POSTPROCESS, 1.0)


@contextmanager
def blame_options(options: UserOptions) -> Iterator[None]:
    """Name the options of the user in a failure that nothing else explains and that comes early, as those of settings
    do.

    Args:
        options: Of the task.

    Raises:
        TaskError: 300001 for such a failure; any other goes through.
    """
    try:
        yield
    except Exception as error:
        record = read_record(os.environ.get(ERROR_FILE_VARIABLE, ''))
        mapped = record.to_error() if record else as_task_error(error)
        if not (options.text and isinstance(mapped, UnknownError) and read_monitor().percent < BEGUN):
            raise
        forget_record()
        raise SettingError(
            f'{mapped.sentence.rstrip(".")}. The training failed at its beginning, so this comes from the options in '
            f'config.yaml; correct or remove the one. {options.text}'
        ) from error


def free_gpu_memory(number: int) -> int | None:
    """Return the bytes that are free on a GPU of the task; None if the driver does not say."""
    try:
        return int(get_gpu_memory(number)[1] * 1024**3)
    except NoGpuError:
        return None


def file_version(path: Path) -> tuple[int, int] | None:
    """Return what differs after a file has been replaced; None if there is none."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None


def has_no_epoch_left(kept: Kept, task: TrainingTask, max_epochs: int, result_file: Path) -> bool:
    """Return whether a training that goes on has done as many epochs as are asked for, and say so.

    Args:
        kept: Of the earlier training.
        task: The task.
        max_epochs: Asked for.
        result_file: Of the earlier training.

    Raises:
        TaskError: SettingError if there is no model of these epochs.
    """
    if not 0 < max_epochs <= kept.epochs or task.most_epochs is None:  # a time budget chooses the number itself
        return False
    done = f'max_epochs is {max_epochs}, and the training in {task.models_dir} has done {kept.epochs} epochs already'
    more = (
        f'set max_epochs to {kept.epochs + 1} or more to go on with it, or start a new one with an empty output folder'
    )
    if not result_file.is_file():
        raise SettingError(f'{done}, none of which was validated: {more}.')
    logger.warning('%s: no epoch is left to train. To train more, %s.', done, more)
    return True


def recipe_rows(task: TrainingTask, training: TrainingConfig) -> list[tuple[str, str]]:
    """Return name and value of what will be done."""
    loader = training.run.train_dataloader
    devices = f'{task.num_processes} x {task.device}' if task.num_processes > 1 else task.device
    recipe = training.recipe.rows()
    if task.params.max_minutes:  # the numbers are those of the plan that it begins with
        recipe.append(('time budget', f'{task.params.max_minutes:g} minutes; what is measured gives the final numbers'))
    return [
        ('model', f'{task.model.name} ({task.model.stem})'),
        ('input', '{}x{}'.format(*training.img_size)),
        ('device', f'{devices}, {training.precision}, {loader.num_workers} loader workers each'),
        *recipe,
    ]


def seconds_used(restart: Restart) -> float:
    """Return what of a time budget a training has used that goes on."""
    return restart.state.content['meta'].get(SECONDS_USED, 0.0) if restart.state else 0.0


def micro_batches(restart: Restart, training: TrainingConfig) -> int:
    """Return in how many parts a training that goes on had to take the images of a step."""
    return min(restart.state.content['meta'].get('micro_batches', 1), training.run.train_dataloader.batch_size)


def train(
    run: Config, run_config: Path, task: TrainingTask, arguments: Sequence[str], link: NodeLink | None = None
) -> None:
    """Run tools/dist_train.sh to its end.

    Args:
        run: The complete config.
        run_config: Where it is written.
        task: The task.
        arguments: Further arguments of tools/train.py.
        link: To the other nodes.

    Raises:
        TaskError: It failed or was stopped.
        subprocess.CalledProcessError: It failed, and left no reason.
    """
    script = PROJECT_ROOT / 'ymir' / 'train_process.py'
    state = task.models_dir / RESUME_FILE
    Supervisor(run, run_config, task, script, arguments, state, link=link).train()


if __name__ == '__main__':
    prepare_environment()
    run_task('training', main)
