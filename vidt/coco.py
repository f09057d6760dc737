"""The classes of public files that were trained on COCO: an output for every number of its categories, 0 to 90.

Eleven of these numbers belong to no category, and their outputs were never trained.
"""

from collections.abc import Mapping
from typing import Any

from mmdet.datasets import CocoDataset
from torch import Tensor

OUTPUTS = 91
UNUSED = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
NUMBERS = [number for number in range(OUTPUTS) if number not in UNUSED]
CLASS_NAMES: tuple[str, ...] = CocoDataset.METAINFO['classes']  # in the order of the numbers
COCO = 'coco'  # what public files call the data set
HEADS = 'class_embed.'
WITHOUT_NECK = 'class_embed.layers.'


def is_coco(checkpoint: Mapping[str, Any], state: Mapping[str, Tensor]) -> bool:
    """Return whether a public file was trained on COCO.

    Args:
        checkpoint: Its content. The public code writes the name of its data set among `args`; files of this project,
            converted ones among them, have `meta`, and are none.
        state: Its weights.
    """
    data = getattr(checkpoint.get('args'), 'dataset_file', COCO)
    return 'meta' not in checkpoint and data == COCO and any(_is_output(name, value) for name, value in state.items())


def select_coco_classes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights whose outputs are the classes of `CLASS_NAMES`, and that of no object behind them if there is one.

    Args:
        state: Weights with an output for every number.
    """
    return {
        name: value[[*NUMBERS, *range(OUTPUTS, len(value))]] if _is_output(name, value) else value
        for name, value in state.items()
    }


def _is_output(name: str, value: Tensor) -> bool:
    """Whether these are outputs for all numbers; without neck there is one more, of no object."""
    wanted = OUTPUTS + 1 if name.startswith(WITHOUT_NECK) else OUTPUTS
    return name.startswith(HEADS) and value.ndim > 0 and len(value) == wanted
