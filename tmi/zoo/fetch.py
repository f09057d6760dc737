"""Fetch public checkpoints before the image is built: python -m tmi.zoo.fetch WEIGHTS_DIR MODEL [MODEL ...]

A task has no network, so weights must be in the image. Each file is checked against the hash in its name before it gets
that name; one that is there already is checked and left. Where the name has no hash, its length is checked alone. Of a
model whose whole weights were not published, the backbone's are fetched, which its recipe starts from.
"""

import argparse
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tmi.errors import TaskError
from tmi.zoo.models import find_model, models
from tmi.zoo.table import file_name_of, model_table, sha256_head_of
from tmi.zoo.weights import sha256_head_fits

TIMEOUT_SECONDS = 60


def fetch(url: str, folder: Path) -> Path:
    """Fetch one checkpoint.

    Args:
        url: Where it is.
        folder: Where to put it.

    Returns:
        The file.

    Raises:
        ValueError: What came is not what the hash says, or is not whole.
        OSError: It cannot be fetched or written.
    """
    target, head = folder / file_name_of(url), sha256_head_of(url)
    if target.is_file() and sha256_head_fits(target, head):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + '.tmp')
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source, open(partial, 'wb') as file:
        shutil.copyfileobj(source, file)
        announced = source.headers.get('Content-Length')
    came = partial.stat().st_size
    if announced is not None and came != int(announced):
        partial.unlink()
        raise ValueError(f'{url}: {came:,} of {int(announced):,} bytes came; try again')
    if not sha256_head_fits(partial, head):
        partial.unlink()
        raise ValueError(f'{url}: the sha256 does not begin with {head}; try again')
    return partial.rename(target)


def main() -> int:
    """Fetch what the command line names; returns the exit status."""
    table = model_table()
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
        url = (table[stem].url or table[stem].backbone_url) if stem in table else ''
        if not url:
            print(f'{stem}: there is no public checkpoint', file=sys.stderr)
            status = status if 'all' in arguments.models else 1
            continue
        try:
            print(fetch(url, arguments.folder))
        except (OSError, ValueError, urllib.error.URLError) as error:
            print(f'{stem}: {error}', file=sys.stderr)
            status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
