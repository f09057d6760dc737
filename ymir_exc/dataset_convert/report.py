"""What a conversion found: counts, and of every kind of trouble the number and the first examples."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..annotations.objects import INVALID_LINE, INVALID_VALUE, UNKNOWN_CLASS, UNREADABLE_ANNOTATION, place_of
from .compact import LabelledImages

MAX_EXAMPLES = 100  # of each kind; a million equal lines help nobody

# What is done about a finding.
IMAGE_SKIPPED, BOX_SKIPPED, BOX_CLIPPED = 'image skipped', 'box skipped', 'box clipped'
VALUE_IGNORED, KEPT = 'value ignored', 'kept'

# The kinds of findings, besides those that readers of annotations name.
MISSING_IMAGE = 'missing image'
NOT_REGULAR = 'not a regular file'
EMPTY_FILE = 'empty image file'
UNREADABLE = 'unreadable image'
TRUNCATED = 'truncated image'
TOO_LARGE = 'image too large'
MISSING_ANNOTATION = 'missing annotation'
INVERTED = 'inverted box'
NO_AREA = 'box without area'
OUTSIDE = 'box outside the image'
THIN = 'box thinner than one pixel within the image'
CLIPPED = 'box partly outside the image'
TURNED = 'image turned by EXIF'
OTHER_SIZE = 'image size differs from annotation'
TINY = 'tiny box'
NARROW = 'narrow box'
SAME_IMAGE = 'same image twice'
SIMILAR_IMAGE = 'near-identical images'
OVERLAP = 'validation image in training set'
SIMILAR_OVERLAP = 'validation image near-identical to training image'
UNLABELLED_CLASS = 'class without a box'
NO_MASK = 'object without a mask'
INVALID_MASK = 'invalid mask'
ONLY_BOXES = 'image whose objects have no mask'
ACTIONS = {
    **dict.fromkeys(
        (
            *(MISSING_IMAGE, NOT_REGULAR, EMPTY_FILE, UNREADABLE, TRUNCATED, TOO_LARGE),
            *(MISSING_ANNOTATION, UNREADABLE_ANNOTATION, ONLY_BOXES),
        ),
        IMAGE_SKIPPED,
    ),
    **dict.fromkeys(
        (INVALID_LINE, UNKNOWN_CLASS, INVERTED, NO_AREA, OUTSIDE, THIN, NO_MASK, INVALID_MASK), BOX_SKIPPED
    ),
    CLIPPED: BOX_CLIPPED,
    INVALID_VALUE: VALUE_IGNORED,
    **dict.fromkeys(
        (*(TURNED, OTHER_SIZE, TINY, NARROW), *(SAME_IMAGE, SIMILAR_IMAGE, OVERLAP, SIMILAR_OVERLAP, UNLABELLED_CLASS)),
        KEPT,
    ),
}


@dataclass
class DataIssue:
    """One thing that is wrong, or odd, about an image, an annotation or a box.

    Attributes:
        path: the image, or the annotation file of a box; '' for a class.
        line: where in that file: a number, or 'object 3'; '' for the whole.
        reason: what is wrong, one of the kinds above.
        detail: the values.
    """

    path: str
    line: str
    reason: str
    detail: str = ''

    @property
    def place(self) -> str:
        """The file and the line."""
        return place_of(self.path, self.line)

    @property
    def done(self) -> str:
        """What was done about it."""
        return ACTIONS[self.reason]

    def __str__(self) -> str:
        place = f'{self.place}: ' if self.path else ''
        return f'{place}{self.reason}' + (f' ({self.detail})' if self.detail else '')


@dataclass
class DataIssues:
    """What was found of one kind.

    Attributes:
        count: all of them.
        by_reason: reason -> how many.
        examples: the first 100 of each reason, in the order of the data set.
    """

    count: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    examples: list[DataIssue] = field(default_factory=list)

    def add(self, finding: DataIssue) -> None:
        """Count a finding and keep it if it is among the first."""
        self.count += 1
        self.by_reason[finding.reason] = self.by_reason.get(finding.reason, 0) + 1
        if self.by_reason[finding.reason] <= MAX_EXAMPLES:
            self.examples.append(finding)


@dataclass
class SplitReport:
    """What one split holds after the conversion.

    Attributes:
        split: ``train`` or ``val``.
        img_dir: the folder of all images.
        ann_file: the file that was written.
        annotation_format: ``ark``, ``voc`` or ``coco``.
        num_listed: lines of the index file.
        num_images: images that were kept.
        num_empty_images: of these, without a box.
        num_boxes: boxes that were kept.
        boxes_per_class: class name -> boxes, every class in the order of ``class_names``.
        image_widths, image_heights: smallest, median and largest, in pixels.
        skipped_images, dropped_boxes, clipped_boxes: what was left out or changed, with reason and place.
        remarks: what is odd and was kept.
    """

    split: str
    img_dir: str
    ann_file: str
    annotation_format: str
    num_listed: int = 0
    num_images: int = 0
    num_empty_images: int = 0
    num_boxes: int = 0
    boxes_per_class: dict[str, int] = field(default_factory=dict)
    image_widths: tuple[int, int, int] = (0, 0, 0)
    image_heights: tuple[int, int, int] = (0, 0, 0)
    skipped_images: DataIssues = field(default_factory=DataIssues)
    dropped_boxes: DataIssues = field(default_factory=DataIssues)
    clipped_boxes: DataIssues = field(default_factory=DataIssues)
    remarks: DataIssues = field(default_factory=DataIssues)

    def add(self, finding: DataIssue) -> None:
        """Count a finding where it belongs."""
        lists = {IMAGE_SKIPPED: self.skipped_images, BOX_SKIPPED: self.dropped_boxes, BOX_CLIPPED: self.clipped_boxes}
        lists.get(finding.done, self.remarks).add(finding)

    @property
    def findings(self) -> list[DataIssues]:
        """Everything that was found."""
        return [self.skipped_images, self.dropped_boxes, self.clipped_boxes, self.remarks]


@dataclass
class ConversionReport:
    """The reports of all splits.

    Attributes:
        splits: ``train`` and ``val`` -> report.
        images: ``train`` and ``val`` -> the images that were kept.
    """

    splits: dict[str, SplitReport]
    images: dict[str, LabelledImages]
