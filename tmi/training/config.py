"""The complete mmengine config of a training: the model's config, changed by the user's parameters and data.

Every change is made at a named place; nothing is set wherever a key of that name stands. Two configs come out: the one that
tools/train.py runs, with a platform's paths and hooks, and the one that goes into the model package, which names
nothing of the platform and loads anywhere, in public mmyolo too.
"""

import copy
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from tmi.devices import available_cpus
from tmi.families.dense_schedule import read_schedule, switch_pipelines, write_schedule
from tmi.families.image_size import Size, resolve_size, scale_batch_sizes, scale_train_size, set_test_size
from tmi.recipe import Recipe, make_recipe
from tmi.settings import TrainingSettings
from tmi.training.data import TrainingData
from tmi.training.options import apply_options, read_options
from tmi.training.precision import resolve_precision, set_precision
from tmi.zoo.models import ZooModel

logger = logging.getLogger('tmi')

# Where a detector's config holds the number of classes.
CLASS_COUNT_PATHS = (
    ('bbox_head', 'head_module', 'num_classes'),
    ('bbox_head', 'num_classes'),
    ('train_cfg', 'assigner', 'num_classes'),
    ('train_cfg', 'initial_assigner', 'num_classes'),
)
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
MAX_IMAGE_CACHE = 4 * 1024**3
MAX_LOG_INTERVAL = 50


@dataclass(frozen=True)
class PlatformHooks:
    """The hooks by which a platform learns of a training.

    Args:
        imports: Modules that register them.
        checkpoint: Config of the hook that writes checkpoints; it gets `config_file`, `model_name`, `img_size`,
            `max_keep_ckpts` and `evaluate_config`. mmengine's own if empty.
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
        num_processes: Processes that train together.
        device: 'cuda' or 'cpu'.
        models_dir: Where checkpoints go.
        tensorboard_dir: Where curves go.
        load_from: Initial weights, fitted to the classes.
        hooks: What writes checkpoints and progress.
    """

    params: TrainingSettings
    model: ZooModel
    data: TrainingData
    num_processes: int
    device: str
    models_dir: Path
    tensorboard_dir: Path
    load_from: Path | None = None
    hooks: PlatformHooks = PlatformHooks()

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.params.class_names)

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
    base = ConfigDict(copy.deepcopy(cfg.to_dict()))
    params = task.params
    own = tuple(base.img_scale)
    size = resolve_size(params.img_size, own, _largest_stride(base.model.bbox_head))
    precision = resolve_precision(params.precision, task.device)
    recipe = make_recipe(
        task.data.num_train,
        params.samples_per_gpu * task.num_processes,
        params.max_epochs,
        read_schedule(base, pretrained=task.load_from is not None),
        params.learning_rate or None,
    )
    _set_classes(base, len(task.class_names))
    _set_loss_weights(base, len(task.class_names), size)
    _drop_absent_weights(base.model.backbone)
    largest = scale_batch_sizes(base.model.data_preprocessor.get('batch_augments') or (), own, size)
    _set_data(base, task, size, max(*size, largest))
    _set_schedule(base, task, recipe)
    _set_image_size(base, own, size)
    set_precision(base.optim_wrapper, precision)
    _set_runtime(base, task, recipe, size, precision)
    complete = Config(base)
    apply_options(complete, read_options(params))
    run = Config({key: complete[key] for key in RUN_KEYS if key in complete})
    return TrainingConfig(run, _package_config(complete, task), recipe, size, precision)


def _largest_stride(head: ConfigDict) -> int:
    """The stride of the coarsest level of a head; a config that leaves it out means the default of every head."""
    strides = head.get('prior_generator', {}).get('strides') or head.head_module.get('featmap_strides') or [32]
    return max(strides)


def _set_classes(cfg: ConfigDict, num_classes: int) -> None:
    cfg.num_classes = num_classes
    for path in CLASS_COUNT_PATHS:
        node = cfg.model
        for name in path[:-1]:
            node = node.get(name, ConfigDict())
        if path[-1] in node:
            node[path[-1]] = num_classes


