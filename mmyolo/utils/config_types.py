"""What a config from elsewhere may build: classes that are registered, without anything from outside of it.

mmengine takes a `type` that no registry knows for the name of something to import, and calls it. A config that comes
with weights is data, so here only names that are registered count, only kinds of classes that a detector is made of,
and no argument that names a file, an address or another config. Initial weights that such a config asks for are left
out: the weights come with it.
"""

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from mmengine.registry import registry as registry_module

from .literal_config import ConfigContentError
from .registered_types import NMS_TYPES, ROOTS, registry_tree

# Scopes by which a config may name classes; mmcv registers its own in mmengine's registries.
SCOPES = ('mmyolo', 'mmdet', 'mmcv', 'mmengine', 'mmrotate', 'mmpose')
# Arguments that read or write something outside the config, or decide where classes are looked for.
OUTSIDE = frozenset(
    {
        'ann_file',
        'backend_args',
        'cache_dir',
        'cache_file',
        'cfg_path',
        'checkpoint',
        'ckpt',
        'config',
        'custom_imports',
        'data_prefix',
        'data_root',
        'file_client_args',
        'label_map_file',
        'lang_model_name',
        'module',
        'proposal_file',
        'save_dir',
        'seg_map_path',
        'teacher',
        'teacher_ckpt',
        'teacher_config',
        'tokenizer_name',
        'url',
        '_base_',
    }
)
READING = frozenset(
    {'backend_args', 'file_client_args'}
)  # of classes that read images; the others' have to be left out
INITIAL = frozenset({'init_cfg', 'pretrained'})  # initial weights
# Numbers beyond these make gigabytes of a few characters, in images, in enlarged features or in layers.
LARGEST_NUMBER = {'model': 10**9, 'test pipeline': 1 << 13}
MOST_STEPS = 100  # of a pipeline
LARGEST_SCALE = 16  # of keys that say how many times larger something becomes
SCALE_KEYS = ('scale_factor', 'ratio_range', 'scale_ratio', 'up_ratio')
LOCAL_FILES = ({'backend': 'disk'}, {'backend': 'local'})  # what older configs say of how images are read


class Kind(NamedTuple):
    """What may stand in one place of a config.

    Args:
        what: In words.
        registries: Where it is registered.
        modules: What its classes are defined in: packages, modules, or single classes of a module.
        outside: Whether its classes may have arguments of OUTSIDE, because these are checked where they are given.
    """

    what: str
    registries: tuple[str, ...]
    modules: tuple[str, ...]
    outside: bool = False


DETECTOR = Kind(
    'a detector with one stage',
    ('model',),
    ('mmdet.models.detectors', 'mmyolo.models.detectors', 'mmyolo.standins.mmrazor'),
)
PART = Kind(
    'a part of a detector',
    ('model', 'task util'),
    (
        'mmcv.cnn.bricks',
        'mmcv.ops',
        'mmdet.models.backbones',
        'mmdet.models.data_preprocessors',
        'mmdet.models.dense_heads',
        'mmdet.models.layers',
        'mmdet.models.losses',
        'mmdet.models.necks',
        'mmdet.models.task_modules.assigners',
        'mmdet.models.task_modules.coders',
        'mmdet.models.task_modules.prior_generators',
        'mmdet.models.task_modules.samplers',
        'mmengine.model.base_model.data_preprocessor',
        'mmengine.utils.dl_utils',
        'mmyolo.models.backbones',
        'mmyolo.models.data_preprocessors',
        'mmyolo.models.dense_heads',
        'mmyolo.models.layers',
        'mmyolo.models.losses',
        'mmyolo.models.necks',
        'mmyolo.models.plugins',
        'mmyolo.models.task_modules',
        'mmyolo.standins.mmrotate',
        'torch.nn.modules',
    ),
)
TRANSFORM = Kind(
    'a transform of images',
    ('transform',),
    (
        'mmcv.transforms.formatting',
        'mmcv.transforms.loading',
        'mmcv.transforms.processing',
        'mmcv.transforms.wrappers',
        'mmdet.datasets.transforms.colorspace',
        'mmdet.datasets.transforms.formatting',
        'mmdet.datasets.transforms.geometric',
        'mmdet.datasets.transforms.loading',
        'mmdet.datasets.transforms.transforms',
        'mmyolo.datasets.transforms',
        'mmyolo.standins.mmrotate',
    ),
)
BATCH_SHAPES = Kind('a rule for the shapes of batches', ('task util',), ('mmyolo.datasets',))
DATASET = Kind(
    'a data set',
    ('dataset',),
    ('mmdet.datasets', 'mmyolo.datasets', 'mmyolo.standins.mmrotate', 'mmengine.dataset'),
    outside=True,
)
VISUALIZER = Kind(
    'a visualizer', ('visualizer',), ('mmengine.visualization', 'mmdet.visualization', 'mmyolo.standins'), outside=True
)
COLLATE = Kind('a function that makes batches', ('function',), ('mmengine.dataset', 'mmyolo.datasets'))


