"""How much the boxes of an image change when it is changed a little: CALD (2103.10374), in the direction as published.

For each change the box counts that comes closest to a base point: one that overlaps well with its prediction on the
changed image and is classified differently, or the other way round. The closer, the more an image is worth. The second
stage of the paper, which balances classes, is left to `hybrid`.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm
from tmi.mining.matching import iou_matrix

if TYPE_CHECKING:  # the process that ranks does without torch
    from tmi.families.base import Predictor
    from tmi.families.detections import Evidence, InspectedBatch

BASE_POINT = 1.3
# An image without boxes counts as one whose boxes are sure and stay where they are (IoU 1 and score 1): after images
# that the model is unsure of, and before those with boxes that vanish on a changed image. First, such images would fill
# the list where most of a pool is empty; last, nobody would ever see what the model misses.
WITHOUT_BOXES = 2 - BASE_POINT
MANY = 40  # of more boxes than this
KEPT = 50  # so many count at most, evenly spaced by score


class Boxes(NamedTuple):
    """Boxes of one image.

    Args:
        boxes: (n, 4) xyxy in pixels of the network's input.
        scores: (n,) in [0, 1].
        class_scores: (n, C) scores of every class.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_scores: np.ndarray


class Cald(Algorithm):
    """Base point less the mean over four views of the distance to it: 0 to 1.3."""

    summary = (
        'how much the boxes change when the image is flipped, partly covered, shrunk and rotated; five passes an image'
    )
    summary_zh = '图像翻转、遮挡、缩小、旋转后检测结果的不一致程度,每张图像推理五次'
    passes = 5
    uses_stats = False

    def measure(self, predictor: 'Predictor', batch: 'InspectedBatch') -> list[float]:
        """Predict four views of each image and compare them with it; see `Measure`."""
        from tmi.mining.views import make_views, random_of

        references = [self._reference(one, meta) for one, meta in zip(batch.evidence, batch.metas)]
        if not any(len(one.boxes) for one in references):
            return [WITHOUT_BOXES] * len(references)
        boxes_of_images = [one.boxes for one in references]
        randoms = [random_of(one.numpy(), self.settings.mining_seed) for one in batch.pixels]
        views = make_views(
            batch.pixels.to(predictor.device), boxes_of_images, batch.metas, randoms, predictor.input_multiple
        )
        distances = [[] for _ in references]
        for view in views:
            view_meta = {'ori_shape': tuple(view.pixels.shape[1:3]), 'scale_factor': (1.0, 1.0)}
            found, _ = predictor.inspect_once(view.pixels, [view_meta] * len(references), False)
            for of_image, reference, boxes, on_view in zip(distances, references, view.boxes, found):
                if len(boxes):
                    of_image.append(distance(reference._replace(boxes=boxes), self._boxes(on_view)))
        return [float(np.mean(of_image)) if of_image else WITHOUT_BOXES for of_image in distances]

    def uncertainty(self, prediction: Prediction) -> float:
        return BASE_POINT - prediction.value

    def _boxes(self, evidence: 'Evidence') -> Boxes:
        """Return the boxes that count."""
        found = evidence.detections
        arrays = (found.boxes, found.scores, evidence.class_scores)
        keep = found.scores > self.score_thr
        return Boxes(*(array[keep].double().numpy() for array in arrays))

    def _reference(self, evidence: 'Evidence', meta: dict[str, Any]) -> Boxes:
        """Return the boxes that are looked for again."""
        found = self._boxes(evidence)
        if len(found.boxes) > MANY:
            kept = np.unique(np.linspace(0, len(found.boxes) - 1, KEPT).round().astype(np.int64))
            found = Boxes(*(array[kept] for array in found))
        padding = meta.get('pad_param')
        top, _, left, _ = (0, 0, 0, 0) if padding is None else padding
        return found._replace(boxes=found.boxes * np.tile(meta['scale_factor'], 2) + (left, top, left, top))


def distance(reference: Boxes, found: Boxes) -> float:
    """Return how far the boxes of an image are from the base point on one view; the closest counts.

    Args:
        reference: Of the image, in pixels of the view; at least one box.
        found: On the view.

    Returns:
        0 to 1.3. For a box, |IoU + (score + score on the view) / 2 (1 - JS) - 1.3| with the prediction that overlaps it
        most, whatever its class, JS the Jensen-Shannon divergence of the class scores in nats; 1.3 if none overlaps.
    """
    if not len(found.boxes):
        return BASE_POINT
    overlaps = iou_matrix(reference.boxes, found.boxes)
    best = overlaps.argmax(1)
    overlap = overlaps.max(1)
    agreement = 1 - js_divergence(reference.class_scores, found.class_scores[best])
    distances = np.abs(overlap + 0.5 * (reference.scores + found.scores[best]) * agreement - BASE_POINT)
    return float(np.where(overlap > 0, distances, BASE_POINT).min())


def js_divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence in nats of (n, C) and (n, C) scores, each divided by its sum; (n,)."""
    p, q = (scores / np.maximum(scores.sum(1, keepdims=True), 1e-12) for scores in (first, second))
    mean = (p + q) / 2
    return ((_relative_entropy(p, mean) + _relative_entropy(q, mean)) / 2).clip(min=0)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, q, 1)), 0).sum(1)
