"""Curves of a training, from tensorboard's event files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..platform.event_scalars import event_files, events_of, scalars_of
from ..texts import Text, t

SMOOTHING = 0.6


@dataclass(frozen=True)
class Curve:
    """The values of one tag.

    Args:
        steps: (N,) rising.
        values: (N,).
        times: (N,) when each was written, seconds.
    """

    steps: np.ndarray
    values: np.ndarray
    times: np.ndarray


def read_curves(folder: Path) -> tuple[dict[str, Curve], list[Text]]:
    """Read all scalars below a folder; of two values at one step the later counts, as after a resumed training.

    Args:
        folder: out/tensorboard.

    Returns:
        Curves by tag, and what could not be read.
    """
    points: dict[str, dict[int, tuple[float, float]]] = {}
    gaps = []
    for path in event_files(folder):
        try:
            for event in events_of(path).Load():
                for tag, number in scalars_of(event):
                    points.setdefault(tag, {})[event.step] = (number, event.wall_time)
        except Exception as error:  # a file cut short raises several kinds, of several libraries
            gaps.append(t('report.cannot be read to its', path.name, type(error).__name__))
    curves = {}
    for tag, by_step in points.items():
        steps = np.array(sorted(by_step))
        pairs = np.array([by_step[step] for step in steps])
        curves[tag] = Curve(steps, pairs[:, 0], pairs[:, 1])
    return curves, gaps


def smoothed(values: np.ndarray, weight: float = SMOOTHING) -> np.ndarray:
    """Return the moving average as tensorboard shows it: exponential, its beginning corrected, NaN ignored.

    Args:
        values: (N,).
        weight: of what came before, 0 to 1.
    """
    average, norm = 0.0, 0.0
    result = np.array(values, float)
    for k, value in enumerate(result):
        if np.isfinite(value):
            average = weight * average + (1 - weight) * value
            norm = weight * norm + (1 - weight)
            result[k] = average / norm
    return result
