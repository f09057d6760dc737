"""The complete mmengine config of a training: the model's config, changed by the user's parameters and data.

Every change is made at a named place; nothing is set wherever a key of that name stands. Two configs come out: the one
that tools/train.py runs, with a platform's paths and hooks, and the one that goes into the model package, which names
nothing of a platform and loads anywhere, in public mmyolo too.
"""

import copy
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmyolo.utils.literal_config import dump_literal_config
from tmi.families import family_of
from tmi.families.base import DataSettings, Family
from tmi.families.image_size import Size, resolve_size
from tmi.recipe import AUTO, PUBLIC, BaseRecipe, Recipe, choose_batch_size, make_recipe
from tmi.settings import TrainingSettings
from tmi.training.data import TrainingData
from tmi.training.examination import MAX_IMAGES
from tmi.training.fused_optimizer import use_fused_optimizer
from tmi.training.loader_workers import NICENESS, first_workers
from tmi.training.options import UserOptions, apply_options, read_options
from tmi.training.precision import resolve_precision, set_precision
from tmi.zoo.models import ZooModel

logger = logging.getLogger('tmi')

# What a runner reads; the variables that a config file computes these from are not dumped.
RUN_KEYS = (
    'default_scope',
    'custom_imports',
    'runner_type',
    'model',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'val_evaluator',
    'test_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'default_hooks',
    'custom_hooks',
    'env_cfg',
    'vis_backends',
    'visualizer',
    'log_processor',
    'log_level',
    'load_from',
    'resume',
    'randomness',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'backend_args',
)
PACKAGE_KEYS = (
    'default_scope',
    'model',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
    'env_cfg',
    'visualizer',
    'log_processor',
    'log_level',
    'load_from',
    'resume',
    'backend_args',
)
MAX_LOG_INTERVAL = 50
# Of tmi.training, which register what a config names.
TRAINING_MODULES = (
    'compile_hook',
    'finite_loss_hook',
    'patience_hook',
    'runner',
    'state_hook',
    'step_values',
    'throughput_hook',
    'time_budget_hook',
    'train_loop',
    'val_loop',
)


@dataclass(frozen=True)
class PlatformHooks:
    """The hooks by which a platform learns of a training.

    Args:
        imports: Modules that register them.
        checkpoint: Config of the hook that writes checkpoints; it gets `config_file`, `model_name`, `img_size`,
            `max_keep_ckpts`, `evaluate_config` and `metric_prefix`. mmengine's own if empty.
        others: Configs of further hooks.
    """

    imports: tuple[str, ...] = ()
    checkpoint: dict[str, Any] = field(default_factory=dict)
    others: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TrainingTask:
    """What a training is about.

    Args:
        params: The user's parameters.
        model: What to train.
        data: What to train on.
        num_processes: Processes that train together, on all nodes.
        device: 'cuda' or 'cpu'.
        models_dir: Where checkpoints go.
        tensorboard_dir: Where curves go.
        pretrained: Whether it starts from a trained detector.
        optimizer: Type of the one that a resumed training goes on with; None to choose it.
        samples_per_gpu: Images a step and process of a training that is resumed, kept for `auto`; None to choose them.
        structure: Dotted keys of the config to values that the initial weights tell, see `read_structure`.
        hooks: What writes checkpoints and progress.
        file: Where `write_task` put this task; needed for a time budget.
        started: When the whole task began, as `time.monotonic` has it.
        nodes: Machines that train together, each with as many processes.
    """

    params: TrainingSettings
    model: ZooModel
    data: TrainingData
    num_processes: int
    device: str
    models_dir: Path
    tensorboard_dir: Path
    pretrained: bool = False
    optimizer: str | None = None
    samples_per_gpu: int | None = None
    structure: dict[str, Any] = field(default_factory=dict)
    hooks: PlatformHooks = PlatformHooks()
    file: Path | None = None
    started: float = field(default_factory=time.monotonic)
    nodes: int = 1

    @property
    def node_processes(self) -> int:
        """Processes that train on this machine."""
        return self.num_processes // self.nodes

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.params.class_names)

    @property
    def deadline(self) -> float | None:
        """When the whole task must have ended, as `time.monotonic` has it; None for no time budget."""
        return self.started + 60 * self.params.max_minutes if self.params.max_minutes else None

    @property
    def most_epochs(self) -> int | None:
        """The number of epochs that must not be exceeded; None with a time budget, unless the user has set one."""
        asked, default = self.params.max_epochs, TrainingSettings.model_fields['max_epochs'].default
        return asked if asked != default or not self.params.max_minutes else None

    @property
    def package_config_file(self) -> str:
        return f'{self.model.stem}.py'


@dataclass(frozen=True)
class TrainingConfig:
    """The result of `modify_mmengine_config`.

    Args:
        run: Config for tools/train.py.
        package: Config for the model package.
        recipe: The numbers that follow from the run's length.
        img_size: (width, height) of the input.
        precision: 'fp32', 'bf16' or 'fp16'.
    """

    run: Config
    package: Config
    recipe: Recipe
    img_size: Size
    precision: str


