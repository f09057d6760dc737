"""From low-resolution masks of kept boxes to binary masks of the original image; every instance head predicts through
here.

Only boxes that survived NMS get a mask. A photograph of 12 megapixels with 300 objects would take 14 GB as float, so
masks are enlarged a few at a time and only their bits are kept, or with `masks_as_rle` their run-length code.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as mask_utils
from torch import Tensor

# Pixels of float masks that are held at once, 64 MB.
_MAX_PIXELS = 1 << 24


class Frame(NamedTuple):
    """Where an original image lies in the input of the network, in whole pixels."""

    top: int
    bottom: int
    """First row below it."""
    left: int
    right: int
    """First column right of it."""
    ori_shape: tuple[int, int]
    """Height and width of the original image."""

    def crop(self, masks: Tensor) -> Tensor:
        """(n, H, W) masks of the input -> those of the part with the image."""
        return masks[:, self.top : self.bottom, self.left : self.right]


def frame_of(meta: dict, input_shape: tuple[int, int]) -> Frame:
    """Find the image in its padded input.

    Args:
        meta: `ori_shape` (height, width) and `scale_factor` (width, height); `pad_param` (top, bottom, left, right) if
            the image was padded on any side. Halves, where both sides of a direction share an odd pixel, go to the
            image.
        input_shape: height and width of the input.

    Returns:
        The frame. Without `pad_param` the image lies at the top left, as big as `scale_factor` makes it.
    """
    height, width = input_shape
    ori_height, ori_width = meta['ori_shape'][:2]
    if meta.get('pad_param') is not None:
        top, bottom, left, right = (int(side) for side in meta['pad_param'])
        return Frame(top, height - bottom, left, width - right, (ori_height, ori_width))
    scale_x, scale_y = meta['scale_factor']
    bottom = min(height, max(1, round(ori_height * scale_y)))
    right = min(width, max(1, round(ori_width * scale_x)))
    return Frame(0, bottom, 0, right, (ori_height, ori_width))


def enlarge(masks: Tensor, size: Sequence[int]) -> Tensor:
    """(n, h, w) masks -> (n, *size), bilinear; such a size already is returned as it is."""
    if tuple(masks.shape[-2:]) == tuple(size):
        return masks
    return F.interpolate(masks[None], size=tuple(size), mode='bilinear', align_corners=False)[0]


def draw_masks(
    draw: Callable[[slice], Tensor],
    count: int,
    size: tuple[int, int],
    pixels: int,
    device: torch.device,
    as_rle: bool = False,
) -> Tensor | list[dict]:
    """Draw masks a few at a time.

    Args:
        draw: (slice of the boxes) -> (n, *size) bool.
        count: boxes.
        size: height and width of the masks.
        pixels: pixels of the largest float mask of a box on the way, `size` aside.
        device: of the masks.
        as_rle: return run-length codes, so that no more than a few masks are held at once.

    Returns:
        (count, *size) bool; with `as_rle` a list of `count` codes, see `encode`.
    """
    step = max(1, _MAX_PIXELS // max(1, pixels, size[0] * size[1]))
    parts = (slice(start, min(start + step, count)) for start in range(0, count, step))
    if as_rle:
        return [code for part in parts for code in encode(draw(part))]
    masks = torch.zeros((count, *size), dtype=torch.bool, device=device)  # one byte a pixel
    for part in parts:
        masks[part] = draw(part)
    return masks


def encode(masks: Tensor) -> list[dict]:
    """Return masks in COCO's compressed run-length code.

    Args:
        masks: (n, h, w) bool.

    Returns:
        `size` [h, w] and `counts`, bytes, of each.
    """
    bits = masks.cpu().numpy().view(np.uint8)
    # one by one: pycocotools takes no more than 255 masks at once
    return [mask_utils.encode(np.asfortranarray(mask)) for mask in bits]


def logit_of(threshold: float) -> float:
    """Return the logit of a threshold of probabilities: comparing logits spares a sigmoid per pixel."""
    if not 0 < threshold < 1:
        return -math.inf if threshold <= 0 else math.inf
    return math.log(threshold / (1 - threshold))
