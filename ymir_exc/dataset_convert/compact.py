"""Images with their boxes in arrays of numbers: a few hundred bytes an image, not thousands as objects of Python."""

from __future__ import annotations

from array import array
from itertools import accumulate, chain
from typing import Any, Iterator, NamedTuple, Sequence

from ..annotations.objects import Row, whole


class LabelledImage(NamedTuple):
    """An image that can be trained on.

    Attributes:
        path: its path in the index file.
        width, height: in pixels, as the loader sees it.
        rows: its objects, inside the image; xmax and ymax exclusive.
    """

    path: str
    width: int
    height: int
    rows: list[Row]


class LabelledImages:
    """Images that can be trained on, in the order of the index, with their objects; may be pickled.

    Attributes:
        paths: their paths in the index file.
        widths, heights: in pixels, as the loader sees them.
        sizes: of the files, in bytes.
        digests: of the beginning and end of the files.
        counts: boxes of each.
        class_ids: of each box; those of the images follow one another.
        boxes: xmin, ymin, xmax, ymax of each box, in pixels and inside the image; the far corner is exclusive.
        qualities, angles: of each box; NaN if not given.
        others: what coco alone has, (iscrowd, segmentation, area), by the number of the box.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.widths, self.heights = array('i'), array('i')
        self.sizes, self.digests = array('q'), array('q')
        self.counts, self.class_ids = array('i'), array('i')
        self.boxes, self.qualities, self.angles = array('d'), array('d'), array('d')
        self.others: dict[int, tuple[int, Any, float | None]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[LabelledImage]:
        first = 0
        for index, count in enumerate(self.counts):
            rows = [self._row(box) for box in range(first, first + count)]
            yield LabelledImage(self.paths[index], self.widths[index], self.heights[index], rows)
            first += count

    def _row(self, box: int) -> Row:
        corners = map(whole, self.boxes[4 * box : 4 * box + 4])
        return (self.class_ids[box], *corners, '', self.qualities[box], self.angles[box], self.others.get(box))

    def add(self, path: str, size: Sequence[int], num_boxes: int) -> None:
        """Add an image, whose boxes follow by :meth:`add_rows`.

        Args:
            path: its path in the index file.
            size: its width and height in pixels, the size of the file in bytes, and the digest.
            num_boxes: how many it has.
        """
        self.paths.append(path)
        for numbers, number in zip((self.widths, self.heights, self.sizes, self.digests), size):
            numbers.append(number)
        self.counts.append(num_boxes)

    def add_rows(self, rows: Sequence[Row]) -> None:
        """Add the objects of one or more images.

        Args:
            rows: clipped to the image.
        """
        if not rows:
            return
        class_ids, *corners, _, qualities, angles, others = zip(*rows)
        if any(others):
            first = len(self.class_ids)
            # An area without a mask is that of the box.
            self.others.update(
                (box, values) for box, values in enumerate(others, first) if values and (values[0] or values[1])
            )
        self.class_ids.extend(class_ids)
        self.boxes.extend(chain.from_iterable(zip(*corners)))
        self.qualities.extend(qualities)
        self.angles.extend(angles)

    def extend(self, more: LabelledImages) -> None:
        """Add the images of another one."""
        first = len(self.class_ids)
        self.paths += more.paths
        for name in ('widths', 'heights', 'sizes', 'digests', 'counts', 'class_ids', 'boxes', 'qualities', 'angles'):
            getattr(self, name).extend(getattr(more, name))
        self.others.update((first + box, values) for box, values in more.others.items())

    def subset(self, indices: Sequence[int]) -> LabelledImages:
        """Return some of the images.

        Args:
            indices: which, in the order that they are to have.
        """
        starts = [0, *accumulate(self.counts)]
        chosen = LabelledImages()
        for index in indices:
            size = self.widths[index], self.heights[index], self.sizes[index], self.digests[index]
            chosen.add(self.paths[index], size, self.counts[index])
            chosen.add_rows([self._row(box) for box in range(starts[index], starts[index + 1])])
        return chosen
