"""The numbers of a model stage, brought into what the platform accepts (contract section d.2).

It rejects the whole result for one number out of bounds. Some of them are nobody's mistake: a validation set without
labelled objects gives -1, NaN or nothing. So what cannot be written is replaced or left out, with one warning of each
kind, and a training is never ended by its report. Arguments of a wrong type are the author's mistake and stay errors.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any, Iterable, Mapping

from .errors import ResultError
from .log import warn_once
from .scalars import MAX_INT32, to_float, to_plain

MAIN_METRICS = ('maskAP', 'mIoU', 'mAP')  # the first that a result has decides which stage is best
BOUNDED_METRICS = ('mAP', 'mAR', 'mIoU', 'mAcc', 'maskAP', 'boxAP')
COUNTERS = ('tp', 'fp', 'fn')
_RESERVED = ('stage_name', 'files', 'timestamp')
_ROUNDING = 1e-3  # a sum of float32 may end a little above 1


def main_metric(stage: Mapping[str, Any]) -> str | None:
    """Return the name of the metric that decides which stage is best; None if there is none."""
    return next((name for name in MAIN_METRICS if name in stage), None)


def _share(value: Any, name: str) -> float | None:
    """Return a metric from 0 to 1; None if it is none."""
    number = math.nan if value is None else to_float(value, name)
    if 0 <= number <= 1 + _ROUNDING:
        return min(number, 1.0)
    return None


def _count(value: Any, name: str) -> int | None:
    number = math.nan if value is None else to_float(value, name)
    return int(number) if 0 <= number <= MAX_INT32 and number == int(number) else None


_OTHER_METRICS = {
    **dict.fromkeys(BOUNDED_METRICS, (_share, 'a number from 0 to 1')),
    **dict.fromkeys(COUNTERS, (_count, f'a whole number from 0 to {MAX_INT32}')),
}
_FREE_METRIC = (to_plain, 'what has a plain, finite form')  # the platform does not read it


def clean_metrics(evaluation_result: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the metrics of a stage into the platform's bounds.

    Args:
        evaluation_result: name -> number of Python, numpy, torch or text; None where there was nothing to measure.

    Returns:
        The metrics that the platform accepts, a main one always: 0 where it could not be measured.

    Raises:
        ResultError: a main metric is not one number but, for example, a word or a list.
    """
    metrics: dict[str, Any] = {}
    given = {str(key): value for key, value in evaluation_result.items()}
    for key, value in given.items():
        # The documents write TP, FP, FN; the platform reads only the lower case.
        name = key.lower() if key.lower() in COUNTERS else key
        if name in _RESERVED:
            warn_once(
                f'metric {name}', f'evaluation_result has the key {name!r}, which is not a metric; it is left out'
            )
        elif name in MAIN_METRICS:
            number = _share(value, name)
            metrics.update({} if number is None else {name: number})
        else:
            convert, allowed = _OTHER_METRICS.get(name, _FREE_METRIC)
            try:
                number = convert(value, name)
            except (ResultError, ValueError, RecursionError):
                number = None
            if number is None:
                warn_once(f'metric {name}', f'{name} is {value!r} and is left out: it may be {allowed}')
            else:
                metrics[name] = number
    if main_metric(metrics) is None:
        name = main_metric(given) or 'mAP'
        metrics = {name: 0.0, **metrics}
        found = f'is {given[name]!r}' if name in given else 'is not given'
        warn_once(
            'main metric',
            f'the metric {name} of a stage {found} and is written as 0: the platform accepts 0 to '
            '1. A validation set without labelled objects gives -1 or NaN',
        )
    return metrics


def clean_timestamp(timestamp: Any) -> int:
    """Return seconds since 1970 as the platform stores them; now for None and for what it cannot store."""
    now = int(time.time())
    if timestamp is None:
        return now
    try:
        number = to_float(timestamp, 'timestamp')
    except ResultError:
        number = math.nan
    if 0 <= number <= MAX_INT32:
        return int(number)
    warn_once('timestamp', f'timestamp {timestamp!r} is not seconds since 1970 (not milliseconds); now is written')
    return now


def clean_evaluate_config(evaluate_config: Mapping[str, Any]) -> dict[str, float]:
    """Keep what is one finite number: the platform accepts nothing else, no None and no ``0.5:0.95:0.05``."""
    numbers: dict[str, float] = {}
    for key, value in evaluate_config.items():
        try:
            number = to_float(value, str(key))
        except ResultError:
            number = math.nan
        if math.isfinite(number):
            numbers[str(key)] = number
        else:
            warn_once(
                f'evaluate_config {key}',
                f'evaluate_config[{key!r}] is {value!r} and is left out: the platform accepts finite numbers',
            )
    return numbers


def clean_attachments(models_dir: str, attachments: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Keep the attachments that are there: for a missing one the platform rejects the whole result.

    Args:
        models_dir: /out/models.
        attachments: section -> file names; the files lie in ``attachments/<section>/`` of ``models_dir``.

    Raises:
        ResultError: a section is a text instead of a list.
    """
    kept: dict[str, list[str]] = {}
    for section, files in attachments.items():
        if isinstance(files, str):
            raise ResultError(f'attachments[{section!r}] must be a list of file names, not {files!r}')
        for file in map(str, files or ()):
            path = os.path.join(models_dir, 'attachments', str(section), file)
            if os.path.isfile(path) and not os.path.islink(path):
                kept.setdefault(str(section), []).append(file)
            else:
                warn_once(f'attachment {path}', f'the attachment {path} is left out: it is not a regular file')
    return kept
