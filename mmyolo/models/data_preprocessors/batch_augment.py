"""Colour and flip of whole batches on their device: what the transforms drew and left to be done there.

The numbers are those of OpenCV's conversion of bytes between BGR and HSV, with the hue in steps of two degrees, so that
a training sees the same pixels wherever they are computed. The canvases of PPYOLOE's images are drawn here too.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

CHUNK = 8  # images at a time, which bounds the memory of what is computed on the way


def augment_batch(images: Tensor, data_samples: dict) -> Tensor:
    """Do what `yolov5_collate` says is left to do.

    Args:
        images: (n, 3, h, w) BGR bytes.
        data_samples: May have `hsv_tables` (n, 3, 256) bytes and `flips` (n, 2), whether each image is to be flipped
            horizontally and vertically.

    Returns:
        (n, 3, h, w) bytes.
    """
    if 'hsv_tables' in data_samples:
        images = map_hsv(images, data_samples['hsv_tables'])
    if 'flips' in data_samples:
        images = flip_images(images, data_samples['flips'])
    return images


def map_hsv(images: Tensor, tables: Tensor) -> Tensor:
    """Replace hue, saturation and value of each image by those that its tables give.

    Args:
        images: (n, 3, h, w) BGR bytes.
        tables: (n, 3, 256) bytes; hues below 180.

    Returns:
        A new (n, 3, h, w) of bytes.
    """
    result = torch.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        hue, saturation, value = _to_hsv(images[part])
        # One table for all: an image has its own 256 entries of it.
        offset = 256 * torch.arange(len(hue), dtype=torch.int32, device=images.device)[:, None, None]
        mapped = [
            tables[part, index].flatten()[plane + offset].float()
            for index, plane in enumerate((hue, saturation, value))
        ]
        result[part] = _to_bgr(*mapped)
    return result


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n, 3, h, w) BGR bytes to three (n, h, w) int32."""
    blue, green, red = images.int().unbind(1)
    value = torch.maximum(torch.maximum(blue, green), red)
    spread = value - torch.minimum(torch.minimum(blue, green), red)
    numbers = torch.arange(256, dtype=torch.float64, device=images.device).clamp_(min=1)
    # Fixed-point reciprocals of 12 bits; where a divisor is 0, so is the dividend.
    per_value = (255 * 4096 / numbers).round_().int()
    per_spread = (180 * 4096 / 6 / numbers).round_().int()
    saturation = (spread * per_value[value] + 2048) >> 12
    hue = torch.where(
        value == red, green - blue, torch.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    )
    hue = (hue * per_spread[spread] + 2048) >> 12
    return torch.where(hue < 0, hue + 180, hue), saturation, value


def _to_bgr(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Three (n, h, w) float32 to (n, 3, h, w) bytes.

    A channel is value * (1 - saturation * t), where t rises and falls with the hue's distance from the channel's own:
    with k = offset + hue in sixths of a turn, t = min(k, 4 - k), between 0 and 1.
    """
    offsets = hue.new_tensor([1, 3, 5])[:, None, None]  # blue, green, red
    k = (hue * (6 / 180))[:, None] + offsets  # (n, 3, h, w)
    k = torch.where(k >= 6, k - 6, k)
    t = torch.minimum(k, 4 - k).clamp_(0, 1)
    t.mul_((saturation * (1 / 255))[:, None]).neg_().add_(1).mul_((value * (1 / 255))[:, None]).mul_(255)
    return t.to(torch.uint8)  # cut off, as OpenCV does


def flip_images(images: Tensor, flips: Tensor) -> Tensor:
    """Flip some images of a batch.

    Args:
        images: (n, c, h, w).
        flips: (n, 2) bool, whether each is flipped horizontally and vertically.

    Returns:
        (n, c, h, w).
    """
    for column, dimension in enumerate((3, 2)):
        chosen = flips[:, column, None, None, None]
        images = torch.where(chosen, images.flip(dimension), images)
    return images


def draw_on_canvas(image: Tensor, canvas: Mapping[str, Any]) -> Tensor:
    """Change the colours of an image and make it a part of a canvas.

    Args:
        image: (3, h, w) BGR, of any type; a side of 0 is no image.
        canvas: `shape` (H, W), `corner` (x, y) of the image, `colours` (3, 4) numbers, what to multiply BGR by and what
            to add, `mean` BGR beside the image.

    Returns:
        (3, H, W) float32.
    """
    drawn = torch.empty((3, *canvas['shape']), device=image.device)
    (left, top), (height, width) = canvas['corner'], image.shape[1:]
    if (height, width) != tuple(canvas['shape']):
        for plane, value in zip(drawn, canvas['mean']):
            plane.fill_(value)
    inside = drawn[:, top : top + height, left : left + width]
    planes = image.float()
    for plane, (*factors, shift) in zip(inside, canvas['colours']):
        torch.mul(planes[0], factors[0], out=plane)
        plane.add_(planes[1], alpha=factors[1]).add_(planes[2], alpha=factors[2]).add_(shift)
    return drawn
