"""The changed images that `cald` compares an image with, made on the device from what the network would see.

Each image is changed on its own, and by random numbers that follow from its pixels, so nothing depends on its batch or
on where it lies.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ANGLE = 5  # degrees
SHRINK = 0.8
CUTS = 2  # at most
TRIES = 50
CUT_SIDES = (0.05, 0.2)  # of the image's
CUT_SHARE = (0.1, 0.4)  # of the box that is hidden most
FILL = 114  # what letterboxes are filled with
BLACK = 0


class View(NamedTuple):
    """A changed batch.

    Args:
        pixels: (B, H, W, 3) uint8.
        boxes: Of each image (n, 4) xyxy in pixels of the view.
    """

    pixels: Tensor
    boxes: list[np.ndarray]


def make_views(
    pixels: Tensor,
    boxes: Sequence[np.ndarray],
    metas: Sequence[dict[str, Any]],
    randoms: Sequence[np.random.Generator],
    input_multiple: int | None = None,
) -> Iterator[View]:
    """Yield the views of a batch: flipped, cut, shrunk, turned.

    Args:
        pixels: (B, H, W, 3) uint8, letterboxed.
        boxes: Of each image (n, 4) xyxy in pixels of `pixels`.
        metas: `pad_param` of each image that is padded.
        randoms: For the cut-outs of each image.
        input_multiple: As of a `Predictor`.

    Yields:
        The views, of the size of `pixels`; the shrunk one smaller, which saves time, if `input_multiple` is known.
    """
    height, width = pixels.shape[1:3]
    flipped = [np.stack([width - one[:, 2], one[:, 1], width - one[:, 0], one[:, 3]], 1) for one in boxes]
    yield View(pixels.flip(2), flipped)
    cut = pixels.clone()
    for image, one, meta, random in zip(cut, boxes, metas, randoms):
        padding = meta.get('pad_param')
        top, bottom, left, right = (0, 0, 0, 0) if padding is None else map(int, padding)
        region = (left, top, width - right, height - bottom)
        for x1, y1, x2, y2 in draw_cuts(one, region, random):
            image[y1:y2, x1:x2] = BLACK
    yield View(cut, list(boxes))
    small, scale = shrink(pixels, input_multiple)
    yield View(small, [one * np.tile(scale, 2) for one in boxes])
    yield View(turn(pixels), [turn_boxes(one, height, width) for one in boxes])


def random_of(pixels: np.ndarray, seed: int) -> np.random.Generator:
    """Return random numbers that follow from an image.

    Args:
        pixels: (h, w, 3) uint8.
        seed: Of the task.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(pixels), digest_size=8).digest()
    return np.random.default_rng([int.from_bytes(digest, 'big'), seed])


def draw_cuts(boxes: np.ndarray, region: Sequence[int], random: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Draw rectangles that hide a part of boxes.

    Args:
        boxes: (n, 4) xyxy.
        region: xyxy of the image within the input.
        random: Random numbers.

    Returns:
        At most `CUTS` rectangles (x1, y1, x2, y2); of the box that one hides most it hides a share within `CUT_SHARE`.
    """
    left, top, right, bottom = region
    cuts: list[tuple[int, int, int, int]] = []
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for _ in range(TRIES):
        width, height = random.uniform(*CUT_SIDES, 2) * (right - left, bottom - top)
        x, y = random.uniform(0, 1, 2) * (right - left - width, bottom - top - height) + (left, top)
        cut = tuple(int(side) for side in np.rint((x, y, x + width, y + height)))
        sides = np.minimum(boxes[:, 2:], cut[2:]) - np.maximum(boxes[:, :2], cut[:2])
        hidden = sides.clip(min=0).prod(1) / np.maximum(areas, 1e-9)
        if CUT_SHARE[0] <= hidden.max(initial=0) <= CUT_SHARE[1]:
            cuts.append(cut)
            if len(cuts) == CUTS:
                break
    return cuts


def shrink(pixels: Tensor, input_multiple: int | None = None) -> tuple[Tensor, tuple[float, float]]:
    """Shrink a batch to `SHRINK`.

    Args:
        pixels: (B, H, W, 3) uint8.
        input_multiple: As of a `Predictor`.

    Returns:
        The batch in the upper left of the least size that the network takes, or of its former size if `input_multiple`
        is not known; and its exact scales in width and height.
    """
    height, width = pixels.shape[1:3]
    rows, columns = max(round(height * SHRINK), 1), max(round(width * SHRINK), 1)
    small = functional.interpolate(
        pixels.permute(0, 3, 1, 2).float(), size=(rows, columns), mode='bilinear', align_corners=False
    )
    if input_multiple is not None:
        height, width = (-(-side // input_multiple) * input_multiple for side in (rows, columns))
    result = pixels.new_full((len(pixels), height, width, 3), FILL)
    result[:, :rows, :columns] = _to_bytes(small)
    return result, (columns / pixels.shape[2], rows / pixels.shape[1])


def turn(pixels: Tensor) -> Tensor:
    """Return a batch turned by `ANGLE` about its centre, counter-clockwise as seen, in its former size."""
    height, width = pixels.shape[1:3]
    cosine, sine = math.cos(math.radians(ANGLE)), math.sin(math.radians(ANGLE))
    # For each pixel of the result the place that it comes from, from -1 to 1 (the outer edges of the batch).
    y, x = (torch.arange(side, device=pixels.device) + 0.5 - side / 2 for side in (height, width))
    y, x = y[:, None], x[None]
    grid = torch.stack(((cosine * x - sine * y) * (2 / width), (sine * x + cosine * y) * (2 / height)), dim=-1)
    turned = functional.grid_sample(
        pixels.permute(0, 3, 1, 2).float() - FILL,  # outside is 0
        grid[None].expand(len(pixels), -1, -1, -1),
        align_corners=False,
    )
    return _to_bytes(turned + FILL)


def turn_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the hulls of boxes that are turned as by `turn`.

    Args:
        boxes: (n, 4) xyxy.
        height: Of the image.
        width: Of the image.

    Returns:
        (n, 4) xyxy, which may lie outside the image.
    """
    cosine, sine = math.cos(math.radians(ANGLE)), math.sin(math.radians(ANGLE))
    x = boxes[:, [0, 2, 2, 0]] - width / 2  # (n, 4) corners
    y = boxes[:, [1, 1, 3, 3]] - height / 2
    x, y = cosine * x + sine * y + width / 2, cosine * y - sine * x + height / 2
    return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1)


def _to_bytes(images: Tensor) -> Tensor:
    """Return (B, 3, H, W) numbers from 0 to 255 as (B, H, W, 3) uint8."""
    return (images + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