def model_from_elsewhere(model: Any, source: Any) -> dict[str, Any]:
    """Check the config of a detector.

    Args:
        model: The value of `model` in a config that was read as data.
        source: Where it comes from, for messages.

    Returns:
        A copy without initial weights.

    Raises:
        ConfigContentError: If it would build anything but a detector, or names something outside it.
    """
    if not isinstance(model, Mapping):
        raise ConfigContentError(f'The config of {source} describes no model: it needs the name `model` with a dict.')
    checked = _Check(source, PART).mapping(model, 'model', DETECTOR)
    from mmdet.models.detectors import SingleStageDetector

    if not any(issubclass(cls, SingleStageDetector) for cls in classes_named(checked.get('type'), DETECTOR)):
        raise ConfigContentError(
            f'The config of {source}, model: type is {checked.get("type")!r}; {DETECTOR.what} is needed.'
        )
    return checked


def pipeline_from_elsewhere(pipeline: Any, source: Any, kind: Kind = TRANSFORM) -> list[dict[str, Any]]:
    """Check a test pipeline.

    Args:
        pipeline: List of configs of transforms, from a config that was read as data.
        source: Where it comes from, for messages.
        kind: What its steps may be.

    Returns:
        A copy.

    Raises:
        ConfigContentError: If it holds anything but transforms of images, or names something outside it.
    """
    steps = pipeline if isinstance(pipeline, (list, tuple)) else [pipeline]
    if len(steps) > MOST_STEPS:
        raise ConfigContentError(
            f'The config of {source}: the test pipeline has {len(steps):,} steps; at most {MOST_STEPS} are taken.'
        )
    for step in steps:
        if not isinstance(step, Mapping) or 'type' not in step:
            raise ConfigContentError(
                f'The config of {source}: the test pipeline holds {_short(step)}; a list of dicts '
                'with a `type` is needed.'
            )
    return _Check(source, kind).value(list(steps), 'test pipeline')


def part_from_elsewhere(value: Any, kind: Kind, source: Any, place: str) -> Any:
    """Check another part of a config, as `model_from_elsewhere` does the detector.

    Args:
        value: The part.
        kind: What it may build.
        source: Where it comes from, for messages.
        place: Where it stands, for messages.

    Returns:
        A copy without initial weights.

    Raises:
        ConfigContentError: If it builds anything else, or names something outside it.
    """
    return _Check(source, kind).value(value, place)


class _Check:
    """Goes through a config and copies what is allowed.

    Args:
        source: Where it comes from.
        kind: What nested dicts may build.
    """

    def __init__(self, source: Any, kind: Kind) -> None:
        self._source = source
        self._kind = kind

    def value(self, value: Any, place: str) -> Any:
        if isinstance(value, Mapping):
            return self.mapping(value, place, self._kind)
        if isinstance(value, (list, tuple)):
            return type(value)(self.value(item, f'{place}[{index}]') for index, item in enumerate(value))
        if isinstance(value, (int, float)):
            self._check_number(value, place)
        return value

    def _check_number(self, number: Any, place: str) -> None:
        root, name = re.split(r'[.\[]', place, maxsplit=1)[0], re.sub(r'(\[\d+\])+$', '', place)
        largest = LARGEST_SCALE if name.endswith(SCALE_KEYS) else LARGEST_NUMBER.get(root)
        if largest is not None and largest < abs(number) < math.inf:
            raise self._error(place, f'is {_short(number)}; allowed are numbers up to {largest:,}')

    def mapping(self, config: Mapping, place: str, kind: Kind) -> dict[str, Any]:
        checked = {}
        for key, value in config.items():
            if not isinstance(key, str) and 'type' in config:
                raise self._error(place, f'has the key {_short(key)}; an argument is named by text')
            if key in INITIAL or key in OUTSIDE and (not value or value in LOCAL_FILES):
                continue
            if key in OUTSIDE:
                raise self._error(
                    place,
                    f'has {key}={_short(value)}; a config from elsewhere may not name files, '
                    'addresses, modules or other configs',
                )
            if key == '_scope_' and value not in SCOPES:
                raise self._error(place, f'has _scope_={_short(value)}; allowed are {", ".join(SCOPES)}')
            checked[key] = self.value(value, f'{place}.{key}')
        if place.endswith('.nms'):
            if checked.get('type', NMS_TYPES[0]) not in NMS_TYPES:
                raise self._error(place, f'has type={_short(checked["type"])}; allowed are {", ".join(NMS_TYPES)}')
        elif 'type' in config:
            checked['type'] = self._type(config['type'], place, kind)
        return checked

    def _type(self, name: Any, place: str, kind: Kind) -> str:
        if not isinstance(name, str) or not classes_named(name, kind):
            raise self._error(place, f'names {_short(name)} as a type; only {kind.what} that is registered is built')
        scope, _, short = name.rpartition('.')
        return f'mmengine.{short}' if scope == 'mmcv' else name

    def _error(self, place: str, sentence: str) -> ConfigContentError:
        return ConfigContentError(f'The config of {self._source}, {place}: it {sentence}.')


