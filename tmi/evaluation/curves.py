"""The curves of a training: what mmengine logged, as a table and a picture."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmyolo.tools.analysis.plotting import new_figure

SCALARS = '*/vis_data/scalars.json'  # below the work folder: one file for each start
SMOOTHED_FROM = 60  # points
FIRST_COLUMNS = ('epoch', 'step')
LEFT_OUT = ('iter', 'time', 'data_time', 'memory', 'base_lr')
SHOWN_SUFFIXES = ('', '_50', '_75')  # of the metric that decides


class Curves(NamedTuple):
    """What was logged, each in its order.

    Args:
        steps: Step to the values of the training there, `epoch` among them.
        epochs: Epoch to the metrics of its validation, by short name.
        metrics: What `mAP` is called, of boxes or of masks; that which decides first.
    """

    steps: dict[int, dict[str, float]]
    epochs: dict[int, dict[str, float]]
    metrics: tuple[str, ...]


def read_curves(work_dir: Path, since: float, metric_names: Mapping[str, str]) -> Curves:
    """Read what a training has logged, its earlier parts included; of a step that was repeated the later value counts.

    Args:
        work_dir: Of mmengine.
        since: When the training began, seconds since 1970; files that end before are of another one.
        metric_names: What the names of metrics begin with, to what `mAP` of these is called; those that decide first.
    """
    steps: dict[int, dict[str, float]] = {}
    epochs: dict[int, dict[str, float]] = {}
    files = [path for path in sorted(work_dir.glob(SCALARS)) if path.stat().st_mtime >= since]
    for path in files:
        for line in path.read_text(encoding='utf-8').splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # a line that a kill cut off
                continue
            numbers = {key: value for key, value in values.items() if type(value) in (int, float)}
            step = numbers.pop('step', None)
            if step is None:
                continue
            if 'lr' in numbers or 'loss' in numbers:
                steps[int(step)] = numbers
            else:
                epochs[int(step)] = {
                    key[len(prefix) :].replace('mAP', name, 1): value
                    for prefix, name in metric_names.items()
                    for key, value in numbers.items()
                    if key.startswith(prefix) and value >= 0  # COCO's -1: undefined
                }
    return Curves(dict(sorted(steps.items())), dict(sorted(epochs.items())), tuple(metric_names.values()))


def curves_table(curves: Curves) -> str:
    """Return a table: first a line per step that was logged, then one per validation.

    Args:
        curves: Of a training.
    """
    rows: list[dict[str, float]] = [{'step': step, **values} for step, values in curves.steps.items()]
    rows += [{'epoch': epoch, **values} for epoch, values in curves.epochs.items()]
    names = list(dict.fromkeys(name for row in rows for name in row if name not in (*FIRST_COLUMNS, 'iter')))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*FIRST_COLUMNS, *names], extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def draw_curves(curves: Curves, best_epoch: int = 0) -> Figure:
    """Draw losses, accuracy and learning rate.

    Args:
        curves: Of a training.
        best_epoch: Of the best stage, which is marked; 0: none.
    """
    figure = new_figure(15, 4.6)
    losses, accuracy, rate = figure.subplots(1, 3)
    names = [name for name in _names(curves.steps.values()) if name not in LEFT_OUT and name != 'epoch']
    for name in sorted((name for name in names if 'loss' in name), key=lambda name: name != 'loss'):
        _draw(losses, curves.steps, name, 2.5 if name == 'loss' else 1.2)
    main, *others = curves.metrics
    for name in (*(main + suffix for suffix in SHOWN_SUFFIXES), *others):
        marker = 'o' if len(curves.epochs) < SMOOTHED_FROM else ''
        _draw(accuracy, curves.epochs, name, 2.5 if name == main else 1.2, marker)
    if best_epoch in curves.epochs and main in curves.epochs[best_epoch]:
        value = curves.epochs[best_epoch][main]
        text = f'best epoch {best_epoch}, {main} {value:.3f}'
        accuracy.plot([best_epoch], [value], '*', color='#d62728', markersize=14, label=text)
    _draw(rate, curves.steps, 'lr')
    for axis, title, x_name, y_name in (
        (losses, 'Loss', 'Step', 'Loss'),
        (accuracy, 'Accuracy on the validation images', 'Epoch', 'Average precision'),
        (rate, 'Learning rate', 'Step', 'Learning rate'),
    ):
        axis.set(title=title, xlabel=x_name, ylabel=y_name)
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(linewidth=0.5, alpha=0.4)
        axis.spines[['top', 'right']].set_visible(False)
        if axis.has_data():
            axis.legend(fontsize=8, frameon=False)
        else:
            axis.text(0.5, 0.5, 'nothing was logged', ha='center', transform=axis.transAxes, color='#777777')
    return figure


def _names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _draw(axis: Axes, rows: Mapping[int, Mapping[str, float]], name: str, width: float = 1.2, marker: str = '') -> None:
    points = [(x, row[name]) for x, row in rows.items() if name in row and math.isfinite(row[name])]
    if not points:
        return
    x, y = np.array(points, dtype=float).T
    if len(y) < SMOOTHED_FROM or marker or name == 'lr':
        axis.plot(x, y, linewidth=width, label=name, marker=marker, markersize=4)
        return
    (line,) = axis.plot(x, smoothed(y), linewidth=width, label=f'{name}, smoothed')
    axis.plot(x, y, linewidth=0.5, alpha=0.3, color=line.get_color())


def smoothed(values: Sequence[float]) -> np.ndarray:
    """Return a moving average over a twentieth of the points, (n,); at both ends over those that there are."""
    values = np.asarray(values, dtype=float)
    half = max(len(values) // 40, 1)
    sums = np.concatenate([[0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)