def modify_mmengine_config(cfg: Config, task: TrainingTask) -> TrainingConfig:
    """Make the complete config of a training.

    Args:
        cfg: The model's config as loaded; it is not changed.
        task: What the training is about.

    Returns:
        The configs, and what was decided on the way.

    Raises:
        TaskError: 300001 for parameters that this model or this machine cannot follow.
    """
    base = copy.deepcopy(cfg)
    base.merge_from_dict(task.structure)
    base = ConfigDict(base.to_dict())
    params = task.params
    family = family_of(base.model)
    own = tuple(base.img_scale)
    size = resolve_size(params.img_size, own, family.input_multiple(base.model))
    precision = resolve_precision(params.precision, task.device)
    options = read_options(params)
    recipe = _recipe(task, family.read_schedule(base, task.pretrained), options)
    family.set_classes(base.model, len(task.class_names))
    family.set_loss_weights(base, len(task.class_names), size)
    _drop_absent_weights(base.model)
    batch_size = recipe.total_batch // task.num_processes
    family.set_data(
        base,
        DataSettings(
            task.data,
            task.class_names,
            batch_size,
            _metric(params),
            tuple(own),
            size,
            params.pipeline,
            params.augment_on == 'device' or params.augment_on == 'auto' and task.device == 'cuda',
        ),
    )
    _set_loaders(base, task, batch_size)
    family.write_schedule(base, recipe)
    _set_length(base, task, recipe)
    base.img_scale = size
    set_precision(base.optim_wrapper, precision)
    _set_runtime(base, family, task, recipe, size, precision)
    complete = Config(base)
    apply_options(complete, options)
    use_fused_optimizer(complete.optim_wrapper)
    run = Config({key: complete[key] for key in RUN_KEYS if key in complete}, format_python_code=False)
    return TrainingConfig(run, _package_config(complete, family, task), recipe, size, precision)


def _metric(params: TrainingSettings) -> str | list[str]:
    """Return what the evaluator measures."""
    return ['bbox', 'segm'] if params.masks else params.metric


def _recipe(task: TrainingTask, base: BaseRecipe, options: UserOptions) -> Recipe:
    """Return the numbers of the run; what the user sets stays, and an option for the optimizer means the config's."""
    params = task.params
    batch_size, reason = params.samples_per_gpu, ''
    if batch_size == AUTO:
        if task.samples_per_gpu:
            batch_size, reason = task.samples_per_gpu, 'of the training that is resumed'
        elif params.schedule == PUBLIC:
            batch_size, reason = base.batch_size, "the config's"
        else:
            batch_size = choose_batch_size(task.data.num_train, task.num_processes, params.max_epochs)
    optimizer = task.optimizer
    if any(key.startswith('optim_wrapper.optimizer') for key in options.config):
        optimizer = base.optimizer
    recipe = make_recipe(
        task.data.num_train,
        batch_size * task.num_processes,
        params.max_epochs,
        base,
        params.learning_rate or None,
        params.schedule,
        optimizer,
        None if params.val_interval == AUTO else params.val_interval,
    )
    if options.min_lr is not None:
        recipe = replace(recipe, lr_factor=options.min_lr / recipe.lr)
    if params.samples_per_gpu == AUTO:
        reason = reason or f'chosen for {recipe.total_iters} steps'
        recipe = replace(recipe, reasons={**recipe.reasons, 'images a step': reason})
    return recipe


def _drop_absent_weights(model: ConfigDict) -> None:
    """Let a part of a model start at random where its config names weights to download: a task has no network."""
    start = model.get('init_cfg') or {}
    if isinstance(start, dict) and start.get('type') == 'Pretrained' and not Path(start['checkpoint']).is_file():
        logger.info('The weights %s are not there: this part of the model starts at random', start['checkpoint'])
        model.pop('init_cfg')
    for part in model.values():
        if isinstance(part, dict):
            _drop_absent_weights(part)


def _set_loaders(cfg: ConfigDict, task: TrainingTask, batch_size: int) -> None:
    workers = first_workers(task.params.workers_per_gpu, task.node_processes, task.device)
    counts = (
        (cfg.train_dataloader, workers),
        (cfg.val_dataloader, min(workers, 2)),
        (cfg.test_dataloader, min(workers, 2)),
    )
    for loader, count in counts:
        loader.update(
            batch_size=batch_size, num_workers=count, persistent_workers=count > 0, pin_memory=task.device == 'cuda'
        )


