"""Masks as short codes, which the queries of ViDT+ (2204.07962) learn: low frequencies of the mask within its box."""

from functools import lru_cache

import torch
from torch import Tensor

SIDE = 128  # a mask is brought to SIDE x SIDE
LENGTH = 256  # numbers of a code


@lru_cache
def zigzag(side: int = SIDE, length: int = LENGTH) -> tuple[tuple[int, int], ...]:
    """Return (row, column) of the lowest `length` frequencies of a side x side matrix, in the order of JPEG."""
    places = ((row, column) for row in range(side) for column in range(side))

    def order(place: tuple[int, int]) -> tuple[int, int]:
        diagonal = sum(place)
        return diagonal, place[0] if diagonal % 2 else place[1]

    return tuple(sorted(places, key=order)[:length])


@lru_cache
def _cosines(side: int = SIDE, length: int = LENGTH) -> Tensor:
    """Return the rows of the orthonormal DCT-II that a code needs, (frequencies, side) in float64."""
    count = 1 + max(max(place) for place in zigzag(side, length))
    angle = torch.pi / side * torch.arange(count)[:, None] * (torch.arange(side, dtype=torch.float64) + 0.5)
    rows = angle.cos() * (2 / side) ** 0.5
    rows[0] /= 2**0.5
    return rows


def encode_masks(masks: Tensor, boxes: Tensor) -> Tensor:
    """Return the codes of masks.

    Args:
        masks: (n, h, w) bool or 0..1.
        boxes: (n, 4) xyxy in pixels of the masks.

    Returns:
        (n, LENGTH) in float32.
    """
    return encode_crops(crop_masks(masks, boxes) >= 0.5)


def encode_crops(crops: Tensor) -> Tensor:
    """Return the codes of (n, SIDE, SIDE) crops, (n, LENGTH) in float32."""
    cosines = _cosines().to(crops.device, torch.float32)
    rows, columns = torch.tensor(zigzag(), device=crops.device).unbind(1)
    return (cosines @ crops.float() @ cosines.T)[:, rows, columns]


def decode_masks(codes: Tensor) -> Tensor:
    """Return the masks within their boxes that codes stand for.

    Args:
        codes: (n, LENGTH).

    Returns:
        (n, SIDE, SIDE) bool: what lies above the middle between the lowest and the highest value.
    """
    cosines = _cosines().to(codes.device, torch.float32)
    rows, columns = torch.tensor(zigzag(), device=codes.device).unbind(1)
    frequencies = codes.new_zeros(len(codes), len(cosines), len(cosines), dtype=torch.float32)
    frequencies[:, rows, columns] = codes.float()
    values = cosines.T @ frequencies @ cosines
    middle = (values.amax((1, 2), keepdim=True) + values.amin((1, 2), keepdim=True)) / 2
    return values > middle


def crop_masks(masks: Tensor, boxes: Tensor) -> Tensor:
    """Return what lies in the boxes, brought to SIDE x SIDE as by RoIAlign (1703.06870, aligned pixel centres).

    The average over the samples of a bin is a product of two matrices, one for the rows and one for the columns.

    Args:
        masks: (n, h, w).
        boxes: (n, 4) xyxy in pixels.

    Returns:
        (n, SIDE, SIDE) float32.
    """
    if not len(masks):
        return masks.new_zeros(0, SIDE, SIDE, dtype=torch.float32)
    x1, y1, x2, y2 = boxes.float().unbind(1)
    rows = _bin_weights(y1, y2, masks.shape[1])
    columns = _bin_weights(x1, x2, masks.shape[2])
    return rows @ masks.float() @ columns.transpose(1, 2)


def _bin_weights(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Return how much each pixel of a line counts in each bin.

    Args:
        start: (n,) Where the boxes begin, in pixels.
        end: (n,) Where they end.
        size: Pixels of the line.

    Returns:
        (n, SIDE, size).
    """
    width = (end - start) / SIDE
    samples = width.ceil().clamp(min=1)  # of a bin
    number = torch.arange(int(samples.max()), device=start.device)
    bins = torch.arange(SIDE, device=start.device)[:, None]
    each = (number + 0.5)[None, None] / samples[:, None, None]
    place = start[:, None, None] - 0.5 + (bins[None] + each) * width[:, None, None]  # (n, SIDE, samples)
    counts = (number < samples[:, None, None]) & (place >= -1) & (place <= size)
    weight = counts / samples[:, None, None]
    place = place.clamp(0, size - 1)
    low = place.floor()
    upper = weight * (place - low)
    weights = start.new_zeros(len(start), SIDE, size)
    weights.scatter_add_(2, low.long(), weight - upper)
    weights.scatter_add_(2, (low.long() + 1).clamp(max=size - 1), upper)
    return weights
