"""Check, before the first image of a prediction, that a network can work at the size of its input.

The levels of a network halve the image again and again and are joined later, which fits only if each side is a multiple
of the coarsest level's stride.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from torch import nn

from mmyolo.registry import TRANSFORMS
from mmyolo.utils.literal_config import ConfigContentError
from tmi.errors import SettingError, settings_file
from tmi.families.image_size import nearest_sizes, resolve_size
from tmi.setting_names import setting_name

LARGEST_STRIDE = 1024
SAMPLE_SHAPES = ((480, 640), (640, 480), (64, 64))  # (h, w); a pipeline may keep the ratio


def largest_stride(head: nn.Module) -> int:
    """Return the stride of the coarsest level of a head.

    Args:
        head: Of a detector.
    """
    strides = getattr(getattr(head, 'prior_generator', None), 'strides', None) or head.head_module.featmap_strides
    return max(max(stride) if isinstance(stride, (tuple, list)) else stride for stride in strides)


def check_input_size(
    model: nn.Module, steps: Sequence[dict[str, Any]], asked: tuple[int, int] | None, source: Path
) -> None:
    """Reject a size at which the network cannot work.

    Args:
        model: The detector.
        steps: What `pixel_transforms` gives.
        asked: `img_size` of the user, (width, height); None for the model's own.
        source: The weight file, for messages.

    Raises:
        ConfigContentError: If stride or padding are not sensible numbers.
        TaskError: 300001 naming the sizes next to it.
    """
    stride = largest_stride(model.bbox_head)
    divisor = model.data_preprocessor.pad_size_divisor
    for name, value in (('largest stride', stride), ('pad_size_divisor', divisor)):
        if not isinstance(value, int) or not 1 <= value <= LARGEST_STRIDE:
            raise ConfigContentError(
                f'The config of {source} has the {name} {value!r:.80}; a whole number from 1 to '
                f'{LARGEST_STRIDE} is needed.'
            )
    if asked is not None:
        resolve_size(asked[0] if asked[0] == asked[1] else asked, asked, stride)
    for shape in SAMPLE_SHAPES:
        transform = Compose([TRANSFORMS.build(dict(step)) for step in steps])
        results = transform(
            {'img': np.zeros((*shape, 3), np.uint8), 'img_path': '', 'ori_shape': shape, 'img_shape': shape}
        )
        height, width = (-(-side // divisor) * divisor for side in results['img'].shape[:2])
        if height % stride or width % stride:
            raise SettingError(
                f'The config of {source} makes images {width}x{height}, and each side must be a multiple of {stride} '
                f'for this model: set {setting_name("img_size")} in {settings_file()} to '
                f'{nearest_sizes((width, height), stride)}.'
            )