def _set_length(cfg: ConfigDict, task: TrainingTask, recipe: Recipe) -> None:
    params = task.params
    cfg.max_epochs, cfg.base_lr = recipe.epochs, recipe.lr
    cfg.train_cfg.update(
        type='TaskTrainLoop',
        max_epochs=recipe.epochs,
        val_interval=recipe.val_interval,
        worker_niceness=NICENESS[task.device],
        keep_freed=task.device == 'cpu',
    )
    cfg.train_cfg.pop('dynamic_intervals', None)
    is_scaled = params.val_interval == AUTO and params.schedule == AUTO
    if recipe.close_mosaic_epochs and recipe.val_interval > 1 and not is_scaled:
        cfg.train_cfg.dynamic_intervals = [(recipe.epochs - recipe.close_mosaic_epochs, 1)]
    # The rate of the recipe is for the batch at hand already.
    cfg.pop('auto_scale_lr', None)


def _set_runtime(
    cfg: ConfigDict, family: Family, task: TrainingTask, recipe: Recipe, size: Size, precision: str
) -> None:
    params = task.params
    modules = [f'tmi.training.{name}' for name in TRAINING_MODULES]
    cfg.custom_imports = {
        'imports': [type(family).__module__, *family.modules, *modules, *task.hooks.imports],
        'allow_failed_imports': False,
    }
    cfg.runner_type = 'TaskRunner'
    prefix = family.mask_metric_prefix if params.masks else family.metric_prefix
    if task.hooks.checkpoint:
        cfg.default_hooks.checkpoint = {
            **task.hooks.checkpoint,
            'config_file': task.package_config_file,
            'model_name': task.model.name,
            'img_size': size,
            'max_keep_ckpts': params.max_keep_checkpoints,
            'evaluate_config': family.thresholds(cfg),
            'metric_prefix': prefix,
        }
    cfg.default_hooks.logger = {'type': 'LoggerHook', 'interval': min(recipe.iters_per_epoch, MAX_LOG_INTERVAL)}
    cfg.default_hooks.setdefault('runtime_info', {'type': 'StepValuesHook'})
    cfg.custom_hooks += [
        {'type': 'FiniteLossHook', 'scaled_loss': precision == 'fp16'},
        {'type': 'ValidationReportHook'},
        {
            'type': 'ThroughputHook',
            'num_processes': task.num_processes,
            'node_processes': task.node_processes,
            'auto_workers': params.workers_per_gpu == 'auto',
        },
        *map(dict, task.hooks.others),
        *family.hooks(task.num_processes),
    ]
    if params.max_minutes:
        cfg.custom_hooks.append(
            {
                'type': 'TimeBudgetHook',
                'task_file': str(task.file),
                'started': task.started,
                'seconds': 60 * params.max_minutes,
                'launched': time.monotonic(),
                'num_validated': task.data.num_val,
                'num_examined': min(task.data.num_train, MAX_IMAGES) + min(task.data.num_val, MAX_IMAGES),
            }
        )
    if params.compile:
        cfg.custom_hooks.append({'type': 'CompileHook'})
    if params.patience:
        cfg.custom_hooks.append({'type': 'PatienceHook', 'patience': params.patience, 'metric_prefix': prefix})
    cfg.val_cfg = {'type': 'TaskValLoop', 'fp16': precision != 'fp32'}
    cfg.visualizer.vis_backends = [
        {'type': 'LocalVisBackend'},
        {'type': 'TensorboardVisBackend', 'save_dir': str(task.tensorboard_dir)},
    ]
    cfg.vis_backends = cfg.visualizer.vis_backends
    if task.device == 'cpu':
        cfg.env_cfg.dist_cfg = {'backend': 'gloo'}
    cfg.log_level = params.log_level.upper()
    cfg.load_from = None
    cfg.randomness = {'seed': params.seed, 'diff_rank_seed': True}
    cfg.find_unused_parameters = params.find_unused_parameters


def _package_config(complete: Config, family: Family, task: TrainingTask) -> Config:
    """Return what inference needs."""
    package = ConfigDict(copy.deepcopy({key: complete[key] for key in PACKAGE_KEYS if key in complete}))
    loader, visualizer = package.test_dataloader, package.visualizer
    loader.update(batch_size=1, num_workers=2, persistent_workers=True, pin_memory=False)
    family.set_package(package, _metric(task.params))
    visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    package.env_cfg.dist_cfg = {'backend': 'nccl'}
    package.load_from, package.log_level = None, 'INFO'
    return Config(
        dict(
            package,
            model_name=task.model.name,
            class_names=task.class_names,
            num_classes=len(task.class_names),
            img_scale=tuple(complete.img_scale),
            test_pipeline=loader.dataset.pipeline,
            val_dataloader=loader,
            val_evaluator=package.test_evaluator,
            val_cfg={'type': 'ValLoop'},
        )
    )


def config_text(config: Config, path: Path) -> str:
    """Return a config as the text of a file that holds literals alone.

    Args:
        config: What to write.
        path: Where it will stand, for messages.

    Returns:
        Python that assigns each key.
    """
    return dump_literal_config(config, path)
