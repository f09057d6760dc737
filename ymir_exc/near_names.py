"""What somebody may have meant who wrote a name that does not exist."""

from __future__ import annotations

import difflib
from typing import Iterable

CUTOFF = 0.75  # of 1; less likeness is not a misspelling: max_iter is not val_interval


def near_name(word: str, names: Iterable[str]) -> str:
    """Return the name that is nearest to a word; '' if none is near enough to be a misspelling.

    Args:
        word: what was written.
        names: what exists.
    """
    return next(iter(difflib.get_close_matches(word, list(names), n=1, cutoff=CUTOFF)), '')
