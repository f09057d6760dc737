"""What an evaluator found, as the short names and bounds of a result."""

import math

METRIC_PREFIX = 'coco/bbox_'


def clean_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Bring an evaluator's metrics into bounds that any platform takes.

    Args:
        metrics: E.g. `coco/bbox_mAP_50` to value; -1 and NaN where there was nothing to evaluate.

    Returns:
        `mAP` always, from 0 to 1, and the other box metrics under their short names.
    """
    cleaned = {'mAP': 0.0}
    for key, value in metrics.items():
        number = float(value)
        if key.startswith(METRIC_PREFIX) and math.isfinite(number) and 0 <= number <= 1:
            cleaned[key[len(METRIC_PREFIX) :]] = number
    return cleaned
