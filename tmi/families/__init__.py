"""Kinds of models. One file for each, over the seam of `base.py`; one line here.

A family from outside is named by the environment variable TMI_FAMILIES, as `module:Class`, several separated by commas.
Only who starts the process sets it: no config, setting or model package can name code.
"""

import os
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tmi.errors import SettingError

if TYPE_CHECKING:
    from tmi.families.base import Family

# The last one takes the models that no family knows, and says what is wrong with them.
FAMILIES = ('tmi.families.vidt:ViDTFamily', 'tmi.families.dense:DenseFamily')
FAMILIES_VARIABLE = 'TMI_FAMILIES'


@cache
def _load(entry: str) -> 'Family':
    module, _, name = entry.partition(':')
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SettingError(
            f'The environment variable {FAMILIES_VARIABLE} names {entry!r}, which cannot be loaded ({error}): name a '
            'family as module:Class, several separated by commas.'
        ) from error


def added_families() -> list['Family']:
    """Return the families from outside, which TMI_FAMILIES names.

    Raises:
        SettingError: One of them cannot be loaded.
    """
    entries = os.environ.get(FAMILIES_VARIABLE, '').split(',')
    return [_load(entry.strip()) for entry in entries if entry.strip()]


def all_families() -> list['Family']:
    """Return all families, those from outside first."""
    return [*added_families(), *map(_load, FAMILIES)]


def family_of(model: Mapping[str, Any]) -> 'Family':
    """Find the family of a model.

    Args:
        model: The value of `model` in a config.

    Returns:
        The family that knows it, the last of `FAMILIES` if none does.
    """
    families = all_families()
    return next((family for family in families if family.knows(model)), families[-1])
