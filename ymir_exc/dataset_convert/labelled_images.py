"""Reads images' headers and annotations once, checks both, and applies the policy for bad data.

========================================  ==============================================================================
what is wrong                             what happens
========================================  ==============================================================================
image missing, unreadable, cut short,     skipped and reported
empty, larger than the memory
annotation missing or unreadable          the image is skipped and reported, for it may show objects, and to train on
                                          them as background hurts
annotation of 0 bytes                     an image without objects; kept
malformed line, unknown class             the object is skipped and reported
quality or angle that is no number        ignored and reported
inverted box, one without area, outside   the object is skipped and reported
the image or thinner than a pixel in it
box partly outside the image              clipped; reported if more than one pixel goes, since many tools write the
                                          far corner exclusive
masks wanted, and an object has none or   the object is skipped and reported; the image too if none of its objects is
an invalid one                            left, for to train on them as background hurts
image turned by EXIF or of another size   kept and reported
than its annotation says, tiny or very
narrow box
nothing left of the set ``train``         an error: 300003 if no image can be read, else 300002
nothing left of the set ``val``, or its   a set without images; whether training can do without is the executor's
index file is empty                       decision
========================================  ==============================================================================
"""

from __future__ import annotations

import statistics
from typing import Callable, Sequence

from ..annotations import AnnotationReader
from ..annotations.masks import NoMask, checked_mask
from ..annotations.objects import Row, Rows, whole
from ..errors import DatasetError, ImageFormatError
from ..processes import in_processes
from ..threads import OnProgress
from .compact import LabelledImages
from .image_header import ImageHeader, ImageProblem, read_image_header
from .image_size import MAX_PIXELS, any_image_size
from .report import (
    CLIPPED,
    INVALID_MASK,
    INVERTED,
    MISSING_ANNOTATION,
    NARROW,
    NO_AREA,
    NO_MASK,
    ONLY_BOXES,
    OTHER_SIZE,
    OUTSIDE,
    THIN,
    TINY,
    TURNED,
    UNLABELLED_CLASS,
    UNREADABLE_ANNOTATION,
    DataIssue,
    SplitReport,
)

TINY_SIDE = 2  # pixels; boxes with a side below are lost as soon as the image is shrunk
MASK_ADVICE = (
    'Instance segmentation learns polygons or masks: choose a data set with them, or train a detector on the boxes'
)
NARROW_RATIO = 20  # longer side by shorter; the augmentation of YOLO models drops boxes beyond

OnFinding = Callable[[str, DataIssue], None]


def _fit(row: Row, width: int, height: int, path: str, line: str, findings: list[DataIssue]) -> Row | None:
    """Clip an object to the image; add what is wrong with it to the findings.

    Returns:
        The object; None if it cannot be used.
    """
    class_id, *box, number, quality, angle, others = row
    x, y, right, bottom = map(whole, box)

    def report(reason: str) -> None:
        detail = f'x {x} to {right}, y {y} to {bottom}, image {width} x {height}'
        findings.append(DataIssue(path, line, reason, detail))

    if right <= x or bottom <= y:
        return report(NO_AREA if right >= x and bottom >= y else INVERTED)
    clipped = max(x, 0), max(y, 0), min(right, width), min(bottom, height)
    w, h = clipped[2] - clipped[0], clipped[3] - clipped[1]
    if w <= 0 or h <= 0:
        return report(OUTSIDE)
    if w < 1 or h < 1:
        return report(THIN)
    if max(abs(new - old) for new, old in zip(clipped, (x, y, right, bottom))) > 1:
        report(CLIPPED)
    if min(w, h) < TINY_SIDE:
        report(TINY)
    if max(w, h) > NARROW_RATIO * min(w, h):
        report(NARROW)
    # An area that the annotation gives is that of its mask, which is not clipped.
    return (class_id, *clipped, number, quality, angle, others)


