"""How large the images of a training pipeline are at most, read from the config before anything runs.

A mosaic is twice as large as an image, and an affine transform behind it cuts half an image off each side. Without the
mosaic nothing is left, and cv2 gives some image of its own instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmyolo.errors import ConfigConflictError

Size = tuple[float, float] | None  # the largest width and height; None: not known
RAW = 'that of the file'  # in place of a size

# Name of the transform -> the key of the size that its images have afterwards, or have at most.
_SIZED = {
    'LetterResize': 'scale',
    'YOLOv5KeepRatioResize': 'scale',
    'Resize': 'scale',
    'RandomResize': 'scale',
    'FixScaleResize': 'scale',
    'RandomCrop': 'crop_size',
}
_MOSAICS = ('Mosaic', 'Mosaic9')
_AFFINE = ('YOLOv5RandomAffine', 'RandomAffine')
# Neither boxes nor colours change the size.
_SAME_SIZE = (
    'LoadImageFromFile',
    'LoadAnnotations',
    'YOLOv5HSVRandomAug',
    'YOLOXHSVRandomAug',
    'RandomFlip',
    'Albu',
    'YOLOv5CopyPaste',
    'YOLOv5MixUp',
    'YOLOXMixUp',
    'FilterAnnotations',
    'RemoveDataElement',
    'Polygon2Mask',
    'PPYOLOERandomDistort',
    'PhotoMetricDistortion',
    'ConvertBoxType',
    'RegularizeRotatedBox',
)


def pipelines(node: Any, place: str) -> Iterator[tuple[str, Sequence[Mapping]]]:
    """Find the pipelines below a part of a config.

    Args:
        node: The part, for example train_dataloader.
        place: Its name.

    Yields:
        The dotted name of each pipeline and its transforms.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in ('pipeline', 'switch_pipeline', 'new_train_pipeline') and isinstance(value, (list, tuple)):
                yield f'{place}.{key}', value
            else:
                yield from pipelines(value, f'{place}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from pipelines(value, f'{place}.{index}')


def check_borders(pipeline: Sequence[Mapping], place: str, largest: Callable[[], Size]) -> None:
    """Check that the affine transforms of a pipeline leave something of the image.

    Args:
        pipeline: Configs of transforms.
        place: The dotted name of the pipeline.
        largest: Gives the largest width and height among the images of the data set, None if they are not known.

    Raises:
        ConfigConflictError: If an output is always smaller than a pixel.
    """
    _sizes_after(pipeline, place, [RAW], largest)


def _sizes_after(steps: Sequence[Any], place: str, sizes: list[Any], largest: Callable[[], Size]) -> list[Any]:
    """Return the sizes that are possible behind some transforms, one for each way through them, given those before."""
    for index, step in enumerate(steps):
        kind = _kind(step)
        here = f'{place}.{index}'
        if kind and isinstance(step.get('pre_transform'), (list, tuple)):
            _sizes_after(step['pre_transform'], f'{here}.pre_transform', [RAW], largest)
        if kind in _AFFINE:
            border = step.get('border') or (0, 0)
            if min(border) < 0:
                sizes = [_cut(largest() if size is RAW else size, border, here, kind) for size in sizes]
        elif kind in _MOSAICS:
            scale = _pair(step.get('img_scale', (640, 640)))
            mosaic = None if scale is None else (2 * scale[0], 2 * scale[1])
            sizes = [mosaic, *(sizes if step.get('prob', 1) < 1 else ())]
        elif kind == 'RandomChoice':
            branches = [branch if isinstance(branch, (list, tuple)) else [branch] for branch in step['transforms']]
            sizes = [
                size
                for number, branch in enumerate(branches)
                for size in _sizes_after(branch, f'{here}.transforms.{number}', sizes, largest)
            ]
        elif kind in _SIZED:
            sizes = [_resized(step, kind)]
        elif kind not in _SAME_SIZE:
            sizes = [None]
    return sizes


def _kind(step: Any) -> str:
    """Return the name of a transform without its prefix, empty if it is not a config."""
    kind = step.get('type', '') if isinstance(step, Mapping) else ''
    return (kind if isinstance(kind, str) else kind.__name__).rsplit('.', 1)[-1]


def _pair(value: Any) -> Size:
    if isinstance(value, (int, float)):
        return float(value), float(value)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(item, (int, float)) for item in value):
        return float(value[0]), float(value[1])
    return None


def _resized(step: Mapping, kind: str) -> Size:
    """Return the largest image that a resize or crop gives."""
    size = _pair(step.get(_SIZED[kind]))
    if size is None or kind == 'RandomCrop' and step.get('crop_type', 'absolute') != 'absolute':
        return None
    if kind == 'RandomResize':
        ratio = max(step.get('ratio_range') or (1, 1))
        size = (size[0] * ratio, size[1] * ratio)
    if step.get('keep_ratio') or kind == 'YOLOv5KeepRatioResize':  # may stand upright as well as lie
        return max(size), max(size)
    return size


def _cut(size: Size, border: Sequence[int], place: str, kind: str) -> Size:
    """Return what is left behind an affine transform.

    Raises:
        ConfigConflictError: If it is less than a pixel.
    """
    if size is None:
        return None
    left = (size[0] + 2 * border[0], size[1] + 2 * border[1])
    if min(left) < 1:
        raise ConfigConflictError(
            f'{place}.border of {kind} is {tuple(border)}, which cuts images of at most {size[0]:g}x{size[1]:g} pixels '
            f'to {left[0]:g}x{left[1]:g}: such a border belongs behind a Mosaic of the same img_scale; without one set '
            'border=(0, 0).'
        )
    return left
