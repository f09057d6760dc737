"""The part of a training's page that says what the check of its data found."""

from collections import Counter
from pathlib import Path
from typing import Any

from ymir_exc.errors import ResultError
from ymir_exc.preflight import PREFLIGHT_FILE, read_preflight
from ymir_exc.skipped_images import TRAINING, VALIDATION

from ..platform.skipped import owners_of_images
from ..texts import Text, as_text, catalogue, t
from .run_files import RunFiles


def finding_text(word: str) -> Text:
    """Return a kind of finding, or what was done about it, in both languages; unknown ones as they are."""
    key = f'findings.{word}'
    return t(key) if key in catalogue('en') else as_text(word)


def preflight_part(run: RunFiles) -> dict[str, Any] | None:
    """Collect what the template shows of the findings: a row for each kind, with the first of them.

    Args:
        run: the training; its `gaps` tell of a table that cannot be read.

    Returns:
        None if the training has no such table.
    """
    if not (run.out_dir / PREFLIGHT_FILE).is_file():
        return None
    counts: Counter = Counter()
    first = {}
    try:
        for row in read_preflight(str(run.out_dir)):
            counts[row.kind, row.part] += 1
            first.setdefault(row.kind, row)
    except ResultError as error:
        run.gaps.append(as_text(' '.join(str(error).split())))
        return None
    owners = owners_of_images(run.out_dir.resolve().parent) if first else {}
    rows = []
    for kind, row in first.items():
        name = Path(row.path).name
        place = ': '.join(filter(None, (Path(owners.get(name, name)).name, row.line)))
        rows.append(
            {
                'kind': finding_text(kind),
                'counts': (counts[kind, TRAINING], counts[kind, VALIDATION]),
                'done': finding_text(row.done),
                'example': f'{place} ({row.detail})' if place else row.detail,
            }
        )
    return {'rows': rows, 'file': PREFLIGHT_FILE}
