"""The training task: data, config and weights are made ready, then tools/dist_train.sh trains.

tools/train.py knows nothing of the platform; the hooks that the config names write progress, checkpoints and result.yaml.
With the environment variable YMIR_CPU_PROCESSES=N a task without GPU trains in N processes over gloo.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# `python ymir/ymir_training.py` puts ymir/ on the import path, where its modules would be found under second names.
ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'ymir')]

from ymir.errors import (
    ERROR_FILE_VARIABLE,
    TaskError,
    as_task_error,
    forget_record,
    read_record,
    report_uncaught,
    run_task,
)

if __name__ == '__main__':
    report_uncaught('training')  # also what goes wrong in the imports that follow

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import torch
from mmengine.config import Config

from mmyolo.utils.literal_config import dump_literal_config
from ymir.checkpoint_hook import remove_temporary_files, unused_name
from ymir.options import UserOptions, check_options, read_options
from ymir.params import TrainingParams, load_params
from ymir.pretrained import prepare_initial_weights
from ymir.progress import write_progress
from ymir.runtime_env import PROJECT_ROOT, configure_logging, cpu_processes, prepare_environment, select_devices
from ymir.training_config import TrainingConfig, TrainingTask, available_cpus, modify_mmengine_config
from ymir.training_data import prepare_training_data, print_table
from ymir.weights import choose_training_weights
from ymir.zoo import find_model
from ymir_exc.atomic import write_text_atomically
from ymir_exc.child_process import run_and_forward_signals
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.env import EnvConfig, get_current_env
from ymir_exc.monitor import read_monitor
from ymir_exc.progress import YmirStage
from ymir_exc.util import get_merged_config

logger = logging.getLogger('ymir')

RUN_CONFIG = 'run_config.py'
BEGUN = 0.01  # of the progress, as monitor.txt has it


def main() -> None:
    """Train as config.yaml and env.yaml of the task say."""
    env = get_current_env()
    config = get_merged_config()
    configure_logging()
    params = load_params(TrainingParams, config.param)
    configure_logging(params.log_level)
    write_progress(YmirStage.PREPROCESS, 0.0)
    model = find_model(params.model_name)
    user_options = read_options(params)
    check_options(user_options, Path(env.output.root_dir), Path(env.output.models_dir))
    options = user_options.config
    select_devices(params.gpu_ids)
    task_dir = Path(env.output.root_dir) / 'ymir_training'
    data = prepare_training_data(
        params.class_names, task_dir, lambda share: write_progress(YmirStage.PREPROCESS, share / 2)
    )
    task = TrainingTask(
        params=params,
        model=model,
        data=data,
        num_processes=max(len(params.gpu_ids), 1) if params.gpu_ids else cpu_processes(1),
        device=find_device(len(params.gpu_ids)),
        models_dir=Path(env.output.models_dir),
        tensorboard_dir=Path(env.output.tensorboard_dir),
    )
    resuming, arguments = find_resumption(user_options.arguments, options, task.models_dir)
    with blame_options(user_options):
        task.models_dir.mkdir(parents=True, exist_ok=True)
        remove_temporary_files(task.models_dir)
        training = modify_mmengine_config(Config.fromfile(model.config), task)
        training.run.resume = bool(options.get('resume')) and resuming
        if not resuming and 'load_from' not in options:
            training.run.load_from = initial_weights(task, training, env, task_dir)
        show_recipe(task, training)
        package_text = dump_literal_config(training.package, task.models_dir / task.package_config_file)
        config_file = unused_name(task.models_dir, task.package_config_file, package_text)
        write_text_atomically(task.models_dir / config_file, package_text)
        training.run.default_hooks.checkpoint.config_file = config_file
        run_config = task_dir / RUN_CONFIG
        write_text_atomically(run_config, dump_literal_config(training.run, run_config))
        write_progress(YmirStage.PREPROCESS, 1.0)
        result_file = Path(env.output.training_result_file)
        earlier = file_version(result_file)
        train(run_config, task, arguments)
    if not result_file.is_file() or not resuming and file_version(result_file) == earlier:
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_CONFIG_ERROR if user_options.text else ExecutorReturnCode.RC_CMD_CONTAINER_ERROR,
            f'The training ended without writing {result_file}: no epoch was validated. Check args_options and '
            'cfg_options.',
        )
    write_progress(YmirStage.POSTPROCESS, 1.0)


@contextmanager
def blame_options(options: UserOptions) -> Iterator[None]:
    """Name the options of the user in a failure that nothing else explains and that comes early, as those of settings do.

    Args:
        options: Of the task.

    Raises:
        TaskError: 300001 for such a failure; any other goes through.
    """
    try:
        yield
    except Exception as error:
        record = read_record(os.environ.get(ERROR_FILE_VARIABLE, ''))
        mapped = TaskError(ExecutorReturnCode(record.code), record.sentence) if record else as_task_error(error)
        is_unknown = mapped.code == ExecutorReturnCode.RC_CMD_CONTAINER_ERROR
        if not (options.text and is_unknown and read_monitor().percent < BEGUN):
            raise
        forget_record()
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
            f'{mapped.sentence.rstrip(".")}. The training failed at its beginning, so this comes from the options in config.yaml; '
            f'correct or remove the one. {options.text}',
        ) from error


def find_resumption(arguments: Sequence[str], options: Mapping[str, Any], models_dir: Path) -> tuple[bool, list[str]]:
    """Whether an earlier training in the same folder goes on.

    Args:
        arguments: Of tools/train.py; `--resume` may name a checkpoint.
        options: `cfg_options`, where `resume=True` means the same.
        models_dir: Where an earlier training left its state.

    Returns:
        Whether to resume, and the arguments without a `--resume` for which there is nothing to go on from.
    """
    asked = [word for word in arguments if word == '--resume' or word.startswith('--resume=')]
    named = [
        word
        for index, word in enumerate(arguments)
        if '=' in word and word in asked or index and arguments[index - 1] == '--resume' and word[0] != '-'
    ]
    if not asked and not options.get('resume'):
        return False, list(arguments)
    if named or options.get('load_from') or (models_dir / 'last_checkpoint').is_file():
        return True, list(arguments)
    logger.warning('There is no earlier training in %s to resume: a new one starts.', models_dir)
    return False, [word for word in arguments if word not in asked]


def find_device(num_gpus: int) -> str:
    """The kind of device that the task trains on.

    Args:
        num_gpus: GPUs that the platform gave; 0 means CPU.

    Returns:
        'cuda' or 'cpu'.

    Raises:
        TaskError: 300102 if torch sees fewer GPUs.
    """
    if not num_gpus:
        return 'cpu'
    visible = torch.cuda.device_count()
    if visible < num_gpus:
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_NO_GPU,
            f'The task was given {num_gpus} GPUs, torch {torch.__version__} sees {visible}: check that the container was '
            'started with --gpus and that the driver fits the CUDA version of this image, or set gpu_count to 0.',
        )
    return 'cuda'


def initial_weights(task: TrainingTask, training: TrainingConfig, env: EnvConfig, task_dir: Path) -> str | None:
    """Choose and fit what the training starts from.

    Args:
        task: The task.
        training: Its config.
        env: Paths of the platform.
        task_dir: Where the fitted weights are written.

    Returns:
        Path of the fitted weights, None for random ones.
    """
    params = task.params
    chosen = choose_training_weights(
        params.pretrained_model_params, task.model.stem, params.pretrained == 'auto', env.input.models_dir
    )
    if chosen.checkpoint is None:
        return None
    target = task_dir / 'initial_weights.pth'
    return str(prepare_initial_weights(chosen, training.run, task.model.name, target))


def file_version(path: Path) -> tuple[int, int] | None:
    """What differs after a file has been replaced; None if there is none."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None