def _add_fitting(
    rows: list[Row],
    found: Sequence[Row],
    header: ImageHeader,
    annotation: str,
    reader: AnnotationReader,
    findings: list[DataIssue],
) -> None:
    """Add the objects that can be used, clipped to the image."""
    width, height = header.width, header.height
    for row in found:
        _, x, y, right, bottom, _, _, _, _ = row
        w, h = right - x, bottom - y
        is_good = w >= TINY_SIDE <= h and w <= NARROW_RATIO * h and h <= NARROW_RATIO * w
        if is_good and x >= 0 <= y and right <= width and bottom <= height:
            rows.append(row)
            continue
        fitted = _fit(row, width, height, annotation, reader.line_of(row), findings)
        if fitted is not None:
            rows.append(fitted)


def _with_mask(
    row: Row, header: ImageHeader, annotation: str, reader: AnnotationReader, findings: list[DataIssue]
) -> Row | None:
    """Check the mask of an object; add what is wrong with it to the findings.

    Returns:
        The object, with the area of its mask where the annotation does not say it; None if it cannot be used.
    """
    crowd, segmentation, area = row[-1] or (0, None, None)
    try:
        segmentation, found = checked_mask(segmentation, header.width, header.height)
    except NoMask:
        findings.append(DataIssue(annotation, reader.line_of(row), NO_MASK, 'it has no polygon and no run-length code'))
        return None
    except ValueError as error:
        findings.append(DataIssue(annotation, reader.line_of(row), INVALID_MASK, str(error)))
        return None
    return (*row[:-1], (crowd, segmentation, found if area is None else area))


def _other_size(size: tuple[float, float], header: ImageHeader) -> str:
    """Return what to say about a size in an annotation that is not that of the image."""
    words = f'the annotation says {size[0]:g} x {size[1]:g}, the image is {header.width} x {header.height}'
    if header.orientation > 4 and size == (header.height, header.width):
        return f'{words} as it is turned by EXIF; its boxes may be those of the image as it was before'
    return f'{words}; its boxes may not fit'


class _ChunkReader:
    """Reads a part of the index; called in several processes or threads.

    Args:
        reader: of the annotations' format.
        max_pixels: larger images cannot be used.
        masks: objects without a mask cannot be used.
    """

    def __init__(self, reader: AnnotationReader, max_pixels: int, masks: bool) -> None:
        self.reader = reader
        self.max_pixels = max_pixels
        self.masks = masks

    def __call__(self, items: Sequence[tuple[str, str]]) -> tuple[LabelledImages, list[DataIssue]]:
        images = LabelledImages()
        findings: list[DataIssue] = []
        rows: list[Row] = []
        for path, annotation in items:
            try:
                header = read_image_header(path, self.max_pixels)
            except ImageProblem as error:
                findings.append(DataIssue(path, '', error.kind, error.detail))
                continue
            found = self.reader.rows(annotation, path)
            if found.rows is None:
                findings.append(_no_annotation(path, annotation, found))
                continue
            if header.orientation != 1:
                findings.append(DataIssue(path, '', TURNED, f'orientation {header.orientation}'))
            size = found.size
            if size is not None and size != (header.width, header.height) and size > (0, 0):
                findings.append(DataIssue(path, '', OTHER_SIZE, _other_size(size, header)))
            for fault in found.faults:
                findings.append(DataIssue(annotation, fault.line, fault.kind, fault.detail))
            before = len(rows)
            objects = found.rows
            if self.masks:
                checked = (_with_mask(row, header, annotation, self.reader, findings) for row in objects)
                objects = [row for row in checked if row is not None]
                if found.rows and not objects:
                    findings.append(DataIssue(path, '', ONLY_BOXES, f'{len(found.rows)} objects in {annotation}'))
                    continue
            _add_fitting(rows, objects, header, annotation, self.reader, findings)
            images.add(path, (header.width, header.height, header.num_bytes, header.digest), len(rows) - before)
        images.add_rows(rows)
        return images, findings


