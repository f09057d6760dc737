"""Which files of a data set belong together: layouts of the three tasks, pairs by name, and what is left over.

```
train|valid/images/NAME.EXT   labels/NAME.xml       detection
train|valid/images/NAME.EXT   labels/NAME.EXT2      segmentation
train|valid/A|B/NAME.EXT      labels/NAME.EXT2      change detection
```
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pie.storage import StoredFile
from pie.texts import PieError

PARTS = ('train', 'valid')
PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')
XML = ('.xml',)
# Task -> folders of pictures, and suffixes of labels.
LAYOUTS = {'detection': (('images',), XML), 'segmentation': (('images',), PICTURES), 'change': (('A', 'B'), PICTURES)}
MAX_NAMES = 5


@dataclass
class Part:
    """The files of `train` or `valid`.

    Args:
        samples: Files that belong together: those of the folders of pictures, then the label.
        counts: Folder -> how many fitting files it has.
        lonely: Folder -> names of files without one of the others.
        doubled: Names that occur with several suffixes; the first is taken.
        others: Files of a kind or at a place that has no meaning here.
    """

    samples: list[tuple[StoredFile, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    lonely: dict[str, list[str]] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def pair_files(files: Sequence[StoredFile], prefix: str, task: str) -> Part:
    """Find what belongs together in one part of a data set.

    Args:
        files: All objects of the part, in the order of their keys.
        prefix: Key of the part, with a slash at its end.
        task: 'detection', 'segmentation' or 'change'.

    Returns:
        The samples and what is left over.
    """
    pictures, suffixes = LAYOUTS[task]
    folders: dict[str, dict[str, StoredFile]] = {name: {} for name in (*pictures, 'labels')}
    part = Part()
    for one in files:
        name = one.key.removeprefix(prefix)
        folder, _, rest = name.partition('/')
        path = PurePosixPath(rest)
        allowed = suffixes if folder == 'labels' else PICTURES
        if folder not in folders or path.suffix.lower() not in allowed:
            part.others.append(name)
            continue
        stem = str(path.with_suffix(''))
        if stem in folders[folder]:
            part.doubled.append(name)
        else:
            folders[folder][stem] = one
    part.counts = {name: len(found) for name, found in folders.items()}
    everywhere = set.intersection(*(set(found) for found in folders.values()))
    part.lonely = {name: sorted({*found} - everywhere) for name, found in folders.items()}
    part.samples = [tuple(found[stem] for found in folders.values()) for stem in sorted(everywhere)]
    return part


def seen_layout(files: Sequence[StoredFile], prefix: str) -> str | None:
    """Return the task whose layout some files have, None where they have none."""
    folders: dict[str, set[str]] = {}
    for one in files:
        folder, _, rest = one.key.removeprefix(prefix).partition('/')
        folders.setdefault(folder, set()).add(PurePosixPath(rest).suffix.lower())
    if 'A' in folders and 'B' in folders:
        return 'change'
    if 'images' not in folders:
        return None
    labels = folders.get('labels', set())
    if labels.intersection(XML):
        return 'detection'
    return 'segmentation' if labels.intersection(PICTURES) else None


def check_layout(files: Sequence[StoredFile], prefix: str, url: str, task: str, model_name: str) -> None:
    """Check that a data set is one for the task.

    Args:
        files: All objects of its training part.
        prefix: Key of that part.
        url: Of the data set.
        task: What the network does.
        model_name: The network.

    Raises:
        PieError: It has no files, no layout that is known, or that of another task.
    """
    if not files:
        raise PieError('dataset_empty', url=f'{url}train/')
    layout = seen_layout(files, prefix)
    if layout is None:
        raise PieError('layout_unknown', url=f'{url}train/', example=files[0].key)
    if layout != task:
        raise PieError('layout_differs', url=url, layout=layout, model=model_name, task=task)


def table(parts: dict[str, Part]) -> list[tuple[str, ...]]:
    """Return counts of all parts as rows: what, and the number in each part."""
    folders = list(next(iter(parts.values())).counts)
    rows = [(f'{folder}/', *(str(part.counts[folder]) for part in parts.values())) for folder in folders]
    rows.append(('成对 pairs', *(str(len(part.samples)) for part in parts.values())))
    for folder in folders:
        rows.append((f'无对应 unpaired in {folder}/', *(_names(part.lonely[folder]) for part in parts.values())))
    rows.append(('重名 same name twice', *(_names(part.doubled) for part in parts.values())))
    rows.append(('其他 other files', *(_names(part.others) for part in parts.values())))
    return rows


def _names(names: Sequence[str]) -> str:
    if not names:
        return '0'
    more = ', ...' if len(names) > MAX_NAMES else ''
    return f'{len(names)}: {", ".join(names[:MAX_NAMES])}{more}'
