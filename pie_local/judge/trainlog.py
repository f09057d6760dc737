"""Judges `trainlog.json` by the format of the platform's document and the definitions of its metrics.

A reader of its own: it shares nothing with the code that writes the file.
"""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ..causes import ContentError, cause_of
from ..texts import say
from .finding import Expected, Finding, shorten

FILE = 'trainlog.json'
KEYS = ('training_id', 'create_time', 'description', 'epochs', 'best', 'end_time')
PIXEL_METRICS = ('precision', 'recall', 'score', 'IoU', 'loss')
BOX_METRICS = ('P', 'R', 'F1_score', 'mAP')
ONLY_BOXES = ('mAP', 'F1_score')  # what tells the task
ONLY_PIXELS = ('IoU', 'precision', 'score')
TOLERANCE = 2e-6  # the identities hold in the document's own example to 4e-7
AHEAD = 2  # epochs that the log may be ahead of a line: the next one may end while the line is on its way


def read_log(path: Path) -> dict[str, Any]:
    """Parse the file as the platform does: strict JSON, without NaN.

    Args:
        path: `trainlog.json`.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON object.
    """

    def refuse(name: str) -> None:
        raise ContentError('cause.no_number', name=name)

    log = json.loads(path.read_bytes().decode('utf-8'), parse_constant=refuse)
    if not isinstance(log, dict):
        raise ContentError('cause.no_object', found=shorten(log))
    return log


def judge_log(output: Path, expected: Expected) -> tuple[list[Finding], dict[str, Any]]:
    """Judge the log of an output folder.

    Args:
        output: The folder.
        expected: What is known of the training.

    Returns:
        The violations, and the log ({} if it cannot be read).
    """
    path = output / FILE
    if not path.is_file():
        return [Finding(FILE, '', say('judge.missing'))], {}
    try:
        log = read_log(path)
    except (OSError, ValueError, RecursionError) as error:
        return [Finding(FILE, '', say('judge.not_json', cause=cause_of(error)))], {}
    return list(_findings(log, expected)), log


def task_of(log: dict[str, Any]) -> str:
    """Return 'detection' for a log with metrics of boxes, 'segmentation' for one with those of pixels, else ''.

    Args:
        log: A log, whatever it holds.
    """
    named = {metric for key in ('description', 'best') if isinstance(log.get(key), dict) for metric in log[key]}
    if named & set(ONLY_BOXES):
        return 'detection'
    return 'segmentation' if named & set(ONLY_PIXELS) else ''


def _findings(log: dict[str, Any], expected: Expected) -> Iterator[Finding]:

    def finding(key: str, name: str, **values: Any) -> Finding:
        return Finding(FILE, key, say(f'judge.{name}', **values))

    for key in KEYS:
        if key not in log:
            yield finding(key, 'key_missing')
    for key in log:
        if key not in KEYS:
            yield finding(key, 'key_unknown', allowed=', '.join(KEYS))
    training_id = log.get('training_id', '')
    if not isinstance(training_id, str):
        yield finding('training_id', 'wrong_type', found=shorten(training_id), allowed='a text')
    elif expected.training_id and training_id != expected.training_id:
        yield finding('training_id', 'other_training', found=training_id, wanted=expected.training_id)
    begin, end = log.get('create_time', ''), log.get('end_time', '')
    for key in ('create_time', 'end_time'):
        value = log.get(key, '')
        if key in log and not (key == 'end_time' and value == '') and not is_time(value):
            yield finding(key, 'wrong_time', found=shorten(value))
    if is_time(begin) and is_time(end) and end < begin:
        yield finding('end_time', 'ends_before_start', found=end)
    epochs = log.get('epochs', [])
    late = expected.running and isinstance(epochs, list) and 0 < expected.epoch < len(epochs) - AHEAD
    if expected.running is True and is_time(end) and not late and expected.epoch < expected.epochs:
        yield finding('end_time', 'ended_too_early')
    if expected.running is False and end == '':
        yield finding('end_time', 'not_ended')
    description = log.get('description', {})
    if not isinstance(description, dict) or not all(
        isinstance(name, str) and name.strip() for name in description.values()
    ):
        yield finding('description', 'wrong_type', found=shorten(description), allowed='metric: shown name, both texts')
        description = None
    if not isinstance(epochs, list):
        yield finding('epochs', 'wrong_type', found=shorten(epochs), allowed='a list')
        return
    task = expected.task or task_of(log)
    for index, epoch in enumerate(epochs):
        yield from _epoch(epoch, index, task, description, expected)
    yield from _best(log.get('best', ''), bool(epochs), description)
    if expected.epoch and len(epochs) < expected.epoch:
        yield finding('epochs', 'behind', found=len(epochs), x=expected.epoch, y=expected.epochs)
    if late:
        yield finding('epochs', 'ahead', found=len(epochs), x=expected.epoch, y=expected.epochs)


