"""Which classes an option of the user may name: those that trainings are made of, by the modules that define them.

Of what is registered, some reads files that a setting names as code or as pickles, evaluates text, loads from the
network, or removes what a setting says. So what is not named here is rejected, whatever a later release of a package
registers.
"""

from collections.abc import Mapping
from typing import Any

from mmyolo.utils import register_all_modules
from mmyolo.utils.config_types import COLLATE, PART, TRANSFORM, Kind, is_of_kind
from mmyolo.utils.registered_types import find_registered

_MODEL = (
    PART._replace(modules=(*PART.modules, 'mmyolo.models.detectors', 'mmengine.model.averaged_model')),
    Kind('initial weights', ('weight initializer',), ('mmengine.model.weight_init',), outside=True),
)
_TRANSFORM = TRANSFORM._replace(
    modules=(*TRANSFORM.modules, 'mmdet.datasets.transforms.augment_wrappers', 'mmdet.datasets.transforms.wrappers')
)
_DATASET = Kind(
    'a data set',
    ('dataset',),
    (
        'mmdet.datasets.coco',
        'mmdet.datasets.dataset_wrappers',
        'mmdet.datasets.lvis',
        'mmdet.datasets.objects365',
        'mmdet.datasets.voc',
        'mmdet.datasets.xml_style',
        'mmengine.dataset',
        'mmyolo.datasets.yolov5_coco',
        'mmyolo.datasets.yolov5_voc',
    ),
    outside=True,  # files are checked by the keys that name them
)
_SAMPLER = Kind('a sampler of data', ('data sampler',), ('mmdet.datasets.samplers', 'mmengine.dataset'))
_LOOP = Kind('a loop', ('loop',), ('mmdet.engine.runner.loops', 'mmengine.runner.loops'))
_METRIC = Kind(
    'a metric',
    ('metric', 'evaluator'),
    (
        'mmdet.evaluation.evaluator',
        'mmdet.evaluation.metrics.coco_metric',
        'mmdet.evaluation.metrics.faster_coco_metric',
        'mmdet.evaluation.metrics.lvis_metric',
        'mmdet.evaluation.metrics.openimages_metric',
        'mmdet.evaluation.metrics.voc_metric',
        'mmengine.evaluator.evaluator',
        'mmyolo.evaluation',
    ),
    outside=True,
)
_HOOK = Kind(
    'a hook',
    ('hook',),
    (
        'mmdet.engine.hooks',
        'mmengine.hooks.checkpoint_hook',
        'mmengine.hooks.early_stopping_hook',
        'mmengine.hooks.ema_hook',
        'mmengine.hooks.empty_cache_hook',
        'mmengine.hooks.iter_timer_hook',
        'mmengine.hooks.logger_hook',
        'mmengine.hooks.naive_visualization_hook',
        'mmengine.hooks.param_scheduler_hook',
        'mmengine.hooks.runtime_info_hook',
        'mmengine.hooks.sampler_seed_hook',
        'mmengine.hooks.sync_buffer_hook',
        'mmengine.hooks.test_time_aug_hook',
        'mmyolo.engine.hooks',
    ),
    outside=True,
)
_OPTIMIZER = Kind(
    'an optimizer or its wrapper',
    ('optim_wrapper', 'optimizer', 'optimizer wrapper constructor'),
    ('mmdet.engine.optimizers', 'mmengine.optim.optimizer', 'mmyolo.engine.optimizers', 'torch.optim'),
)
_SCHEDULER = Kind('a schedule', ('parameter scheduler',), ('mmdet.engine.schedulers', 'mmengine.optim.scheduler'))
_VISUALIZER = Kind(
    'a visualizer or what keeps its pictures',
    ('visualizer', 'vis_backend'),
    (
        'mmdet.visualization',
        'mmengine.visualization.vis_backend.LocalVisBackend',
        'mmengine.visualization.vis_backend.TensorboardVisBackend',
        'mmengine.visualization.visualizer',
        'mmyolo.standins',
    ),
    outside=True,
)
_DATA = (_DATASET, _TRANSFORM, _SAMPLER, COLLATE)
_HOOKS = (_HOOK, *_MODEL, _TRANSFORM)

# First part of a key that may be set -> what the types below it may be.
KINDS: Mapping[str, tuple[Kind, ...]] = {
    'model': _MODEL,
    'train_dataloader': _DATA,
    'val_dataloader': _DATA,
    'test_dataloader': _DATA,
    'train_cfg': (_LOOP,),
    'val_cfg': (_LOOP,),
    'test_cfg': (_LOOP,),
    'val_evaluator': (_METRIC,),
    'test_evaluator': (_METRIC,),
    'optim_wrapper': (_OPTIMIZER,),
    'param_scheduler': (_SCHEDULER,),
    'default_hooks': _HOOKS,
    'custom_hooks': _HOOKS,
    'visualizer': (_VISUALIZER,),
    'vis_backends': (_VISUALIZER,),
    'log_processor': (Kind('a log processor', ('log_processor',), ('mmengine.runner.log_processor',)),),
    'model_wrapper_cfg': (Kind('a wrapper', ('model_wrapper',), ('mmengine.model.wrappers',), outside=True),),
    'env_cfg': (),
    'log_level': (),
    'load_from': (),
    'resume': (),
    'randomness': (),
    'find_unused_parameters': (),
}


def may_be_named(name: Any, key: str) -> bool:
    """Return whether an option may name a class.

    Args:
        name: `Name`, or `scope.Name` with a scope such as `mmdet`.
        key: The first part of the option's key.

    Returns:
        False for a name that is not registered, too.
    """
    register_all_modules()
    for kind in KINDS[key]:
        found = find_registered(name, kind.registries)
        if found is not None:
            return is_of_kind(found, kind)
    return False
