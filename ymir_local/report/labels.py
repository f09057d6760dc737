"""The part of a training's page that shows the labels which its model contradicts, each as a small picture."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ymir_exc.errors import ResultError
from ymir_exc.label_check import KINDS, LabelToCheck, read_labels_to_check
from ymir_exc.skipped_images import TRAINING

from ..platform.labels_to_check import KIND_NAMES, find_labels_to_check
from ..platform.skipped import owners_of_images
from ..texts import as_text, t
from . import summary
from .pictures import Album, Mark
from .run_files import RunFiles

MAX_CARDS = 60
SIDE = 200  # of a picture, in pixels
LIKELY = 0.5  # from this score on, a label is more likely wrong than right


def labels_part(run: RunFiles, album: Album) -> dict[str, Any] | None:
    """Collect what the template shows of the labels to check.

    Args:
        run: the training; its `gaps` tell of a table that cannot be read.
        album: gets the pictures.

    Returns:
        None if the training has no such table.
    """
    file = find_labels_to_check(run.result)
    if file is None:
        return None
    try:
        rows = read_labels_to_check(file)
    except ResultError as error:
        run.gaps.append(as_text(' '.join(str(error).split())))
        return None
    owners = owners_of_images(run.out_dir.resolve().parent)
    counts = Counter(row.kind for row in rows)
    likely = sum(row.score >= LIKELY for row in rows)
    return {
        'answers': summary.labels_to_check(likely),
        'cards': [_card(rank, row, run, owners, album) for rank, row in enumerate(rows[:MAX_CARDS], 1)],
        'counts': [(KIND_NAMES[kind], counts[kind]) for kind in KINDS],
        'total': len(rows),
        'file': file.name,
    }


def _card(rank: int, row: LabelToCheck, run: RunFiles, owners: dict[str, str], album: Album) -> dict[str, Any]:
    marks = []
    if row.label_box:
        marks.append(Mark(row.label_box, row.labelled, 'truth'))
    if row.predicted_box:
        marks.append(Mark(row.predicted_box, row.predicted, 'wrong'))
    corners = np.array([(x, y, x + w, y + h) for (x, y, w, h), *_ in marks])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    name = owners.get(Path(row.image).name)
    path = run.host_path(row.image) or (Path(name) if name and os.path.isfile(name) else None)
    picture = album.crop(path, (*low, *(high - low)), SIDE)
    label = t(
        'report.labelled predicted',
        KIND_NAMES[row.kind],
        row.labelled or t('report.nothing'),
        row.predicted or t('report.nothing'),
    )
    return {
        'rank': rank,
        'svg': picture.svg(label, [mark._replace(text='') for mark in marks]),
        'kind': KIND_NAMES[row.kind],
        'labelled': row.labelled,
        'predicted': row.predicted,
        'score': row.score,
        'set': t('cli.training') if row.part == TRAINING else t('cli.validation'),
        'file': Path(name or row.image).name,
    }
