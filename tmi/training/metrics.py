"""What an evaluator found, as the short names and bounds of a result."""

import math
from collections.abc import Mapping
from typing import Any

from mmyolo.evaluation.validation_result import ValidationResult
from tmi.families.base import Family


def clean_metrics(metrics: Mapping[str, float], prefix: str = Family.metric_prefix) -> dict[str, float]:
    """Bring an evaluator's metrics into the bounds of a result.

    Args:
        metrics: Name to value; -1 and NaN where there was nothing to evaluate.
        prefix: Of the metrics that count, the family's `metric_prefix`.

    Returns:
        `mAP` always, from 0 to 1, and the other metrics of the prefix under their short names.
    """
    cleaned = {'mAP': 0.0}
    for key, value in metrics.items():
        number = float(value)
        if key.startswith(prefix) and math.isfinite(number) and 0 <= number <= 1:
            cleaned[key[len(prefix) :]] = number
    return cleaned


def metric_names(prefix: str) -> dict[str, str]:
    """Return what `mAP` of boxes and of masks is called where both may occur, that which decides first.

    Args:
        prefix: Of the metrics that decide, the family's `metric_prefix` or `mask_metric_prefix`.

    Returns:
        Prefix to name.
    """
    if prefix == Family.mask_metric_prefix:
        return {prefix: 'maskAP', Family.metric_prefix: 'boxAP'}
    return {prefix: 'mAP'}


def named_metrics(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return what the evaluator found by names that say whether it is of boxes or of masks.

    Args:
        metrics: Name to value; -1 and NaN where there was nothing to evaluate.
        prefix: Of the metrics that decide.

    Returns:
        The metrics that decide, and the others of `metric_names`; `mAP` and its like always, from 0 to 1, the rest such
        as `mAP_50` or `maskAP_50` as far as they are defined.
    """
    return {
        key.replace('mAP', name, 1): value
        for kind, name in metric_names(prefix).items()
        for key, value in clean_metrics(metrics, kind).items()
    }


def class_precisions(evaluator: Any) -> dict[str, float]:
    """Return the average precision of each class in the last validation, as far as a metric knows it.

    Args:
        evaluator: Of the runner's validation, on the main process.

    Returns:
        From 0 to 1, nan for a class without objects; empty if no metric knows.
    """
    return dict(_kept_by(evaluator, 'class_precisions') or {})


def validation_result(evaluator: Any) -> ValidationResult | None:
    """Return the predictions of the last validation; None if no metric keeps them.

    Args:
        evaluator: Of the runner's validation, on the main process.
    """
    return _kept_by(evaluator, 'validation_result')


def _kept_by(evaluator: Any, name: str) -> Any:
    """Return the attribute of the first metric that has it, and something in it."""
    for metric in evaluator.metrics:
        found = getattr(getattr(metric, 'metric', metric), name, None)  # a wrapper keeps its metric
        if found:
            return found
    return None
