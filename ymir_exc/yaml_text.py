"""The one reader of YAML that somebody else wrote: plain data of a bounded size, or an error.

A few lines of YAML can stand for more than any memory holds (aliases of aliases), for something that contains itself,
or for nesting that no reader survives; and PyYAML raises what Python raises for values such as the 40th of a month.
"""

from __future__ import annotations

import re
from typing import Any, Iterable

import yaml

MAX_NODES = 100_000
MAX_DEPTH = 100
MAX_DIGITS = 1000
# Also hexadecimal and of base 60, which Python makes integers of that it cannot write.
_NUMBER = re.compile(r'[-+]?[0-9][0-9a-fA-FxX_:.+-]*')


def load_yaml(text: str, loader: type = yaml.SafeLoader) -> Any:
    """Read a YAML document as data.

    Args:
        text: the document.
        loader: a safe loader of PyYAML.

    Returns:
        Its content.

    Raises:
        yaml.YAMLError: it is not YAML, or is too deep, too large with its aliases written out, or contains itself.
    """
    return load_yaml_with_lines(text, loader)[0]


def load_yaml_with_lines(text: str, loader: type = yaml.SafeLoader) -> tuple[Any, yaml.Node | None]:
    """Read a YAML document as data, and as the tree of its nodes, which know their lines.

    Args:
        text: the document.
        loader: a safe loader of PyYAML.

    Returns:
        Its content, and the root of the tree; None and None for an empty document.

    Raises:
        yaml.YAMLError: as :func:`load_yaml`.
    """
    try:
        check_yaml_size(text, loader)
        reader = loader(text)
        try:
            node = reader.get_single_node()
            return None if node is None else reader.construct_document(node), node
        finally:
            reader.dispose()
    except yaml.YAMLError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise yaml.YAMLError(f'a value cannot be read: {type(error).__name__} {error}') from error


def yaml_fault(error: yaml.YAMLError) -> str:
    """Return where a text is not YAML, and why, in one line."""
    mark = getattr(error, 'problem_mark', None)
    if mark is None:
        return ' '.join(str(error).split())
    return f'line {mark.line + 1}, column {mark.column + 1}: {error.problem}'


def check_yaml_size(text: str, loader: type = yaml.SafeLoader) -> None:
    """Count the values that a document stands for, before any of them is made.

    Args:
        text: the document.
        loader: a loader of PyYAML.

    Raises:
        yaml.YAMLError: it is not YAML, or is too deep, too large with its aliases written out, or contains itself.
    """
    in_c = getattr(yaml, f'C{loader.__name__}', loader)
    try:
        _count(yaml.parse(text, Loader=in_c))
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError):  # the words of the other are better
        _count(yaml.parse(text, Loader=loader))


def _count(events: Iterable[yaml.Event]) -> None:
    sizes: dict[Any, int] = {}
    open_nodes: list[tuple[Any, int]] = [(None, 0)]  # anchor, and nodes before it
    total = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise yaml.YAMLError(f'line {line}: *{event.anchor} stands inside of what it names, so it has no end')
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            sizes[event.anchor] = 1
            if len(event.value) > MAX_DIGITS and _NUMBER.fullmatch(event.value):
                raise yaml.YAMLError(f'line {line}: a number of {len(event.value)} characters')
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes[anchor] = total - before
        if len(open_nodes) > MAX_DEPTH:
            raise yaml.YAMLError(f'line {line}: more than {MAX_DEPTH} levels deep')
        if total > MAX_NODES:
            raise yaml.YAMLError(f'line {line}: more than {MAX_NODES:,} values, with aliases written out')
