"""The names of the classes of a data set: what they may be, and how they differ from those of an annotation file."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmyolo.errors import ConfigConflictError

MAX_NAMED = 10


def check_class_names(classes: Any) -> None:
    """Check the classes of a metainfo.

    Args:
        classes: What stands there; mmengine has replaced the name of a text file by its lines.

    Raises:
        ConfigConflictError: If they are not a list of different names.
    """
    if isinstance(classes, str):
        raise ConfigConflictError(
            f'metainfo.classes is the text {classes!r}, neither a file nor a list of names: write '
            f'metainfo=dict(classes=({classes!r}, )), with the comma.'
        )
    if not isinstance(classes, (list, tuple)) or not classes:
        raise ConfigConflictError(
            f'metainfo.classes is {classes!r}; a tuple of names is needed, for example '
            "metainfo=dict(classes=('cat', 'dog'))."
        )
    wrong = [name for name in classes if not isinstance(name, str) or not name.strip()]
    if wrong:
        raise ConfigConflictError(
            f'metainfo.classes has {wrong[0]!r} among {tuple(classes)}; every name is a text with at least one letter.'
        )
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise ConfigConflictError(
            f'metainfo.classes has {twice[0]!r} more than once; every class needs a name of its own.'
        )


def differing_names(file: str, classes: Sequence[str], objects: Mapping[str, int]) -> str:
    """Say which classes a file does not have and which of its own are left out.

    Args:
        file: The annotation file.
        classes: Those of the data set.
        objects: Name of each category of the file -> number of its objects.

    Returns:
        A sentence, empty if no object is lost and every class is there.
    """
    missing = [name for name in classes if name not in objects]
    left_out = {name: count for name, count in objects.items() if count and name not in classes}
    parts = []
    if missing:
        nearest = difflib.get_close_matches(missing[0], [name for name in objects if name not in classes], 1)
        hint = f' (did you mean {nearest[0]!r}?)' if nearest else ''
        parts.append(f'there is no {_shorten(list(map(repr, missing)))} of metainfo.classes{hint}')
    if left_out:
        most = sorted(left_out, key=lambda name: -left_out[name])
        parts.append(
            f'{sum(left_out.values())} objects of other classes are left out: '
            f'{_shorten([f"{name!r} {left_out[name]}" for name in most])}'
        )
    return f'{file}: {"; ".join(parts)}.' if parts else ''


def _shorten(words: Sequence[str]) -> str:
    more = len(words) - MAX_NAMED
    return ', '.join(words[:MAX_NAMED]) + (f' and {more} more' if more > 0 else '')
