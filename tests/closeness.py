"""How far two float32 computations of the same thing may lie apart, on any processor.

Kernels for SSE, AVX2 and AVX-512, one thread and many, one image and eight, channels-last and contiguous layouts, and
norms that are folded into convolutions add the same products in other orders, and each order rounds differently. So
what a network gives is compared before a sigmoid or an exponential magnifies it, relative to its largest value; what
follows is granted the error that this gives it; and of boxes whose scores or overlaps tie within that error a few may
differ.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

EPS = float(torch.finfo(torch.float32).eps)
# Rounding errors of independent sums grow with the root of their number: some hundred layers of some thousand products
# are within eps * sqrt(100 * 1000), about 300 eps of the largest value. Faults of a program are larger by far.
LAYER = 64 * EPS  # of a few layers, 8e-6
NETWORK = 4096 * EPS  # of a whole detector, 5e-4
SIGMOID_SLOPE = 0.25  # the steepest

Values = torch.Tensor | np.ndarray | Sequence[float]


def _double(values: Values) -> torch.Tensor:
    return torch.as_tensor(values).detach().double()


def magnitude(values: Values) -> float:
    """The largest absolute value."""
    values = _double(values)
    return float(values.abs().max()) if values.numel() else 0.0


def assert_maps_close(found: Values, expected: Values, share: float = NETWORK) -> None:
    """Checks logits, distances or features.

    Args:
        found: What is to be checked.
        expected: What it should be.
        share: Of the largest expected value, the error allowed.
    """
    torch.testing.assert_close(_double(found), _double(expected), rtol=0, atol=share * magnitude(expected))


def score_error(*logits: Values, share: float = NETWORK) -> float:
    """The error of a product of sigmoids, given the maps below them.

    Args:
        logits: The maps of one factor each.
        share: Error of a map, relative to its largest value.
    """
    return sum(SIGMOID_SLOPE * share * magnitude(one) for one in logits)


def assert_same_detections(
    found: Any, expected: Any, score: float = 1e-3, box: float = 0.05, doubtful: float = 0.02
) -> None:
    """Checks detections of an image, in whatever order near ties come.

    Args:
        found: Has `boxes` or `bboxes` (N, 4), `scores` (N,) and `labels` (N,).
        expected: The same.
        score: Error allowed for a score.
        box: Error allowed for a coordinate, in pixels.
        doubtful: Share of the boxes, at least one, that may be on one side alone: those at a threshold.
    """
    sides = []
    for side in (found, expected):
        boxes = side.boxes if hasattr(side, 'boxes') else side.bboxes
        sides.append((_double(boxes).reshape(-1, 4), _double(side.scores), torch.as_tensor(side.labels)))
    (boxes, scores, labels), (other_boxes, other_scores, other_labels) = sides
    allowed = max(1, round(doubtful * len(other_scores)))
    fits = (
        (torch.cdist(boxes, other_boxes, p=float('inf')) <= box)
        & ((scores[:, None] - other_scores).abs() <= score)
        & (labels[:, None] == other_labels)
    )
    alone = int((~fits.any(1)).sum()), int((~fits.any(0)).sum())
    assert max(alone) <= allowed, (
        f'{alone[0]} of {len(scores)} boxes found and {alone[1]} of {len(other_scores)} expected '
        f'have no partner, {allowed} may'
    )
    assert abs(len(scores) - len(other_scores)) <= allowed
