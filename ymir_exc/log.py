"""Warnings that a training of 300 epochs does not repeat 300 times."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

_warned: set[str] = set()


def warn_once(kind: str, message: str) -> None:
    """Log a warning, the first of its kind in this process only.

    Args:
        kind: what is the same about all of them.
        message: a sentence.
    """
    if kind not in _warned:
        _warned.add(kind)
        logger.warning('%s (further warnings of this kind are left out)', message)
