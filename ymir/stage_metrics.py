"""The metrics of a stage by the platform's names (contract section d.2): `mAP` of detection, `maskAP` of instance
segmentation, whose `boxAP` goes along.
"""

from collections.abc import Mapping
from typing import Any

from tmi.families.base import Family
from tmi.training.metrics import clean_metrics

DETECTION, MASK, BOX = 'mAP', 'maskAP', 'boxAP'


def main_metric_of(prefix: str) -> str:
    """Return the metric that decides which stage is best.

    Args:
        prefix: What the names of the metrics that count begin with.
    """
    return MASK if prefix == Family.mask_metric_prefix else DETECTION


def stage_metrics(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return what the evaluator found, by the platform's names.

    Args:
        metrics: Of the evaluator, by its names.
        prefix: What the names of the metrics that count begin with.

    Returns:
        The main metric always, from 0 to 1, and others such as `mAP_50` or `maskAP_50` as far as they are defined.
    """
    if main_metric_of(prefix) == DETECTION:
        return clean_metrics(metrics, prefix)
    kinds = ((MASK, prefix), (BOX, Family.metric_prefix))
    return {
        key.replace(DETECTION, name, 1): value
        for name, prefix in kinds
        for key, value in clean_metrics(metrics, prefix).items()
    }
