"""CALD as the reference yolov5 executor computes it, to repeat an old ranking; `cald` is what the paper describes.

Boxes that are sure and stay where they are count most, every box adds to the sum, so crowded images come first, and
classes are not compared. Its constants are that executor's, but for the threshold of suppression, the task's
iou_threshold (0.45 there), and random numbers, which follow from the image here and were drawn anew each time there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tmi.inference.shards import Prediction
from tmi.mining.algorithm import Algorithm
from tmi.mining.cald import js_divergence
from tmi.mining.matching import iou_matrix

if TYPE_CHECKING:  # the process that ranks does without torch
    from tmi.families.base import Predictor
    from tmi.families.detections import Detections, InspectedBatch

BETA = 1.3
MIN_SCORE = 0.25
MAX_BOXES = 100
ANGLE = 5  # degrees
SHRINK = 0.8


class Changed(NamedTuple):
    """A changed image.

    Args:
        image: (h, w, 3) uint8.
        boxes: (n, 4) xyxy of the image, carried along.
    """

    image: np.ndarray
    boxes: np.ndarray


class CaldLegacy(Algorithm):
    """Sum over four changes and all boxes of the running minimum of |IoU + score (1 - JS) - 1.3|, over 4."""

    summary = 'the former cald of the yolov5 executor, direction and box count as they were; to repeat an old ranking'
    summary_zh = '旧版 yolov5 执行器的 cald(方向与计数方式不变),用于复现旧的排序'
    passes = 5
    uses_stats = False

    @property
    def score_thr(self) -> float:
        """Boxes need a score above this to count: that executor's, or the user's if it is higher."""
        return max(MIN_SCORE, self.settings.conf_threshold)

    def measure(self, predictor: 'Predictor', batch: 'InspectedBatch') -> list[float]:
        """Read the images of a batch again, change and predict them; see `Measure`."""
        import torch

        references = [self._best(one.detections) for one in batch.evidence]
        # The network gets as many images as ever; those without boxes stay as they are and are not looked at.
        changes = [
            self._changes(meta['img_path'], boxes.astype(np.int32)) if len(boxes) else None
            for meta, (boxes, _) in zip(batch.metas, references)
        ]
        if not any(changes):
            return [-BETA] * len(references)
        found = []  # of each change, of each image
        for number in range(4):
            views = [
                pixels if change is None else torch.from_numpy(self._letterboxed(change[number].image, meta))
                for pixels, change, meta in zip(batch.pixels, changes, batch.metas)
            ]
            found.append([self._best(one) for one in predictor.predict_once(torch.stack(views), batch.metas)])
        return [
            -BETA
            if change is None
            else legacy_score(scores, [(one.boxes, *of_image[place]) for one, of_image in zip(change, found)])
            for place, (change, (_, scores)) in enumerate(zip(changes, references))
        ]

    def uncertainty(self, prediction: Prediction) -> float:
        return prediction.value

    def _letterboxed(self, image: np.ndarray, meta: dict[str, Any]) -> np.ndarray:
        return self.letterbox.prepare(0, meta['img_path'], image)[1]

    def _changes(self, path: str, boxes: np.ndarray) -> list[Changed]:
        from tmi.inference.images import read_image
        from tmi.mining.views import random_of

        image = read_image(path)
        return change_image(image, boxes, random_of(image, self.settings.mining_seed))

    def _best(self, found: 'Detections') -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) and scores (n,) of those that count."""
        keep = (found.scores > self.score_thr).nonzero()[:MAX_BOXES, 0]
        return found.boxes[keep].double().numpy(), found.scores[keep].double().numpy()


def change_image(image: np.ndarray, boxes: np.ndarray, random: np.random.Generator) -> list[Changed]:
    """Return an image flipped, cut, turned and shrunk.

    Args:
        image: (h, w, 3) uint8 BGR.
        boxes: (n, 4) int32 xyxy.
        random: Random numbers.

    Returns:
        Four changes, each of the size of the image.
    """
    import cv2

    from tmi.mining.views import BLACK, draw_cuts

    height, width = image.shape[:2]
    cut = image.copy()
    for x1, y1, x2, y2 in draw_cuts(boxes.astype(np.float64), (0, 0, width, height), random):
        cut[y1:y2, x1:x2] = BLACK
    turning = cv2.getRotationMatrix2D((width / 2, height / 2), ANGLE, width / max(height, width))
    small = cv2.resize(image, None, fx=SHRINK, fy=SHRINK)
    canvas = np.zeros_like(image)
    canvas[: small.shape[0], : small.shape[1]] = small
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ turning[:, :2].T + turning[:, 2]  # (n, 4, 2)
    return [
        Changed(
            np.ascontiguousarray(image[:, ::-1]),
            np.array([width, 0, width, 0]) + boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1],
        ),
        Changed(cut, boxes),
        Changed(
            cv2.warpAffine(image, turning, (width, height)), np.concatenate((corners.min(1), corners.max(1)), axis=1)
        ),
        Changed(canvas, boxes * SHRINK),
    ]


def legacy_score(scores: np.ndarray, changes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """Return the score of an image with boxes.

    Args:
        scores: (n,) of its boxes, n > 0.
        changes: For each change (n, 4) boxes carried along, (m, 4) boxes found and their (m,) scores.

    Returns:
        The score, at least 0.
    """
    total = 0.0
    for boxes, found, found_scores in changes:
        if not len(found):
            total += BETA
            continue
        overlaps = iou_matrix(boxes, found)
        best = overlaps.argmax(1)
        overlap, found_best = overlaps.max(1), found_scores[best]
        agreement = 1 - js_divergence(np.stack((1 - found_best, found_best), 1), np.stack((1 - scores, scores), 1))
        values = np.abs(overlap + 0.5 * (scores + found_best) * agreement - BETA)
        values = np.where(overlap == 0, np.minimum(values, BETA), values)
        total += np.minimum.accumulate(np.minimum(values, 2.0)).sum()
    return float(total / len(changes))