def _short(value: Any) -> str:
    """Return a value in few characters; a list in itself many times over would never end."""
    if isinstance(value, (str, bytes, int, float, type(None))):
        text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else 'a large number'
        return text if len(text) <= 80 else text[:77] + '...'
    return f'a {type(value).__name__}'


def classes_named(name: Any, kind: Kind) -> list[Any]:
    """Return the registered classes that a name may mean, without importing anything for its sake.

    Args:
        name: `Name` or `scope.Name`.
        kind: What is wanted.

    Returns:
        The classes; none if any of those with that name is of another kind.
    """
    if not isinstance(name, str):
        return []
    scope, dot, short = name.rpartition('.')
    if dot and scope not in SCOPES:
        return []
    found = [
        (registry_scope, value)
        for registry_scope, value in _registered(kind.registries).get(short, ())
        if not scope or registry_scope == ('mmengine' if scope == 'mmcv' else scope)
    ]
    return [value for _, value in found] if all(is_of_kind(value, kind) for _, value in found) else []


def is_of_kind(value: Any, kind: Kind) -> bool:
    """Return whether a registered class is of a kind, and takes nothing unchecked from outside the config."""
    name = f'{getattr(value, "__module__", None) or ""}.{getattr(value, "__qualname__", "")}.'
    if not any(name.startswith(f'{allowed}.') for allowed in kind.modules):
        return False
    return kind.outside or not (OUTSIDE - READING) & parameters(value)


@cache
def parameters(value: Any) -> frozenset[str]:
    """Return the names of all arguments of a class, those of its bases too, or of a function."""
    makers = [vars(cls).get('__init__') for cls in value.__mro__] if inspect.isclass(value) else [value]
    return frozenset(
        name for maker in makers if inspect.isfunction(maker) for name in inspect.signature(maker).parameters
    )


def all_registered(kind: Kind) -> dict[str, list[Any]]:
    """Return all classes of a kind: `scope.Name` to class."""
    return {
        f'{scope}.{name}': value
        for name, values in _registered(kind.registries).items()
        for scope, value in values
        if is_of_kind(value, kind)
    }


def _registered(registries: Sequence[str]) -> dict[str, list[tuple[str, Any]]]:
    """Name to scopes and classes, of all that is registered once the packages are imported."""
    _import_packages()
    found: dict[str, list[tuple[str, Any]]] = {}
    for name in registries:
        for registry in registry_tree(ROOTS[name]):
            for short, value in registry.module_dict.items():
                found.setdefault(short, []).append((registry.scope, value))
    return found


@cache
def _import_packages() -> None:
    import mmcv.cnn  # noqa: F401
    import mmcv.ops  # noqa: F401
    import mmcv.transforms  # noqa: F401
    import mmdet.models  # noqa: F401

    from .setup_env import register_all_modules

    register_all_modules(init_default_scope=False)


@contextmanager
def registered_only() -> Iterator[None]:
    """Within this, no registry imports what it does not know: such a type is an error."""

    def reject(name: str) -> None:
        raise KeyError(f'{name} is not registered')

    found = registry_module.get_object_from_string
    registry_module.get_object_from_string = reject
    try:
        yield
    finally:
        registry_module.get_object_from_string = found
