"""What a conversion found: counts, and of every kind of trouble the number and the first examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MAX_EXAMPLES = 100  # of each reason; a million equal lines help nobody


@dataclass
class DataIssue:
    """One skipped image, dropped or clipped box.

    Attributes:
        place: the image's path, or file and line of the box.
        reason: what is wrong with it.
        detail: the values.
    """

    place: str
    reason: str
    detail: str = ''

    def __str__(self) -> str:
        return f'{self.place}: {self.reason}' + (f' ({self.detail})' if self.detail else '')


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

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold and :meth:`from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SplitReport:
        """Make one of what :meth:`to_dict` gave.

        Raises:
            TypeError, KeyError: it is of another version.
        """
        values = dict(values)
        for name in ('skipped_images', 'dropped_boxes', 'clipped_boxes'):
            found = values[name]
            values[name] = DataIssues(**{**found, 'examples': [DataIssue(**example) for example in found['examples']]})
        for name in ('image_widths', 'image_heights'):
            values[name] = tuple(values[name])
        return cls(**values)


@dataclass
class ConversionReport:
    """The reports of all splits.

    Attributes:
        splits: ``train`` and ``val`` -> report.
    """

    splits: dict[str, SplitReport]
