"""Setting another input size in a config: which transforms hold it, and under which name.

A training pipeline may work at twice the size before it crops, so its sizes are scaled; a test pipeline has just one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tmi.errors import SettingError, settings_file
from tmi.setting_names import setting_name

Size = tuple[int, int]

# Transform, without the prefix of its package, to the arguments that hold (width, height), or one of the two each.
SIZE_ARGUMENTS = {
    'Mosaic': ('img_scale',),
    'Mosaic9': ('img_scale',),
    'YOLOXMixUp': ('img_scale',),
    'YOLOv5KeepRatioResize': ('scale',),
    'LetterResize': ('scale',),
    'Resize': ('scale',),
    'RandomResize': ('scale',),
    'RandomCrop': ('crop_size',),
    'Pad': ('size',),
    'FixShapeResize': ('width', 'height'),
    'ViDTResize': ('max_size', 'sizes'),  # of the long and the short side
}
# Transforms that cut a mosaic of twice the size back by half a size on each side.
BORDER_TRANSFORMS = ('YOLOv5RandomAffine', 'RandomAffine')
# Arguments that hold transforms again.
NESTED_ARGUMENTS = ('pre_transform', 'transforms')
# Steps of a test pipeline that have no part in the pixels.
NOT_FOR_PIXELS = frozenset({'LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'PackDetInputs'})


def resolve_size(asked: int | Sequence[int], own: Size, multiple: int) -> Size:
    """Return the input size of a run.

    Args:
        asked: `img_size` of the user: 0, a side, or (width, height).
        own: (width, height) of the model's config.
        multiple: The largest stride of the model.

    Returns:
        (width, height).

    Raises:
        TaskError: 300001 if a side is not a multiple of the stride.
    """
    if asked == 0:
        return tuple(own)
    size = (asked, asked) if isinstance(asked, int) else tuple(asked)
    if any(side % multiple for side in size):
        raise SettingError(
            f'Bad value in {settings_file()}, {setting_name("img_size")}: {asked}: each side must be a multiple of '
            f'{multiple} for this model; '
            f'next to it are {nearest_sizes(size, multiple)}.'
        )
    return size


def nearest_sizes(size: Size, multiple: int) -> str:
    """Return the sizes below and above another that a model can work at, as a user writes them.

    Args:
        size: (width, height).
        multiple: The largest stride of the model.

    Returns:
        E.g. '96 or 128', or '96,64 or 128,96'.
    """
    sizes = []
    for sides in (
        tuple(max(side // multiple, 1) * multiple for side in size),
        tuple(-(-side // multiple) * multiple for side in size),
    ):
        text = str(sides[0]) if sides[0] == sides[1] else ','.join(map(str, sides))
        if text not in sizes:
            sizes.append(text)
    return ' or '.join(sizes)


def set_test_size(pipeline: Iterable[dict[str, Any]], size: Size) -> None:
    """Set the input size in a test pipeline, in place.

    Args:
        pipeline: Configs of transforms.
        size: (width, height).
    """
    for transform in with_nested(pipeline):
        names = SIZE_ARGUMENTS.get(_plain(transform['type']), ())
        for name, value in zip(names, size if len(names) == 2 else [size]):
            if transform.get(name) is not None:
                transform[name] = value


def pixel_transforms(pipeline: Sequence[dict[str, Any]], size: Size | None = None) -> list[dict[str, Any]]:
    """Return the steps of a test pipeline between loading and packing.

    Args:
        pipeline: Of the config.
        size: (width, height) to use in place of the config's, None to keep it.

    Returns:
        Configs of the transforms.
    """
    steps = [dict(step) for step in pipeline if _plain(step['type']) not in NOT_FOR_PIXELS]
    if size is not None:
        set_test_size(steps, tuple(size))
    return steps


def scale_train_size(pipeline: Iterable[dict[str, Any]], own: Size, size: Size) -> None:
    """Set the input size in a training pipeline, in place; what is a multiple of the size stays one.

    Args:
        pipeline: Configs of transforms.
        own: (width, height) that the pipeline is written for.
        size: (width, height) to set.
    """
    for transform in with_nested(pipeline):
        names = SIZE_ARGUMENTS.get(_plain(transform['type']), ())
        for axis, name in enumerate(names):
            value = transform.get(name)
            if value is not None:
                transform[name] = _scaled(value, own, size, axis)
        if transform.get('pad_to_square') and size[0] != size[1]:  # squares of several sizes would make no batch
            pad_val = transform.get('pad_val', {'img': 0})
            transform.clear()
            transform.update(type='LetterResize', scale=tuple(size), pad_val=pad_val)
        if _plain(transform['type']) in BORDER_TRANSFORMS and any(transform.get('border', (0, 0))):
            transform['border'] = (-size[0] // 2, -size[1] // 2)


def scale_batch_sizes(augments: Iterable[dict[str, Any]], own: Size, size: Size) -> int:
    """Set the range of sizes that batches are resized to, in place.

    Args:
        augments: Configs of a data preprocessor's `batch_augments`.
        own: (width, height) that they are written for.
        size: (width, height) to set.

    Returns:
        The largest side that a batch may get, 0 if none is resized.
    """
    largest = 0
    for augment in augments:
        limits = augment.get('random_size_range')
        if limits is not None:
            step = augment.get('size_divisor', 32)
            share = max(size) / max(own)
            augment['random_size_range'] = tuple(max(round(side * share / step), 1) * step for side in limits)
            largest = max(largest, *augment['random_size_range'])
    return largest


def _plain(kind: str) -> str:
    return kind.rsplit('.', 1)[-1]


def _scaled(value: Any, own: Size, size: Size, axis: int) -> Any:
    if isinstance(value, (int, float)):
        return round(value * size[axis] / own[axis])
    return tuple(round(side * new / old) for side, new, old in zip(value, size, own))


def with_nested(pipeline: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every transform of a pipeline and of those within its transforms."""
    for transform in pipeline:
        yield transform
        for name in NESTED_ARGUMENTS:
            for nested in _pipelines_in(transform.get(name)):
                yield from with_nested(nested)


def _pipelines_in(value: Any) -> list[list[dict[str, Any]]]:
    """Return a pipeline, or each of a list of pipelines; options of Albu look alike but name no transform of ours."""
    if not isinstance(value, (list, tuple)) or not value:
        return []
    if isinstance(value[0], (list, tuple)):
        return list(value)
    return [value] if all(isinstance(item, dict) and 'type' in item for item in value) else []
