"""COCO's run-length masks: their boxes, without the mask.

Runs alternate between outside and inside, beginning outside, down one column of pixels after the other. They stand as
a list of numbers, or packed into text: 5 bits a character from `0` on, the sixth says that more follow, and from the
fourth number on the difference to the one before last.
"""

from __future__ import annotations

from typing import Any

MAX_BITS = 35  # of a packed number; COCO's tools have 32


def mask_corners(mask: Any) -> tuple[int, int, int, int]:
    """Return the box around a mask: xmin, ymin, xmax, ymax, the far corner outside.

    Args:
        mask: `{"size": [height, width], "counts": [...] or "..."}`.

    Raises:
        ValueError: it is not such a mask, or nothing is inside.
    """
    (height, width), counts = runs_of(mask)
    tops, bottoms, columns = [], [], []
    start = 0
    for number, count in enumerate(counts):
        if number % 2 and count:
            first, last = start, start + count - 1
            columns += [first // height, last // height]
            whole = first // height != last // height  # such a run reaches the bottom and goes on at the top
            tops.append(0 if whole else first % height)
            bottoms.append(height - 1 if whole else last % height)
        start += count
    if not columns:
        raise ValueError('its mask is empty')
    return min(columns), min(tops), max(columns) + 1, max(bottoms) + 1


def runs_of(mask: Any) -> tuple[tuple[int, int], list[int]]:
    """Return the size of a mask, height and width, and its runs.

    Args:
        mask: `{"size": [height, width], "counts": [...] or "..."}`.

    Raises:
        ValueError: it is not such a mask.
    """
    try:
        height, width = (int(side) for side in mask['size'])
        counts = unpack(mask['counts']) if isinstance(mask['counts'], str) else [int(n) for n in mask['counts']]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError('its segmentation is not a run-length mask') from None
    if height < 1 or width < 1 or min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f'the runs of its mask do not add up to {width} x {height} pixels')
    return (height, width), counts


def unpack(text: str) -> list[int]:
    """Return the runs that a text packs.

    Args:
        text: as COCO's tools write it.

    Raises:
        ValueError: it ends within a number, or holds what COCO's tools would read as another one.
    """
    if not text.isascii():
        raise ValueError('the packed runs are not ASCII text')
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        code = ord(letter) - 48
        number |= (code & 31) << shift
        shift += 5
        if shift > MAX_BITS:
            raise ValueError('a packed run is too large')
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError('the packed runs end too early')
    return counts