def _epoch(
    epoch: Any, index: int, task: str, description: dict[str, str] | None, expected: Expected
) -> Iterator[Finding]:
    place = f'epochs[{index}]'
    if not isinstance(epoch, dict):
        yield Finding(FILE, place, say('judge.wrong_type', found=shorten(epoch), allowed='an object'))
        return
    for key in ('epoch', 'train', 'valid'):
        if key not in epoch:
            yield Finding(FILE, f'{place}.{key}', say('judge.key_missing'))
    number = epoch.get('epoch', str(index + 1))
    if isinstance(number, bool) or not isinstance(number, (str, int)):
        yield Finding(FILE, f'{place}.epoch', say('judge.wrong_type', found=shorten(number), allowed='a text, "1"'))
    elif str(number) != str(index + 1):
        yield Finding(FILE, f'{place}.epoch', say('judge.epoch_order', found=shorten(number), wanted=f'"{index + 1}"'))
    for part in ('train', 'valid'):
        if part in epoch:
            yield from _rows(epoch[part], f'{place}.{part}', task, description, expected)


def _rows(
    rows: Any, place: str, task: str, description: dict[str, str] | None, expected: Expected
) -> Iterator[Finding]:
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get('class'), str) and isinstance(row.get('values'), dict)
        for row in rows
    ):
        allowed = 'a list of {"class": text, "values": {metric: number}}'
        yield Finding(FILE, place, say('judge.wrong_type', found=shorten(rows), allowed=allowed))
        return
    if not rows:
        yield Finding(FILE, place, say('judge.no_row_all', found='-'))
        return
    names = [row['class'] for row in rows]
    if names[0] != 'all':
        yield Finding(FILE, f'{place}[0].class', say('judge.no_row_all', found=shorten(names[0])))
    wanted = [known.name for known in expected.classes]
    if task == 'detection':
        wanted = [name for name in wanted if name != 'background']
    only_all = task == 'detection' and len(names) == 1  # as the document's script for detection writes it
    if task and wanted and not only_all and names[1:] != wanted:
        yield Finding(FILE, place, say('judge.row_order', found=', '.join(names[1:]) or '-', wanted=', '.join(wanted)))
    good = True
    for index, row in enumerate(rows):
        for found in _values(row['values'], f'{place}[{index}].values', index == 0, task, description):
            good = False
            yield found
    if task and good and len(rows) > 1:
        yield from _means(rows, place, task)


def _values(
    values: dict[str, Any], place: str, is_all: bool, task: str, description: dict[str, str] | None
) -> Iterator[Finding]:
    bad = set()
    for metric, value in values.items():
        if description is not None and metric not in description:
            yield Finding(FILE, f'{place}.{metric}', say('judge.metric_not_described', metric=metric))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            bad.add(metric)
            yield Finding(
                FILE, f'{place}.{metric}', say('judge.wrong_type', found=shorten(value), allowed='a finite number')
            )
        elif not metric.lower().endswith('loss') and not 0 <= value <= 1:
            bad.add(metric)
            yield Finding(FILE, f'{place}.{metric}', say('judge.metric_range', found=value))
    if not task:
        return  # which metrics there must be is not known
    wanted = BOX_METRICS if task == 'detection' else PIXEL_METRICS
    wanted = tuple(metric for metric in wanted if metric != 'loss' or is_all)
    for metric in wanted:
        if metric not in values:
            bad.add(metric)
            yield Finding(FILE, place, say('judge.metric_missing', metric=metric, wanted=', '.join(wanted)))
    if is_all or bad:
        return
    precision, recall, f1 = ('P', 'R', 'F1_score') if task == 'detection' else ('precision', 'recall', 'score')
    total = values[precision] + values[recall]
    identities = [
        (
            f1,
            2 * values[precision] * values[recall] / total if total else 0.0,
            f'2·{precision}·{recall}/({precision}+{recall})',
        )
    ]
    if task != 'detection':
        identities.append(('IoU', values[f1] / (2 - values[f1]), f'{f1}/(2-{f1})'))
    for metric, right, formula in identities:
        if abs(values[metric] - right) > TOLERANCE:
            yield Finding(
                FILE,
                f'{place}.{metric}',
                say('judge.identity', found=values[metric], wanted=f'{right:.6f}', formula=formula),
            )


def _means(rows: list[dict[str, Any]], place: str, task: str) -> Iterator[Finding]:
    for metric in BOX_METRICS if task == 'detection' else PIXEL_METRICS[:4]:
        mean = math.fsum(row['values'][metric] for row in rows[1:]) / (len(rows) - 1)
        found = rows[0]['values'][metric]
        if abs(found - mean) > TOLERANCE:
            yield Finding(FILE, f'{place}[0].values.{metric}', say('judge.mean', found=found, wanted=f'{mean:.6f}'))


def _best(best: Any, has_epochs: bool, description: dict[str, str] | None) -> Iterator[Finding]:
    if best == '':
        if has_epochs:
            yield Finding(FILE, 'best', say('judge.best_empty'))
        return
    if not isinstance(best, dict):
        yield Finding(FILE, 'best', say('judge.wrong_type', found=shorten(best), allowed='"" or {metric: number}'))
        return
    for metric, value in best.items():
        key = f'best.{metric}'
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            yield Finding(FILE, key, say('judge.wrong_type', found=shorten(value), allowed='a finite number'))
        if metric == 'loss':
            yield Finding(FILE, key, say('judge.best_loss'))
        elif description is not None and metric not in description:
            yield Finding(FILE, key, say('judge.metric_not_described', metric=metric))


def is_time(value: Any) -> bool:
    """Whether a value is a time as the log writes it.

    Args:
        value: Of the log.
    """
    try:
        return isinstance(value, str) and datetime.strptime(value, '%Y-%m-%d %H:%M:%S').strftime('%Y') != ''
    except ValueError:
        return False
