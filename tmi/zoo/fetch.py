"""Fetch public checkpoints before the image is built: python -m tmi.zoo.fetch WEIGHTS_DIR MODEL [MODEL ...]

A task has no network, so weights must be in the image. Each file is checked against the hash in its name before it gets
that name; one that is there already is checked and left.
"""

import argparse
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tmi.errors import TaskError
from tmi.zoo.models import find_model, models
from tmi.zoo.table import ModelEntry, public_checkpoints
from tmi.zoo.weights import sha256_head_fits

TIMEOUT_SECONDS = 60


def fetch(checkpoint: ModelEntry, folder: Path) -> Path:
    """Fetch one checkpoint.

    Args:
        checkpoint: What to fetch.
        folder: Where to.

    Returns:
        The file.

    Raises:
        ValueError: What came is not what the hash says.
        OSError: It cannot be fetched or written.
    """
    target = folder / checkpoint.file_name
    if target.is_file() and sha256_head_fits(target, checkpoint.sha256_head):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + '.tmp')
    with urllib.request.urlopen(checkpoint.url, timeout=TIMEOUT_SECONDS) as source, open(partial, 'wb') as file:
        shutil.copyfileobj(source, file)
    if not sha256_head_fits(partial, checkpoint.sha256_head):
        partial.unlink()
        raise ValueError(f'{checkpoint.url}: the sha256 does not begin with {checkpoint.sha256_head}; try again')
    return partial.rename(target)


def main() -> int:
    """Fetch what the command line names; returns the exit status."""
    table = public_checkpoints()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='where to put them; the Dockerfile copies it to /weights')
    parser.add_argument('models', nargs='+', help='model names as in model_name, or "all"')
    arguments = parser.parse_args()
    try:
        stems = [model.stem for model in (models() if 'all' in arguments.models else map(find_model, arguments.models))]
    except TaskError as error:
        print(error, file=sys.stderr)
        return 2
    status = 0
    for stem in stems:
        if stem not in table:
            print(f'{stem}: there is no public checkpoint', file=sys.stderr)
            status = status if 'all' in arguments.models else 1
            continue
        try:
            print(fetch(table[stem], arguments.folder))
        except (OSError, ValueError, urllib.error.URLError) as error:
            print(f'{stem}: {error}', file=sys.stderr)
            status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
