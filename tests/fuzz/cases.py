"""The cases of bad input: of each kind so many, each known by its number, for it has a random generator of its own."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ymir_local.platform.prepare import Task

from .materials import FORMATS, TASKS, Materials
from .mutations import (
    bad_annotations,
    bad_archive,
    bad_config,
    bad_env,
    bad_images,
    bad_index,
    bad_output,
    bad_package,
    bad_weights,
)


class Case(NamedTuple):
    """One bad input.

    Args:
        kind: One of KINDS_OF_INPUT.
        work: What is to be done.
        task: The task.
        what: What was done to it.
    """

    kind: str
    work: str
    task: Task
    what: str


class Kind(NamedTuple):
    """A kind of bad input.

    Args:
        change: Makes a task's input bad.
        tasks: Those that read it.
        share: How often it is drawn; 0: only by its name, and each task in turn.
        pretrained: Whether a training reads a model.
    """

    change: Callable[[Task, random.Random], str]
    tasks: tuple[str, ...] = TASKS
    share: int = 1
    pretrained: bool = False


KINDS_OF_INPUT: Mapping[str, Kind] = {
    'env.yaml': Kind(bad_env, share=3),
    'config.yaml': Kind(bad_config, share=4),
    'index': Kind(bad_index, share=2),
    'ark': Kind(bad_annotations, ('training',), 2),
    'voc': Kind(bad_annotations, ('training',), 2),
    'coco': Kind(bad_annotations, ('training',), 2),
    'image': Kind(bad_images, share=2),
    'weights': Kind(bad_weights, share=3, pretrained=True),
    'package': Kind(bad_package, TASKS[1:], 2),
    'archive': Kind(bad_archive, ('mining',), 2),
    'output': Kind(bad_output, share=0),
    'none': Kind(lambda task, draw: 'nothing', share=0, pretrained=True),
}


def make_case(number: int, seed: str, materials: Materials, folder: Path, kinds: tuple[str, ...] = ()) -> Case:
    """Write the folders of a task with bad input.

    Args:
        number: Of the case.
        seed: Of all cases.
        materials: What tasks are made of.
        folder: A new one.
        kinds: Of input, in turn; none: all, as often as their shares.
    """
    draw = random.Random(f'{seed} {number}')
    kinds = kinds or tuple(name for name, kind in KINDS_OF_INPUT.items() for _ in range(kind.share))
    name = kinds[number % len(kinds)]
    kind = KINDS_OF_INPUT[name]
    work = draw.choice(kind.tasks) if kind.share else kind.tasks[number % len(kind.tasks)]
    task = materials.task(folder, work, name if name in FORMATS else draw.choice(FORMATS), kind.pretrained)
    (folder / 'elsewhere').mkdir()
    (folder / 'elsewhere/file.txt').write_text('kept')
    return Case(name, 'unpack' if name == 'archive' else work, task, kind.change(task, draw))
