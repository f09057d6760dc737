"""Training a detector: parameters of the platform become settings of the core, which trains in another process."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from mmyolo.utils.files import replacing
from pie.child import usable_gpus
from pie.dataset import DetectionData
from pie.description import describe
from pie.labels import Label
from pie.outputs import Outputs
from pie.parameters import STRIDE, Parameters
from pie.texts import PieError, say, warn
from tmi.devices import cpu_processes, find_device, select_devices
from tmi.families import family_of
from tmi.processes import task_started
from tmi.recipe import FEW_STEPS_OPTIMIZER
from tmi.settings import TrainingSettings
from tmi.training.config import PlatformHooks, TrainingTask, config_text, modify_mmengine_config
from tmi.training.image_cache import shared_image_cache
from tmi.training.initial_weights import prepare_initial_weights, read_structure
from tmi.training.supervise import Supervisor
from tmi.zoo.models import ZooModel
from tmi.zoo.weights import InitialWeights, choose_training_weights

RUN_CONFIG = 'run_config.py'
STATE_FILE = 'state.pth'  # from which a training goes on whose loss was no number or whose memory was too small
# Users of the platform know rates of Adam (its example has 0.0003), at which SGD would hardly move.
LARGEST_ADAM_RATE = 0.005


def train_detector(
    parameters: Parameters,
    labels: Sequence[Label],
    model: ZooModel,
    data: DetectionData,
    outputs: Outputs,
    run_dir: Path,
    weights: Path | None,
) -> None:
    """Train to the end.

    Args:
        parameters: Of the training.
        labels: Its classes without background.
        model: The detector.
        data: Its data.
        outputs: Where the results go.
        run_dir: Where files of this run go that nobody needs afterwards.
        weights: Weights to start from.

    Raises:
        TaskError: It failed.
    """
    task = make_task(parameters, labels, model, data, outputs, run_dir, weights is not None)
    if weights is None:
        start = choose_training_weights([], model.stem)
    else:
        start = InitialWeights(weights, 'package', str(weights))
    config = Config.fromfile(model.config)
    task = replace(task, structure=read_structure(start.checkpoint, config, {}))
    training = modify_mmengine_config(config, task)
    run = training.run
    run.val_evaluator = {'type': 'PieBoxMetric', 'ann_file': str(data.training.val_file)}
    run.test_evaluator = dict(run.val_evaluator)
    if start.checkpoint:
        run.load_from = str(prepare_initial_weights(start, run, parameters.model_name, run_dir / 'initial.pth'))
    say(
        'recipe',
        model=model.stem,
        size='{}x{}'.format(*training.img_size),
        device=f'{task.num_processes} x {task.device}',
        epochs=training.recipe.epochs,
        steps=training.recipe.iters_per_epoch,
        batch=training.recipe.total_batch,
        optimizer=training.recipe.optimizer,
        rate=f'{training.recipe.lr:g}',
    )
    config_file = outputs.folder / 'files' / task.package_config_file
    with replacing(config_file) as temporary:
        temporary.write_text(config_text(training.package, config_file), encoding='utf-8')
    run_config = run_dir / RUN_CONFIG
    with shared_image_cache(run, task, [run_dir]):
        run_config.write_text(config_text(run, run_config), encoding='utf-8')
        script = Path(__file__).with_name('train_process.py')
        # Whoever stops this process has it raise, which ends the training.
        Supervisor(run, run_config, task, script, state_file=run_dir / STATE_FILE, handles_signals=False).train()


def make_task(
    parameters: Parameters,
    labels: Sequence[Label],
    model: ZooModel,
    data: DetectionData,
    outputs: Outputs,
    run_dir: Path,
    pretrained: bool,
) -> TrainingTask:
    """Return the training as the core knows it; arguments are those of `train_detector`.

    Raises:
        PieError: Fewer images a step than GPUs.
    """
    gpus = usable_gpus(parameters.gpu_num)
    processes = gpus or cpu_processes(1)
    if parameters.batch_size < processes:
        raise PieError('batch_too_small', batch=parameters.batch_size, gpus=processes)
    if parameters.batch_size % processes:
        used = parameters.batch_size // processes * processes
        warn('batch_rounded', batch=parameters.batch_size, gpus=processes, used=used)
    select_devices(range(gpus))
    base = Config.fromfile(model.config)
    stride = max(STRIDE, family_of(base.model).input_multiple(base.model))
    settings = TrainingSettings(
        class_names=[one.name for one in labels],
        model_name=model.stem,
        gpu_id=','.join(map(str, range(gpus))),
        img_size=parameters.input_size(stride),
        samples_per_gpu=parameters.batch_size // processes,
        max_epochs=parameters.epochs,
        learning_rate=parameters.learning_rate,
        val_interval=1,  # each epoch has its results
        check_labels=False,
    )
    adam = 0 < parameters.learning_rate <= LARGEST_ADAM_RATE
    return TrainingTask(
        params=settings,
        model=model,
        data=data.training,
        num_processes=processes,
        device=find_device(gpus),
        models_dir=run_dir / 'work',
        tensorboard_dir=run_dir / 'curves',
        pretrained=pretrained,
        optimizer=FEW_STEPS_OPTIMIZER if adam else None,
        hooks=PlatformHooks(
            imports=('pie.box_metric', 'pie.epoch_hook'),
            checkpoint={
                'type': 'PieEpochHook',
                'output_dir': str(outputs.folder),
                'stem': outputs.stem,
                'colors': [list(one.color) for one in labels],
                'sample_file': str(data.sample_file),
                'description': describe(model.stem, 'detection', labels, settings.img_size, data.training.image_sizes),
                'auto_termination': bool(parameters.auto_termination),
            },
            others=({'type': 'StateHook', 'path': str(run_dir / STATE_FILE)},),
        ),
        started=task_started(),
    )
