"""Reads images' sizes and annotations in parallel and applies the policy for bad data.

========================================  ==============================================================================
what is wrong                             what happens
========================================  ==============================================================================
image missing or unreadable               skipped and reported; an error (300003) if no image of the split is left
annotation missing                        the image is skipped and reported, for it may show objects, and to train on
                                          them as background hurts; an error (300002) if no image of the split is left
annotation of 0 bytes                     an image without objects; kept
class index or name unknown, malformed    an error (300002) naming file, line, value and what is allowed: the whole set
line                                      is then suspect
inverted box; box outside the image or    dropped and reported; an error (300002) if no box of the split is left
thinner than one pixel within it
box partly outside the image              clipped; reported if more than one pixel goes, since many tools write the
                                          far corner exclusive
index file of ``train`` empty             an error (300002)
index file of ``val`` empty               a set without images; whether training can do without is the executor's
                                          decision
========================================  ==============================================================================
"""

from __future__ import annotations

import os
import statistics
from typing import NamedTuple

from ..annotations import AnnotationReader, LabelledObject
from ..errors import DatasetError, ImageFormatError
from ..threads import OnProgress, in_threads
from .image_size import any_image_size, read_image_size
from .report import DataIssue, SplitReport

UNREADABLE = 'unreadable image'
MISSING_ANNOTATION = 'missing annotation'
INVERTED = 'inverted box'
OUTSIDE = 'box outside the image'
THIN = 'box thinner than one pixel within the image'
CLIPPED = 'box partly outside the image'


class DatasetImage(NamedTuple):
    """An image that can be trained on.

    Attributes:
        path: its path in the index file.
        width, height: in pixels, as the loader sees it.
        objects: inside the image; xmax and ymax exclusive.
    """

    path: str
    width: int
    height: int
    objects: list[LabelledObject]


class _ReadImage(NamedTuple):
    image: DatasetImage
    dropped: list[DataIssue]
    clipped: list[DataIssue]


def _fit(item: LabelledObject, width: int, height: int) -> tuple[LabelledObject | None, DataIssue | None]:
    """Clip an object to the image; also says what is wrong with it."""
    box = item[1:5]
    detail = f'x {box[0]} to {box[2]}, y {box[1]} to {box[3]}, image {width} x {height}'
    if box[2] <= box[0] or box[3] <= box[1]:
        return None, DataIssue(place=item.place, reason=INVERTED, detail=detail)
    clipped = (max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        return None, DataIssue(place=item.place, reason=OUTSIDE, detail=detail)
    if clipped[2] - clipped[0] < 1 or clipped[3] - clipped[1] < 1:
        return None, DataIssue(place=item.place, reason=THIN, detail=detail)
    if clipped == box:
        return item, None
    finding = None
    if max(abs(new - old) for new, old in zip(clipped, box)) > 1:
        finding = DataIssue(place=item.place, reason=CLIPPED, detail=detail)
    # An area that the annotation gives is that of its mask, which is not clipped.
    return item._replace(xmin=clipped[0], ymin=clipped[1], xmax=clipped[2], ymax=clipped[3]), finding


def _read_image(image: str, annotation: str, reader: AnnotationReader) -> _ReadImage | DataIssue:
    try:
        width, height = read_image_size(image)
    except OSError as error:
        return DataIssue(place=image, reason=UNREADABLE, detail=str(error))
    items = reader.read(annotation, image)
    if items is None:
        return DataIssue(place=image, reason=MISSING_ANNOTATION, detail=annotation or 'the index line names none')
    fitted = [_fit(item, width, height) for item in items]
    return _ReadImage(
        DatasetImage(image, width, height, [item for item, _ in fitted if item is not None]),
        [finding for item, finding in fitted if item is None],
        [finding for item, finding in fitted if item is not None and finding is not None],
    )


def _spread(values: list[int]) -> tuple[int, int, int]:
    return min(values), int(statistics.median(values)), max(values)


def read_labelled_images(
    items: list[tuple[str, str]],
    reader: AnnotationReader,
    class_names: list[str],
    report: SplitReport,
    num_workers: int | None = None,
    progress: OnProgress | None = None,
) -> list[DatasetImage]:
    """Read a split; see the module's table for what happens to bad data.

    Args:
        items: (image, annotation) of the index file.
        reader: of the annotations' format.
        class_names: in the order of the class index.
        report: filled in.
        num_workers: threads; None: a few per core.
        progress: called now and then with the number of images done and of all.

    Returns:
        The images that were kept, in the order of the index.

    Raises:
        DatasetError: see the table.
    """
    report.num_listed = len(items)
    report.boxes_per_class = dict.fromkeys(class_names, 0)
    images: list[DatasetImage] = []
    with any_image_size():
        for result in in_threads(lambda item: _read_image(*item, reader), items, progress, num_workers):
            if isinstance(result, DataIssue):
                report.skipped_images.add(result)
                continue
            images.append(result.image)
            for finding in result.dropped:
                report.dropped_boxes.add(finding)
            for finding in result.clipped:
                report.clipped_boxes.add(finding)
            for item in result.image.objects:
                report.boxes_per_class[class_names[item.class_id]] += 1
    report.num_images = len(images)
    report.num_boxes = sum(report.boxes_per_class.values())
    report.num_empty_images = sum(not image.objects for image in images)
    _check(report)
    if not images:
        return images
    report.image_widths = _spread([image.width for image in images])
    report.image_heights = _spread([image.height for image in images])
    return images


def _check(report: SplitReport) -> None:
    if report.num_listed == 0 and report.split != 'train':
        return
    if report.num_listed == 0:
        raise DatasetError(
            f'the {report.split} set is empty: its index file lists no image. Choose a data set with '
            'images, and an export_format with annotations (ark:raw)'
        )
    if report.num_images == 0:
        by_reason = report.skipped_images.by_reason
        reasons = ', '.join(f'{count} x {reason}' for reason, count in by_reason.items())
        error = DatasetError if MISSING_ANNOTATION in by_reason else ImageFormatError
        raise error(
            f'no image of the {report.split} set can be used ({reasons}); the first: '
            f'{report.skipped_images.examples[0]}'
        )
    if report.num_boxes == 0 and report.dropped_boxes.count:
        raise DatasetError(
            f'all {report.dropped_boxes.count} boxes of the {report.split} set are unusable; the first: '
            f'{report.dropped_boxes.examples[0]}'
        )


def file_identity(path: str) -> tuple[str, int, int]:
    """Return a file's path, size and modification time, by which a change of it is seen; zeros if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, status.st_size, status.st_mtime_ns