def show_recipe(task: TrainingTask, training: TrainingConfig) -> None:
    """Print what will be done."""
    loader = training.run.train_dataloader
    devices = f'{task.num_processes} x {task.device}' if task.num_processes > 1 else task.device
    print_table(
        'Recipe',
        [
            ('model', f'{task.model.name} ({task.model.stem})'),
            ('input', '{}x{}'.format(*training.img_size)),
            ('device', f'{devices}, {training.precision}, {loader.num_workers} loader workers each'),
            *training.recipe.rows(),
        ],
    )


def train(run_config: Path, task: TrainingTask, arguments: Sequence[str]) -> None:
    """Run tools/dist_train.sh to its end.

    Args:
        run_config: The complete config.
        task: The task.
        arguments: Further arguments of tools/train.py.

    Raises:
        subprocess.CalledProcessError: It failed; why, the process that failed has recorded.
    """
    processes = task.num_processes
    os.environ.update(
        PYTHON=sys.executable, TRAIN_SCRIPT=str(PROJECT_ROOT / 'ymir' / 'train_process.py'), TORCHRUN='ymir.torchrun'
    )
    if processes > 1:  # torchrun and mmengine set both to 1, and warn that they do
        threads = max(available_cpus() // processes, 1) if task.device == 'cpu' else 1
        threads = os.environ.setdefault('OMP_NUM_THREADS', str(threads))
        os.environ.setdefault('MKL_NUM_THREADS', threads)
    if task.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
        processes = processes if processes > 1 else 0
    run_and_forward_signals(
        [
            'bash',
            str(PROJECT_ROOT / 'tools' / 'dist_train.sh'),
            str(run_config),
            str(processes),
            '--work-dir',
            str(task.models_dir),
            *arguments,
        ]
    )


if __name__ == '__main__':
    prepare_environment()
    run_task('training', main)
