"""What a predictor finds in images: boxes, and what mining asks of the same pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


@dataclass
class Detections:
    """Boxes of one image, best first.

    Args:
        boxes: (n, 4) xyxy in pixels of the image, clipped to it.
        scores: (n,) in [0, 1].
        labels: (n,) positions in class_names.
        finite: Whether the network gave finite numbers for this image.
        masks: (n,) mask of each object in COCO's compressed run-length code, `size` (h, w) of the image and `counts` as
            bytes; None where they were not asked for.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    finite: bool = True
    masks: Sequence[dict[str, Any]] | None = None

    def where(self, keep: Tensor) -> 'Detections':
        """Return some of the objects, of an image for which not all numbers are finite.

        Args:
            keep: (n,) bool.
        """
        masks = None if self.masks is None else [self.masks[index] for index in keep.nonzero()[:, 0].tolist()]
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], False, masks)


@dataclass
class Evidence:
    """What mining asks of one image, on the CPU.

    Args:
        detections: As `predict` gives them.
        class_scores: (n, C) score of every class where each box comes from.
        support: (n,) int64, boxes before suppression of its class that overlap each box, see `count_support`; 1 where
            nothing is suppressed.
        spread: (n,) in [0, 1], how unsure the model is of the sides of each box; 0 where it does not tell.
        embedding: (d,) float32, what the network sees where, as means of its features over parts of the image.
        value: What an algorithm measured in the same pass.
    """

    detections: Detections
    class_scores: Tensor
    support: Tensor
    spread: Tensor
    embedding: Tensor
    value: float | None = None


ClassMaps = Sequence[Tensor]
"""Per level (B, A, C, h, w) float, in [0, 1]: the score of each class at each place."""


class InspectedBatch(NamedTuple):
    """A batch that has gone through the network, as an algorithm of mining measures it.

    Args:
        pixels: (n, H, W, 3) uint8 BGR, the input.
        metas: Of each image, with `img_path`.
        evidence: Of each image.
        class_maps: None if they were not asked for or the model has none.
    """

    pixels: Tensor
    metas: Sequence[dict[str, Any]]
    evidence: list[Evidence]
    class_maps: ClassMaps | None = None
