"""The classes of public files that were trained on COCO: an output for every number of its categories, 0 to 90.

Eleven of these numbers belong to no category, and their outputs were never trained.
"""

from collections.abc import Mapping

from mmdet.datasets import CocoDataset
from torch import Tensor

OUTPUTS = 91
UNUSED = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
NUMBERS = [number for number in range(OUTPUTS) if number not in UNUSED]
CLASS_NAMES: tuple[str, ...] = CocoDataset.METAINFO['classes']  # in the order of the numbers
HEADS = 'class_embed.'


def has_coco_outputs(state: Mapping[str, Tensor]) -> bool:
    """Return whether weights have an output for every number of a category of COCO."""
    return any(_is_output(name, value) for name, value in state.items())


def select_coco_classes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights whose outputs are the classes of `CLASS_NAMES`.

    Args:
        state: Weights with an output for every number.
    """
    return {name: value[NUMBERS] if _is_output(name, value) else value for name, value in state.items()}


def _is_output(name: str, value: Tensor) -> bool:
    return name.startswith(HEADS) and value.ndim > 0 and len(value) == OUTPUTS
