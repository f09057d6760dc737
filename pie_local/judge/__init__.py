"""Judges the folder `output/` of a training exactly as the platform would read it when it pushes an epoch."""

from dataclasses import replace
from pathlib import Path

from ..texts import say
from .finding import ClassOfLabel, Expected, Finding
from .pictures import PICTURES, judge_pictures
from .trainlog import ONLY_BOXES, ONLY_PIXELS, judge_log, task_of
from .weights import find_weights, judge_weights

__all__ = ['ClassOfLabel', 'Expected', 'Finding', 'PICTURES', 'check_output', 'find_weights']


def check_output(output: Path, expected: Expected = Expected()) -> list[Finding]:
    """Judge weights, log and pictures of an output folder.

    Args:
        output: `output/` beside train.py, or a copy of it.
        expected: What is known of the training.

    Returns:
        The violations; none: the platform could push it.
    """
    output = Path(output)
    found, log = judge_log(output, expected)
    task = expected.task or task_of(log)
    if not expected.task and task == 'segmentation' and (output / 'picture/A.png').exists():
        task = 'change'
    if not task:
        boxes, pixels = ', '.join(ONLY_BOXES), ', '.join(ONLY_PIXELS)
        found.append(Finding('trainlog.json', '', say('judge.task_unknown', boxes=boxes, pixels=pixels)))
    expected = replace(expected, task=task)
    return [*found, *judge_weights(output, expected), *judge_pictures(output, expected, task)]
