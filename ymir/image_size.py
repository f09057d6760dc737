"""Setting another input size in a config: which transforms hold it, and under which name."""
from typing import Any, Dict, Iterable, List, Sequence, Tuple, Union

from ymir_exc.code import ExecutorReturnCode

from ymir.errors import TaskError

Size = Tuple[int, int]

# Transform to the argument that holds (width, height).
SIZE_ARGUMENTS = {
    'Mosaic': 'img_scale',
    'Mosaic9': 'img_scale',
    'YOLOXMixUp': 'img_scale',
    'YOLOv5KeepRatioResize': 'scale',
    'LetterResize': 'scale',
    'mmdet.Resize': 'scale',
}
# Transforms that cut a mosaic of twice the size back by half a size on each side.
BORDER_TRANSFORMS = ('YOLOv5RandomAffine', 'mmdet.RandomAffine')
# Arguments that hold transforms again.
NESTED_ARGUMENTS = ('pre_transform', 'transforms')


def resolve_size(asked: Union[int, Sequence[int]], own: Size, multiple: int) -> Size:
    """The input size of a run.

    Args:
        asked: `img_size` of the user: 0, a side, or (width, height).
        own: (width, height) of the model's config.
        multiple: The largest stride of the model.

    Returns:
        (width, height).

    Raises:
        TaskError: 300001 if a side is no multiple of the stride.
    """
    if asked == 0:
        return tuple(own)
    size = (asked, asked) if isinstance(asked, int) else tuple(asked)
    if any(side % multiple for side in size):
        nearest = ','.join(str(max(round(side / multiple), 1) * multiple) for side in size)
        raise TaskError(
            ExecutorReturnCode.RC_EXEC_CONFIG_ERROR,
            f'Bad value in config.yaml, img_size: {asked}: each side must be a multiple of {multiple} for this model; '
            f'the nearest is {nearest}.')
    return size


def set_pipeline_size(pipeline: Iterable[Dict[str, Any]], size: Size) -> None:
    """Set the input size in a pipeline, in place.

    Args:
        pipeline: Configs of transforms.
        size: (width, height).
    """
    for transform in pipeline:
        argument = SIZE_ARGUMENTS.get(transform['type'])
        if argument in transform:
            transform[argument] = size
        if transform['type'] in BORDER_TRANSFORMS and any(transform.get('border', (0, 0))):
            transform['border'] = (-size[0] // 2, -size[1] // 2)
        for name in NESTED_ARGUMENTS:
            for nested in _pipelines_in(transform.get(name)):
                set_pipeline_size(nested, size)


def _pipelines_in(value: Any) -> List[List[Dict[str, Any]]]:
    """A pipeline, or each of a list of pipelines; options of Albu look alike but name no transform of ours."""
    if not isinstance(value, (list, tuple)) or not value:
        return []
    if isinstance(value[0], (list, tuple)):
        return list(value)
    return [value] if all(isinstance(item, dict) and 'type' in item for item in value) else []