def _set_loss_weights(cfg: ConfigDict, num_classes: int, size: Size) -> None:
    """YOLOv5 and YOLOv7 balance losses by the number of classes and the area of the input; a config does so once."""
    head = cfg.model.bbox_head
    if head.type not in ('YOLOv5Head', 'YOLOv7Head'):
        return
    per_map = 3 / cfg.num_det_layers
    head.loss_cls.loss_weight = cfg.loss_cls_weight * num_classes / 80 * per_map
    head.loss_obj.loss_weight = cfg.loss_obj_weight * (size[0] * size[1] / 640**2) * per_map


def _drop_absent_weights(backbone: ConfigDict) -> None:
    """Let a backbone start at random where its config names weights to download: a task has no network."""
    start = backbone.get('init_cfg') or {}
    if start.get('type') == 'Pretrained' and not Path(start['checkpoint']).is_file():
        logger.info('The backbone does not start from %s, which is not in the image', start['checkpoint'])
        backbone.pop('init_cfg')


def _pipeline(loader: ConfigDict) -> list[dict[str, Any]]:
    """The pipeline of a loader's data set, also of the first of several joined ones."""
    dataset = loader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.datasets[0] if 'datasets' in dataset else dataset.dataset
    return dataset.pipeline


def _set_data(cfg: ConfigDict, task: TrainingTask, size: Size, largest: int) -> None:
    params, data = task.params, task.data
    common = {
        'type': 'YOLOv5CocoDataset',
        'data_root': '',
        'data_prefix': {'img': ''},
        'metainfo': {'classes': task.class_names},
    }
    workers = min(params.workers_per_gpu, max(available_cpus() // task.num_processes, 1))
    val_workers = min(workers, 2)
    pin_memory = task.device == 'cuda'
    cached = {
        'type': 'LoadCachedImage',
        'max_size': largest,
        'cache_bytes': min(data.cache_bytes(largest), MAX_IMAGE_CACHE),
    }
    batch_shapes = cfg.val_dataloader.dataset.get('batch_shapes_cfg')
    if batch_shapes is not None:  # the policy knows squares only
        batch_shapes = (
            dict(batch_shapes, batch_size=params.samples_per_gpu, img_size=size[0]) if size[0] == size[1] else None
        )
    cfg.train_dataloader.update(
        batch_size=params.samples_per_gpu,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        dataset=dict(
            common,
            ann_file=str(data.train_file),
            # The configs drop images with a side under 32 pixels; here every image counts.
            filter_cfg={'filter_empty_gt': False, 'min_size': 1},
            pipeline=use_image_cache(_pipeline(cfg.train_dataloader), cached),
        ),
    )
    for item in switch_pipelines(cfg):
        item['hook'][item['argument']] = use_image_cache(item['hook'][item['argument']], cached)
    cfg.val_dataloader.update(
        batch_size=params.samples_per_gpu,
        num_workers=val_workers,
        persistent_workers=val_workers > 0,
        pin_memory=pin_memory,
        dataset=dict(
            common,
            ann_file=str(data.val_file),
            test_mode=True,
            pipeline=_pipeline(cfg.val_dataloader),
            batch_shapes_cfg=batch_shapes,
        ),
    )
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.val_evaluator = {
        'type': 'FastCocoMetric',
        'proposal_nums': (100, 1, 10),
        'ann_file': str(data.val_file),
        'metric': params.metric,
    }
    cfg.test_evaluator = dict(cfg.val_evaluator)


def use_image_cache(pipeline: list[dict[str, Any]], cached: dict[str, Any]) -> list[dict[str, Any]]:
    """Load images through the shared memory in a pipeline and the ones nested in it.

    Args:
        pipeline: Configs of transforms, where LoadImageFromFile stands right before LoadAnnotations.
        cached: Config of LoadCachedImage, which scales annotations and so stands behind them.

    Returns:
        The new pipeline.
    """
    result: list[dict[str, Any]] = []
    waiting = False
    for transform in pipeline:
        if transform['type'] == 'LoadImageFromFile':
            waiting = True
            continue
        transform = dict(transform)
        if 'pre_transform' in transform and transform['pre_transform']:
            transform['pre_transform'] = use_image_cache(transform['pre_transform'], cached)
        result.append(transform)
        if waiting:
            result.append(dict(cached))
            waiting = False
    return result


def _set_schedule(cfg: ConfigDict, task: TrainingTask, recipe: Recipe) -> None:
    params = task.params
    write_schedule(cfg, recipe)
    cfg.max_epochs, cfg.base_lr = recipe.epochs, recipe.lr
    cfg.train_cfg.update(max_epochs=recipe.epochs, val_interval=params.val_interval)
    cfg.train_cfg.pop('dynamic_intervals', None)
    if recipe.close_mosaic_epochs and params.val_interval > 1:
        cfg.train_cfg.dynamic_intervals = [(recipe.epochs - recipe.close_mosaic_epochs, 1)]
    if 'batch_size_per_gpu' in cfg.optim_wrapper.optimizer:
        cfg.optim_wrapper.optimizer.batch_size_per_gpu = params.samples_per_gpu
    # The rate of the recipe is for the batch at hand already.
    cfg.pop('auto_scale_lr', None)


def _set_image_size(cfg: ConfigDict, own: Size, size: Size) -> None:
    cfg.img_scale = size
    if size == own:  # a config may test at another size than it trains at
        return
    scale_train_size(cfg.train_dataloader.dataset.pipeline, own, size)
    for item in switch_pipelines(cfg):
        scale_train_size(item['hook'][item['argument']], own, size)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        set_test_size(loader.dataset.pipeline, size)


def _set_runtime(cfg: ConfigDict, task: TrainingTask, recipe: Recipe, size: Size, precision: str) -> None:
    params = task.params
    test_cfg = cfg.model.test_cfg
    modules = [f'tmi.training.{name}' for name in ('finite_loss_hook', 'patience_hook', 'runner')]
    cfg.custom_imports = {'imports': [*modules, *task.hooks.imports], 'allow_failed_imports': False}
    cfg.runner_type = 'TaskRunner'
    if task.hooks.checkpoint:
        cfg.default_hooks.checkpoint = {
            **task.hooks.checkpoint,
            'config_file': task.package_config_file,
            'model_name': task.model.name,
            'img_size': size,
            'max_keep_ckpts': params.max_keep_checkpoints,
            'evaluate_config': {'conf_thr': float(test_cfg.score_thr), 'iou_thr': float(test_cfg.nms.iou_threshold)},
        }
    cfg.default_hooks.logger = {'type': 'LoggerHook', 'interval': min(recipe.iters_per_epoch, MAX_LOG_INTERVAL)}
    cfg.custom_hooks += [
        {'type': 'FiniteLossHook', 'scaled_loss': precision == 'fp16'},
        *map(dict, task.hooks.others),
        {'type': 'MemoryFormatHook', 'memory_format': 'channels_last'},
    ]
    if task.num_processes > 1:
        cfg.custom_hooks.append({'type': 'SyncNormStatisticsHook'})
    if params.patience:
        cfg.custom_hooks.append({'type': 'PatienceHook', 'patience': params.patience})
    cfg.val_cfg = {'type': 'ValLoop', 'fp16': precision != 'fp32'}
    cfg.visualizer.vis_backends = [
        {'type': 'LocalVisBackend'},
        {'type': 'TensorboardVisBackend', 'save_dir': str(task.tensorboard_dir)},
    ]
    cfg.vis_backends = cfg.visualizer.vis_backends
    if task.device == 'cpu':
        cfg.env_cfg.dist_cfg = {'backend': 'gloo'}
    cfg.log_level = params.log_level.upper()
    cfg.load_from = str(task.load_from) if task.load_from else None
    cfg.randomness = {'seed': params.seed, 'diff_rank_seed': True}
    cfg.find_unused_parameters = params.find_unused_parameters


def _package_config(complete: Config, task: TrainingTask) -> Config:
    """What inference needs, in the words of public mmyolo."""
    package = ConfigDict(copy.deepcopy({key: complete[key] for key in PACKAGE_KEYS if key in complete}))
    loader, visualizer = package.test_dataloader, package.visualizer
    loader.dataset.update(ann_file='annotations.json', data_prefix={'img': 'images/'})
    loader.update(batch_size=1, num_workers=2, persistent_workers=True, pin_memory=False)
    if loader.dataset.get('batch_shapes_cfg'):
        loader.dataset.batch_shapes_cfg.batch_size = 1
    visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    package.test_evaluator = {
        'type': 'mmdet.CocoMetric',
        'proposal_nums': (100, 1, 10),
        'ann_file': 'annotations.json',
        'metric': task.params.metric,
    }
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