def _no_annotation(path: str, annotation: str, found: Rows) -> DataIssue:
    for fault in found.faults:
        return DataIssue(path, '', UNREADABLE_ANNOTATION, f'{annotation} {fault.detail}')
    return DataIssue(path, '', MISSING_ANNOTATION, annotation or 'the index line names none')


def read_labelled_images(
    items: list[tuple[str, str]],
    reader: AnnotationReader,
    class_names: list[str],
    report: SplitReport,
    num_workers: int | None = None,
    progress: OnProgress | None = None,
    on_finding: OnFinding | None = None,
    max_pixels: int = MAX_PIXELS,
    on_images: Callable[[LabelledImages], None] = lambda images: None,
    images: LabelledImages | None = None,
    masks: bool = False,
) -> LabelledImages:
    """Read a split; see the module's table for what happens to bad data.

    Args:
        items: (image, annotation) of the index file.
        reader: of the annotations' format.
        class_names: in the order of the class index.
        report: filled in.
        num_workers: processes or threads; None: a few per core.
        progress: called now and then with the number of images done and of all.
        on_finding: called with the split and each finding, for the report holds only the first of each kind.
        max_pixels: larger images cannot be used.
        on_images: called with the images that are kept, part by part, while others are read.
        images: gets them all; None: a new one.
        masks: whether objects without a mask are skipped.

    Returns:
        The images that were kept, in the order of the index.

    Raises:
        DatasetError: see the table.
    """
    report.num_listed = len(items)
    images = LabelledImages() if images is None else images

    def add(finding: DataIssue) -> None:
        report.add(finding)
        if on_finding is not None:
            on_finding(report.split, finding)

    for path, fault in reader.prepare([annotation for _, annotation in items]):
        add(DataIssue(path, fault.line, fault.kind, fault.detail))
    done = 0
    with any_image_size():
        for count, (read, findings) in in_processes(_ChunkReader(reader, max_pixels, masks), items, num_workers):
            images.extend(read)
            on_images(read)
            for finding in findings:
                add(finding)
            done += count
            if progress is not None:
                progress(done, len(items))
    counts = [0] * len(class_names)
    for class_id in images.class_ids:
        counts[class_id] += 1
    report.boxes_per_class = dict(zip(class_names, counts))
    report.num_images = len(images)
    report.num_boxes = len(images.class_ids)
    report.num_empty_images = images.counts.count(0)
    for name, count in report.boxes_per_class.items():
        if not count and report.num_boxes:
            add(DataIssue('', '', UNLABELLED_CLASS, name))
    _check(report)
    if images:
        report.image_widths = _spread(images.widths)
        report.image_heights = _spread(images.heights)
    return images


def _spread(values: Sequence[int]) -> tuple[int, int, int]:
    return min(values), int(statistics.median(values)), max(values)


def _check(report: SplitReport) -> None:
    if report.split != 'train':
        return
    if report.num_listed == 0:
        raise DatasetError(
            f'the {report.split} set is empty: its index file lists no image. Choose a data set with '
            'images, and an export_format with annotations (ark:raw)'
        )
    if report.num_images == 0:
        by_reason = report.skipped_images.by_reason
        reasons = ', '.join(f'{count} x {reason}' for reason, count in by_reason.items())
        of_labels = {MISSING_ANNOTATION, UNREADABLE_ANNOTATION, ONLY_BOXES} & set(by_reason)
        error = DatasetError if of_labels else ImageFormatError
        advice = f'. {MASK_ADVICE}' if ONLY_BOXES in by_reason else ''
        raise error(
            f'no image of the {report.split} set can be used ({reasons}); the first: '
            f'{report.skipped_images.examples[0]}{advice}'
        )
    if report.num_boxes == 0 and report.dropped_boxes.count:
        by_reason = report.dropped_boxes.by_reason
        reasons = ', '.join(f'{count} x {reason}' for reason, count in by_reason.items())
        raise DatasetError(
            f'all {report.dropped_boxes.count} boxes of the {report.split} set are unusable ({reasons}); the first: '
            f'{report.dropped_boxes.examples[0]}'
        )
