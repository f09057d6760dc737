"""Images with labels: what every reader of a data set gives and every writer takes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LabelledBox:
    """One object: its class and its box in pixels, `x, y` the first pixel inside and `w, h` counted in pixels.

    `difficult` is VOC's mark of an object that is hard to recognise. `mask` is its mask as COCO holds it, polygons
    [[x, y, ...], ...] or a run-length code {size, counts}; None without one, and where masks were not asked for.
    """

    class_index: int
    x: int
    y: int
    w: int
    h: int
    difficult: bool = False
    mask: Any = field(default=None, hash=False)

    def corners(self) -> dict[str, int]:
        """Return the first and the last pixel inside, by the names of VOC."""
        return {'xmin': self.x, 'ymin': self.y, 'xmax': self.x + self.w - 1, 'ymax': self.y + self.h - 1}


@dataclass(frozen=True)
class LabelledImage:
    """An image file with what is to be seen in it.

    Args:
        path: of the file.
        width, height: in pixels.
        boxes: its objects.
        crowds: COCO's regions of many objects that nobody counted. A training leaves them out; what is found there is
            neither right nor wrong.
    """

    path: Path
    width: int
    height: int
    boxes: tuple[LabelledBox, ...]
    crowds: tuple[LabelledBox, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A data set on this machine.

    Args:
        class_names: names by class index.
        splits: images of each part, 'train', 'val' and 'test'; 'all' where the data set has no parts.
        warnings: what a reader left out or changed, one sentence each, with file and place.
        root: where it was read from.
        unlabelled: further images, whose objects nobody has marked; for inference and mining.
        left_out: split, path and reason of each image that cannot be read.
        labelled: there are files of labels, not images alone.
        losses: those of the warnings, one of each kind, that say why labels are missing.
    """

    class_names: tuple[str, ...]
    splits: dict[str, tuple[LabelledImage, ...]]
    warnings: tuple[str, ...] = ()
    root: Path = field(default=Path('.'))
    unlabelled: tuple[LabelledImage, ...] = ()
    left_out: tuple[tuple[str, Path, str], ...] = ()
    labelled: bool = True
    losses: tuple[str, ...] = ()

    def num_boxes(self, split: str | None = None) -> int:
        """Return the number of objects.

        Args:
            split: of this part only.
        """
        return sum(len(image.boxes) for image in (self.images() if split is None else self.splits.get(split, ())))

    def images(self) -> tuple[LabelledImage, ...]:
        """Return the images of all parts, in order."""
        return tuple(image for part in self.splits.values() for image in part)
