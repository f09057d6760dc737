"""mining-summary.json: why a mining ranked the images as it did, for reports and programs.

result.tsv is the result; its scores only repeat the order. This file says what the order is made of, for the first
hundred images, and where the images of the pool lie. The platform deletes it; the report of a run without it shows the
ranking alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from .atomic import PathLike
from .errors import ResultError
from .summary_file import (
    Checks,
    checked_fields,
    is_cell,
    is_count,
    is_list,
    is_number,
    is_row,
    is_text,
    or_none,
    read_summary,
    write_summary,
)

MINING_SUMMARY_FILE = 'mining-summary.json'  # in the task's output folder
MAX_FIRST = 100
MAX_POINTS = 5000
LABELLED = ''  # `nearest` of an image that is most like images labelled before


@dataclass
class FirstImage:
    """One of the first images of the ranking.

    Attributes:
        path: as in result.tsv.
        uncertainty: of the image, in the unit of the algorithm; the higher, the less sure the model is. None for an
            algorithm that looks at no image.
        boxes: [x, y, w, h, class index, score, share of the uncertainty] of each, in pixels of the image; the shares
            are in the unit of `uncertainty`.
        distance: to the nearest image picked earlier or labelled, 0 (the same) to 1 (nothing alike); None: unknown.
        nearest: that image's path; LABELLED for one of the labelled images; None: there is none.
        class_gain: 1 where none of the image's classes was labelled or picked before, the smaller the more of them
            there are; None: unknown.
        explored: it was drawn to look at what the model is sure of, not for its uncertainty.
    """

    path: str = ''
    uncertainty: float | None = None
    boxes: list[list[float]] = field(default_factory=list)
    distance: float | None = None
    nearest: str | None = None
    class_gain: float | None = None
    explored: bool = False


@dataclass
class PoolMap:
    """Images of the pool, evenly drawn, on two axes along which their features differ most.

    Attributes:
        points: x and y of each image. Those of `MiningSummary.first` are best among them, for the page marks them.
        rank: the place of each in the ranking, from 0.
    """

    points: list[list[float]] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)


@dataclass
class MiningSummary:
    """What a mining did.

    Attributes:
        algorithm: value of mining_algorithm.
        about: what it ranks images by: a sentence in English, and the same in Chinese; empty: unknown.
        settings: the keys that it used, and their values.
        num_images: ranked.
        unreadable: images that could not be read, which are last.
        without_boxes: readable images in which nothing was found.
        near_duplicates: images put back because an image picked earlier is almost the same.
        fallbacks: sentences that say what was not known of the labelled images and what was taken instead.
        class_names: in the order of the class indices.
        first: the first images of the ranking, at most MAX_FIRST.
        map: the pool, at most MAX_POINTS images; empty where the algorithm computes no features.
    """

    algorithm: str = ''
    about: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    num_images: int = 0
    unreadable: int = 0
    without_boxes: int = 0
    near_duplicates: int = 0
    fallbacks: list[str] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    first: list[FirstImage] = field(default_factory=list)
    map: PoolMap = field(default_factory=PoolMap)

    def is_of(self, paths: Sequence[str]) -> bool:
        """Return whether a ranking is the one that this describes.

        Args:
            paths: of result.tsv, best first.
        """
        return self.num_images == len(paths) and [image.path for image in self.first] == list(paths[: len(self.first)])


def _is_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, bool) or is_cell(item) for item in value.values())


_CHECKS: Checks = {
    'algorithm': (is_text, 'text'),
    'about': (lambda value: value == [] or is_row(2, is_text)(value), 'two texts, English and Chinese'),
    'settings': (_is_settings, 'texts, numbers or true and false by name'),
    **dict.fromkeys(('num_images', 'unreadable', 'without_boxes', 'near_duplicates'), (is_count, 'a count')),
    **dict.fromkeys(('fallbacks', 'class_names'), (is_list(is_text), 'a list of texts')),
    'first': (is_list(lambda item: isinstance(item, dict)), 'a list of JSON objects'),
    'map': (lambda value: isinstance(value, dict), 'a JSON object'),
}
_FIRST_CHECKS: Checks = {
    'path': (is_text, 'text'),
    'boxes': (is_list(is_row(7, is_number)), 'a list of [x, y, w, h, class index, score, share]'),
    **dict.fromkeys(('uncertainty', 'distance', 'class_gain'), (or_none(is_number), 'a number or null')),
    'nearest': (or_none(is_text), 'text or null'),
    'explored': (lambda value: isinstance(value, bool), 'true or false'),
}
_MAP_CHECKS: Checks = {
    'points': (is_list(is_row(2, is_number)), 'a list of pairs of numbers'),
    'rank': (is_list(is_count), 'a list of counts'),
}


def read_mining_summary(directory: PathLike) -> MiningSummary | None:
    """Read the file; fields that it lacks have their defaults, and unknown ones are left out.

    Args:
        directory: the task's output folder.

    Returns:
        What it says; None if there is no such file.

    Raises:
        ResultError: it cannot be read, is not a JSON object, or a field is of the wrong kind.
    """
    summary = read_summary(directory, MINING_SUMMARY_FILE, MiningSummary, _CHECKS)
    if summary is None:
        return None
    where = f'{MINING_SUMMARY_FILE}: '
    first: list[Any] = summary.first
    summary.first = [
        checked_fields(item, FirstImage, _FIRST_CHECKS, f'{where}first[{k}]') for k, item in enumerate(first)
    ]
    for k, image in enumerate(summary.first):
        if not all(box[4] in range(len(summary.class_names)) for box in image.boxes):
            raise ResultError(f'{where}first[{k}]: boxes name a class that class_names has not')
    if isinstance(summary.map, dict):
        summary.map = checked_fields(summary.map, PoolMap, _MAP_CHECKS, f'{where}map')
    if len(set(summary.map.rank)) < len(summary.map.rank):
        raise ResultError(f'{where}map: rank has a number twice')
    if len(summary.map.points) != len(summary.map.rank):
        raise ResultError(f'{where}map: points and rank must be equally many')
    return summary


def write_mining_summary(directory: PathLike, summary: MiningSummary) -> None:
    """Replace the file.

    Args:
        directory: the task's output folder.
        summary: what to write.

    Raises:
        ValueError: a number in it is not finite.
        OSError: it cannot be written; the old one is untouched.
    """
    write_summary(directory, MINING_SUMMARY_FILE, summary, indent=None)
