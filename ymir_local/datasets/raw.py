"""What the reader of a format gives: labels as they stand in the files, before they are held against the images."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SHOWN_PER_KIND = 20
# Kinds of warnings after which all labels that a data set has are there.
HARMLESS = (
    'names that differ',
    'other formats',
    'nc',
    'no class names',
    'categories without objects',
    'no test images',
    'classes with the same name',
    'images of another size',
    'images without label file',
    'boxes clipped',
)
MOST_PIXELS = 2**31  # of a coordinate
UNLABELLED = 'the image may show objects, so it is for inference and mining only'


class RawBox(NamedTuple):
    """One annotated object.

    Attributes:
        class_name: as written.
        corners: xmin, ymin, xmax, ymax, the far corner outside the box; in pixels, or in shares of the image's sides.
        place: where it stands in the file of labels, such as `line 3`.
        difficult: VOC's mark.
        crowd: COCO's mark of a region of many objects.
        mask: as the file has it, see `mask_in_file`; None without one.
    """

    class_name: str
    corners: tuple[float, float, float, float]
    place: str
    difficult: bool = False
    crowd: bool = False
    mask: Any = None


class RawImage(NamedTuple):
    """One image with its labels.

    Attributes:
        path: the image file; it may not exist.
        source: the file that holds the labels, or that lists the image.
        boxes: may be empty.
        relative: corners are shares of the image's sides.
        size: width and height for which the boxes were drawn, where the file of labels says so.
    """

    path: Path
    source: Path
    boxes: Sequence[RawBox]
    relative: bool = False
    size: tuple[int, int] | None = None


def size_in_file(width: Any, height: Any) -> tuple[int, int] | None:
    """Return a size as a file of labels gives it; None if it is none, such as the 0 that some tools write."""
    try:
        size = int(float(width)), int(float(height))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def number_in_file(value: Any) -> float:
    """Return a number as a JSON file gives it, whole ones whole; also as text.

    Args:
        value: of the file.

    Raises:
        TypeError, ValueError: it is none.
    """
    if isinstance(value, str):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{value!r} is not a number')
    return value


def polygons_in_file(value: Any) -> list[list[float]]:
    """Return polygons [[x, y, ...], ...] in pixels, without those that are empty.

    Args:
        value: of the file: a list of polygons, or a single one.

    Raises:
        ValueError: it is neither, or a number is none of a place in an image.
    """
    try:
        polygons = value if isinstance(value[0], (list, tuple)) else [value]
        polygons = [[float(number) for number in polygon] for polygon in polygons if len(polygon)]
    except (TypeError, ValueError, LookupError, OverflowError):
        polygons = []
    fits = all(abs(number) < MOST_PIXELS for polygon in polygons for number in polygon)  # NaN does not, either
    if not polygons or not fits:
        raise ValueError('its segmentation is not a list of polygons [x, y, x, y, ...] in numbers')
    return polygons


def mask_in_file(value: Any) -> Any:
    """Return polygons [[x, y, ...], ...] in pixels or COCO's run-length code; None for what is neither.

    Args:
        value: `segmentation` of a COCO file: polygons, a single one, or a mapping with `size` and `counts`.
    """
    try:
        if isinstance(value, dict):
            mask = {key: value[key] for key in ('size', 'counts')}
            json.dumps(mask, allow_nan=False)
            return mask
        return polygons_in_file(value)
    except (TypeError, ValueError, KeyError):
        return None


class Warnings:
    """Collects what was left out or changed; of each kind the first `SHOWN_PER_KIND` in full, then their number."""

    def __init__(self) -> None:
        self._shown: dict[str, list[str]] = {}
        self._losses: dict[str, str] = {}
        self._counts: Counter = Counter()

    def add(self, kind: str, text: str, is_loss: bool = True) -> None:
        """Add a warning.

        Args:
            kind: what is wrong, in general.
            text: a sentence that names file and place.
            is_loss: labels may be missing therefore.
        """
        self._counts[kind] += 1
        if is_loss and kind not in HARMLESS:
            self._losses.setdefault(kind, text)
        shown = self._shown.setdefault(kind, [])
        if len(shown) < SHOWN_PER_KIND:
            shown.append(text)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Return the first warnings of a kind.

        Args:
            kind: what is wrong, in general.
        """
        return tuple(self._shown.get(kind, ()))

    def of_losses(self) -> tuple[str, ...]:
        """Return the first warning of every kind after which labels are missing."""
        return tuple(self._losses.values())

    def sentences(self) -> tuple[str, ...]:
        """Return all warnings, by kind."""
        result: list[str] = []
        for kind, shown in self._shown.items():
            result += shown
            rest = self._counts[kind] - len(shown)
            if rest:
                result.append(f'... and {rest} more of the same: {kind}')
        return tuple(result)


@dataclass
class RawDataset:
    """A data set as it stands in its files.

    Args:
        class_names: as written, in the order of the format.
        splits: images of 'train', 'val' and 'test', or of 'all' where there are no parts.
        warnings: collects what is left out.
        unlabelled: images that have no labels in a format where those without objects have, so they may show some.
    """

    class_names: list[str] = field(default_factory=list)
    splits: dict[str, list[RawImage]] = field(default_factory=dict)
    warnings: Warnings = field(default_factory=Warnings)
    unlabelled: list[RawImage] = field(default_factory=list)

    def rest_to_train(self) -> None:
        """Count images of no split as training images where others have one."""
        if len(self.splits) > 1 and 'all' in self.splits:
            self.splits['train'] = self.splits.get('train', []) + self.splits.pop('all')

    def used_classes(self) -> set[str]:
        """Return the classes of all boxes, as written."""
        return {box.class_name for images in self.splits.values() for image in images for box in image.boxes}
