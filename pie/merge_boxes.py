"""Boxes of overlapping tiles become boxes of the whole picture.

An object where tiles overlap is found in each of them: whole in one, perhaps, and cut by the border of another. Whole
boxes count first, those that overlap a better one are left out, and so are cut ones most of which a whole one covers.
An object that is whole in no tile is larger than what tiles share: its pieces are joined.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pie.metrics import Boxes

NEAR_BORDER = 0.01  # of the side of a tile: as near to its border a box counts as cut
LEAST_NEAR = 2.0  # pixels
CELL, LEAST_CELL = 4.0, 16.0  # side of the cells by which near boxes are found: median sides of a box, pixels
COVERED = 0.5  # of a cut box
SAME_PIECE = 0.5  # IoU of two pieces within the area that both tiles see


def join_tiles(found: Boxes, windows: np.ndarray, size: Sequence[int], iou: float) -> Boxes:
    """Return each object once.

    Args:
        found: Boxes of all tiles, in pixels of the picture.
        windows: (n, 4) left, top, right, bottom of the tile that each comes from.
        size: (width, height) of the picture.
        iou: Of two whole boxes of one class that overlap more than this, the better one stays.

    Returns:
        Boxes within the picture, best first.
    """
    limits = np.array([size[0], size[1]] * 2, np.float64)
    boxes = np.clip(found.boxes, 0, limits)
    cut = _is_cut(boxes, windows, limits)
    filled = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    cell = max(CELL * float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))), LEAST_CELL) if len(boxes) else 1.0
    kept, pieces = _Places(boxes, cell), _Places(boxes, cell)
    for index in np.lexsort((-found.scores, cut)):
        if not filled[index]:
            continue
        others = _others(kept.near(index), index, found.labels, windows)
        if len(others) and _is_known(boxes[index], boxes[others], bool(cut[index]), iou):
            continue
        (pieces if cut[index] else kept).add(index)
    rows = [(boxes[index], found.labels[index], found.scores[index]) for index in kept.members]
    for group in _groups(pieces, boxes, found.labels, windows):
        hull = np.concatenate([boxes[group, :2].min(axis=0), boxes[group, 2:].max(axis=0)])
        rows.append((hull, found.labels[group[0]], found.scores[group].max()))
    rows.sort(key=lambda row: -row[2])
    if not rows:
        return Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    return Boxes(*(np.array(column) for column in zip(*rows)))


class _Places:
    """Boxes by the cells of a grid that they touch, so that near ones are found without looking at all."""

    def __init__(self, boxes: np.ndarray, cell: float) -> None:
        self._cells = np.floor(boxes / cell).astype(int)
        self._members: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.members: list[int] = []

    def add(self, index: int) -> None:
        self.members.append(int(index))
        for key in self._touched(index):
            self._members[key].append(int(index))

    def near(self, index: int) -> set[int]:
        return {other for key in self._touched(index) for other in self._members.get(key, ())}

    def _touched(self, index: int) -> Iterator[tuple[int, int]]:
        left, top, right, bottom = self._cells[index]
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                yield row, column


def _others(near: set[int], index: int, labels: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Return the near boxes of the same class that come from other tiles."""
    others = np.fromiter(sorted(near), int, len(near))
    others = others[labels[others] == labels[index]]
    return others[(windows[others] != windows[index]).any(axis=1)]


def _is_cut(boxes: np.ndarray, windows: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return which boxes reach to a border of their tile that is none of the picture."""
    sides = np.tile(windows[:, 2:] - windows[:, :2], 2)
    near = np.abs(boxes - windows) <= np.maximum(NEAR_BORDER * sides, LEAST_NEAR)
    outer = np.concatenate([windows[:, :2] <= 0, windows[:, 2:] >= limits[2:]], axis=1)
    return (near & ~outer).any(axis=1)


def _is_known(box: np.ndarray, others: np.ndarray, is_cut: bool, iou: float) -> bool:
    common = _common(box[None], others)
    area = _areas(box[None])[0]
    if is_cut:
        return bool((common > COVERED * area).any())
    return bool((common > iou * (area + _areas(others) - common)).any())


def _groups(pieces: _Places, boxes: np.ndarray, labels: np.ndarray, windows: np.ndarray) -> list[list[int]]:
    """Return cut boxes by the object that they are pieces of."""
    group = {index: [index] for index in pieces.members}
    for index in pieces.members:
        for other in _others(pieces.near(index), index, labels, windows):
            if other < index or group[other] is group[index] or not _is_same(index, other, boxes, windows):
                continue
            joined = group[index] + group[other]
            for member in joined:
                group[member] = joined
    return list({id(members): members for members in group.values()}.values())


def _is_same(first: int, second: int, boxes: np.ndarray, windows: np.ndarray) -> bool:
    """Return whether two pieces are of one object: where both tiles see, they cover the same."""
    shared = np.concatenate(
        [np.maximum(windows[first, :2], windows[second, :2]), np.minimum(windows[first, 2:], windows[second, 2:])]
    )
    if (shared[2:] <= shared[:2]).any():
        return False
    parts = np.clip(boxes[[first, second]], np.tile(shared[:2], 2), np.tile(shared[2:], 2))
    common = _common(parts[:1], parts[1:])[0]
    union = _areas(parts).sum() - common
    return union > 0 and common >= SAME_PIECE * union


def _common(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:, :2], others[:, :2]), np.minimum(box[:, 2:], others[:, 2:])
    return np.clip(high - low, 0, None).prod(axis=1)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
