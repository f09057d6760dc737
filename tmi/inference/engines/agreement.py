"""Whether an engine gives the boxes that torch gives: the same inputs, one network, two ways to run it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tmi.families.base import Predictor
from tmi.families.detections import Detections

MAX_SCORE_DIFFERENCE = 1e-4
MAX_OUTPUT_DIFFERENCE = 1e-3  # of a map, relative to its largest number
BEST_BOXES = 100  # of an image, that are compared; what comes later may be there or not by rounding, see `max_per_img`


@torch.inference_mode()
def describe_disagreement(
    predictor: Predictor, network: nn.Module, pixels: Tensor, outputs: Sequence[Tensor], score_thr: float
) -> str:
    """Compare what an engine gave with torch.

    Args:
        predictor: Without an engine.
        network: Of it.
        pixels: The images, (n, H, W, 3) uint8 BGR.
        outputs: What the engine gave for them.
        score_thr: Of the boxes.

    Returns:
        How they differ, in words that follow the name of the engine; '' if they agree.
    """
    expected = network(predictor.network_input(pixels))
    if [one.shape for one in expected] != [one.shape for one in outputs]:
        return 'gives other outputs than torch'
    for place, (one, other) in enumerate(zip(expected, outputs)):
        difference = float((one - other).abs().max() / one.abs().max().clamp(min=1e-6))
        if not difference <= MAX_OUTPUT_DIFFERENCE:  # nor not a number
            return f'gives other numbers than torch (output {place} differs by {difference:.2g} of its largest number)'
    shape = tuple(pixels.shape[1:3])
    metas = [{'ori_shape': shape, 'scale_factor': (1.0, 1.0)} for _ in pixels]  # boxes in pixels of the input
    predict, lowest = predictor.predict, score_thr
    found = predict(pixels, metas)
    if not any(len(one.scores) for one in found):
        predict, lowest = predictor.predict_any, 0.0
        found = predict(pixels, metas)
    predictor.engine = lambda inputs: list(outputs)
    try:
        other = predict(pixels, metas)
    finally:
        predictor.engine = None
    worst = max(box_difference(*pair, lowest) for pair in zip(found, other))
    if worst <= predictor.box_tolerance:
        return ''
    return f'gives other boxes than torch ({_words(worst)}; {predictor.box_tolerance:g} pixels are allowed)'


def _words(difference: float) -> str:
    return 'a box is missing' if difference == float('inf') else f'a box differs by {difference:.2g} pixels'


def box_difference(found: Detections, other: Detections, score_thr: float) -> float:
    """Return how far the boxes of an image are from those of another prediction of it.

    Args:
        found: Of one.
        other: Of the other.
        score_thr: The lowest score of both. Of boxes that come near it rounding decides whether they are there.

    Returns:
        The largest difference of a coordinate, in pixels, between one of the best `BEST_BOXES` boxes and the nearest of
        its class and score in the other prediction; infinity if there is none.
    """
    distance = (found.boxes[:, None] - other.boxes).abs().amax(-1)  # (n, m)
    distance[found.labels[:, None] != other.labels] = torch.inf
    distance[(found.scores[:, None] - other.scores).abs() > MAX_SCORE_DIFFERENCE] = torch.inf
    worst = 0.0
    for one, matrix in ((found, distance), (other, distance.T)):
        certain = matrix[:BEST_BOXES][one.scores[:BEST_BOXES] > score_thr + MAX_SCORE_DIFFERENCE]
        if len(certain):
            worst = max(worst, float(certain.amin(1).max()) if certain.shape[1] else float('inf'))
    return worst
