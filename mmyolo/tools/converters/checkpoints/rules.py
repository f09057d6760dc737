"""How names of weights are translated: where each part of a foreign model goes, and its layers within."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor


class Rename(NamedTuple):
    """A regular expression and what replaces it."""

    pattern: str
    replacement: str


CONV: tuple[Rename, ...] = ()
"""Layers whose names are the same."""


class Place(NamedTuple):
    """Where a part goes."""

    source: str
    """Start of the foreign names, up to a dot."""
    target: str
    """Start of our names."""
    layers: Sequence[Rename] = CONV
    """How the rest of the name is renamed, rule after rule."""


class KeyMap(NamedTuple):
    """Names of one architecture."""

    name: str
    """Of the architecture, for messages."""
    places: Sequence[Place]
    """The longest source that fits counts. Each must occur in a file."""
    dropped: Sequence[str] = ()
    """Regular expressions of names that have no counterpart here."""
    optional: Sequence[str] = ()
    """Sources that a file may lack."""


def place_keys(state: Mapping[str, Tensor], keys: KeyMap) -> dict[str, Tensor]:
    """Rename weights.

    Args:
        state: Weights by foreign name.
        keys: The names.

    Returns:
        Weights by our name, in the order given.

    Raises:
        ValueError: If a name has no place, two names have the same or a place stays empty.
    """
    places = {place.source: place for place in keys.places}
    dropped = [re.compile(pattern) for pattern in keys.dropped]
    used, origin, result, lost = set(), {}, {}, []
    for key, value in state.items():
        if any(pattern.search(key) for pattern in dropped):
            continue
        place = _find(key, places)
        if place is None:
            lost.append(key)
            continue
        used.add(place.source)
        rest = key[len(place.source) :]
        for rule in place.layers:
            rest = re.sub(rule.pattern, rule.replacement, rest)
        name = place.target + rest
        if name in origin:
            raise ValueError(f'{key} and {origin[name]} both are {name}: the file is not of {keys.name}')
        origin[name], result[name] = key, value
    if lost:
        raise ValueError(f'The file is not of {keys.name}: these weights have no place in it: {brief(lost)}')
    empty = [source for source in places if source not in used and source not in keys.optional]
    if empty:
        raise ValueError(f'The file is not of {keys.name}: it has no weights that start with {brief(empty)}')
    return result


def _find(key: str, places: dict[str, Place]) -> Any:
    parts = key.split('.')
    for end in range(len(parts), -1, -1):
        place = places.get('.'.join(parts[:end]))
        if place is not None:
            return place
    return None


def compare(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], may_lack: Sequence[str] = ()) -> list[str]:
    """Compare weights with those of a model.

    Args:
        state: Weights by name.
        wanted: The model's own.
        may_lack: Regular expressions of names that `state` need not have.

    Returns:
        A sentence per kind of difference.
    """
    counters = 'num_batches_tracked'  # not all frameworks count
    missing = [
        key
        for key in wanted
        if key not in state and not key.endswith(counters) and not any(re.search(pattern, key) for pattern in may_lack)
    ]
    extra = [key for key in state if key not in wanted]
    shapes = [
        f'{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}'
        for key in state
        if key in wanted and state[key].shape != wanted[key].shape
    ]
    texts = (('the file lacks', missing), ('the model lacks', extra), ('other shapes:', shapes))
    return [f'{text} {brief(names)}' for text, names in texts if names]


def brief(names: Sequence[str], count: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more
