"""The registries of the package: children of mmengine's, scope `mmyolo`, filled when first asked for a name.

`locations` are the modules that mmengine imports before it gives up on a name.
"""

from functools import cache
from importlib.util import find_spec

from mmengine import registry as _engine
from mmengine.registry import Registry

_ENGINE = ['mmyolo.engine']
_METRICS = ['mmyolo.engine', 'mmyolo.evaluation']
_HOOKS = ['mmyolo.engine.hooks']
_OPTIMIZERS = ['mmyolo.engine.optimizers']
_DATASETS = ['mmyolo.datasets']
_TRANSFORMS = ['mmyolo.datasets.transforms']
_MODELS = ['mmyolo.models']
_UTILS = ['mmyolo.utils', 'mmyolo.visualization']


def _child(name: str, parent: Registry, locations: list) -> Registry:
    return Registry(name, parent=parent, scope='mmyolo', locations=locations)


RUNNERS = _child('runner', _engine.RUNNERS, _ENGINE)
RUNNER_CONSTRUCTORS = _child('runner constructor', _engine.RUNNER_CONSTRUCTORS, _ENGINE)
LOOPS = _child('loop', _engine.LOOPS, _ENGINE)
HOOKS = _child('hook', _engine.HOOKS, _HOOKS)

DATASETS = _child('dataset', _engine.DATASETS, _DATASETS)
DATA_SAMPLERS = _child('data sampler', _engine.DATA_SAMPLERS, _DATASETS)
TRANSFORMS = _child('transform', _engine.TRANSFORMS, _TRANSFORMS)

MODELS = _child('model', _engine.MODELS, _MODELS)
MODEL_WRAPPERS = _child('model_wrapper', _engine.MODEL_WRAPPERS, _MODELS)
WEIGHT_INITIALIZERS = _child('weight initializer', _engine.WEIGHT_INITIALIZERS, _MODELS)
TASK_UTILS = _child('task util', _engine.TASK_UTILS, _MODELS)

OPTIMIZERS = _child('optimizer', _engine.OPTIMIZERS, _OPTIMIZERS)
OPTIM_WRAPPERS = _child('optim_wrapper', _engine.OPTIM_WRAPPERS, _OPTIMIZERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child('optimizer constructor', _engine.OPTIM_WRAPPER_CONSTRUCTORS, _OPTIMIZERS)
PARAM_SCHEDULERS = _child('parameter scheduler', _engine.PARAM_SCHEDULERS, _OPTIMIZERS)

METRICS = _child('metric', _engine.METRICS, _METRICS)
LOG_PROCESSORS = _child('log_processor', _engine.LOG_PROCESSORS, _UTILS)
VISUALIZERS = _child('visualizer', _engine.VISUALIZERS, _UTILS)
VISBACKENDS = _child('vis_backend', _engine.VISBACKENDS, _UTILS)


@cache
def stand_in(registry: Registry, scope: str) -> Registry:
    """Return the registry for what takes the place of a package that a config names and that is not installed.

    `@stand_in(METRICS, 'mmpose').register_module()` makes `mmpose.CocoMetric` mean the decorated class where mmpose is
    missing. Where it is installed the decorator has no effect, because the name means the package's own class.

    Args:
        registry: one of the registries of this module.
        scope: name of the package, which is the prefix in configs.

    Returns:
        A sibling of `registry` with that scope, or one outside the tree if the package is installed.
    """
    parent = registry.parent if find_spec(scope) is None else None
    if parent is not None and scope in parent.children:
        return parent.children[scope]
    return Registry(registry.name, parent=parent, scope=scope, locations=registry._locations)


# Made here and not where they are filled, so that a name is looked for in `locations` before those are imported.
stand_in(METRICS, 'mmpose')
stand_in(MODELS, 'mmrazor')
stand_in(VISUALIZERS, 'mmpose')
