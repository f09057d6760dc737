"""What is in a data set: objects per class, their sizes, shapes and areas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.dataset import BaseDataset

from .annotations import boxes_of, data_infos

LARGEST_SIDE = 1e5  # the upper end of the last class of areas
DEFAULT_AREA_RULE = (32, 96)  # sides of squares: small, medium and large as COCO has them


@dataclass
class DatasetStatistics:
    """Objects of a data set.

    Args:
        classes: Names of the classes.
        num_images: Images, those without objects too.
        labels: (n, ) class of each object.
        sizes: (n, 2) width and height of each object in pixels of its image.
    """

    classes: list[str]
    num_images: int
    labels: np.ndarray
    sizes: np.ndarray

    def counts(self) -> np.ndarray:
        """Objects of each class, (C, )."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def area_counts(self, sides: Sequence[float]) -> np.ndarray:
        """Objects of each class and class of areas.

        Args:
            sides: Square roots of the borders between areas, from 0 to the largest.

        Returns:
            (C, len(sides) - 1); an area on a border counts with the larger ones.
        """
        borders = np.square(np.asarray(sides, dtype=np.float64))
        areas = self.sizes.prod(1)
        return np.stack([np.histogram(areas[self.labels == label], borders)[0] for label in range(len(self.classes))])

    def of_class(self, name: str) -> 'DatasetStatistics':
        """Return the same for one class.

        Raises:
            ValueError: If there is none of this name.
        """
        if name not in self.classes:
            raise ValueError(f'The data set has no class {name!r}; it has {self.classes}')
        mask = self.labels == self.classes.index(name)
        return DatasetStatistics([name], self.num_images, np.zeros(mask.sum(), np.int64), self.sizes[mask])

    def values(self, quantity: str) -> list[np.ndarray]:
        """Width, height or ratio of the objects of each class.

        Args:
            quantity: 'width', 'height' or 'ratio', which is width over height.

        Returns:
            One array per class. Objects without an extent have no ratio.
        """
        if quantity == 'ratio':
            mask = (self.sizes > 0).all(1)
            values, labels = self.sizes[mask, 0] / self.sizes[mask, 1], self.labels[mask]
        else:
            values, labels = self.sizes[:, {'width': 0, 'height': 1}[quantity]], self.labels
        return [values[labels == label] for label in range(len(self.classes))]


def collect(dataset: BaseDataset) -> DatasetStatistics:
    """Go through a data set, built without pipelines; objects to be ignored do not count."""
    labels, sizes = [np.zeros(0, np.int64)], [np.zeros((0, 2))]
    for info in data_infos(dataset, 'Reading annotations'):
        boxes, classes = boxes_of(info)
        labels.append(classes)
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    return DatasetStatistics(
        list(dataset.metainfo['classes']), len(dataset), np.concatenate(labels), np.concatenate(sizes)
    )


def area_sides(rule: Sequence[int] | None) -> list[float]:
    """Borders between classes of areas, as sides of squares.

    Args:
        rule: Up to three sides in pixels; None: those of COCO.

    Returns:
        From 0 to 100,000.

    Raises:
        ValueError: If there are more than three, or they do not rise from above 0.
    """
    sides = [0, *(DEFAULT_AREA_RULE if rule is None else rule), LARGEST_SIDE]
    if len(sides) > 5 or any(low >= high for low, high in zip(sides, sides[1:])):
        raise ValueError(f'--area-rule must be one to three sides in pixels that rise, such as 32 96; got {list(rule)}')
    return sides
