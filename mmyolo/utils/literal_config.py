"""Reading a dumped config file as data: it is parsed, never executed.

A model package is something that a user imports from anywhere, and its config is a Python file. mmengine's
`Config.dump` writes plain assignments of literals, so nothing is lost by accepting only these.
"""

import ast
import codecs
from pathlib import Path
from typing import Any

CONTAINERS = {'dict': dict, 'list': list, 'tuple': tuple, 'set': set}
CONSTANTS = {'inf': float('inf'), 'nan': float('nan')}  # as repr() writes them
MAX_BYTES = 1 << 21  # a dumped config has about 30,000; reading takes some 500 times as much memory
MAX_DEPTH = 60  # of nested values; a dumped config has about 12


class ConfigContentError(ValueError):
    """A config cannot be read as data, or asks for what a config from elsewhere may not; the message says where."""


def read_literal_config(path: str | Path) -> dict[str, Any]:
    """Read the top-level names of a dumped config file.

    Args:
        path: A `.py` file of assignments `name = literal`, where `dict(a=1)` and the like count as literals.

    Returns:
        Name to value.

    Raises:
        ConfigContentError: If the file cannot be read or holds anything but literals.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read(MAX_BYTES + 1)
        if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ConfigContentError(f'The config {path} is UTF-16 text; save it as UTF-8.')
        text = content.decode('utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigContentError(f'Cannot read the config {path}: {error}.') from error
    return parse_literal_config(text, path)


def parse_literal_config(text: str, path: str | Path) -> dict[str, Any]:
    """Read the top-level names of a dumped config.

    Args:
        text: Its content.
        path: Where it comes from, for messages.

    Returns:
        Name to value.

    Raises:
        ConfigContentError: If it holds anything but assignments of literals.
    """
    if len(text) > MAX_BYTES:
        raise ConfigContentError(f'Cannot read the config {path}: it is larger than {MAX_BYTES:,} bytes.')
    try:
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigContentError(f'Cannot read the config {path}: {error}.') from error
    except (RecursionError, MemoryError) as error:  # both mean brackets in brackets
        raise ConfigContentError(f'Cannot read the config {path}: its values are nested too deeply.') from error
    values: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
            for target in statement.targets:
                values[target.id] = _evaluate(statement.value, path)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            raise _not_literal(statement, path)
    return values


def _evaluate(node: ast.expr, path: str | Path, depth: int = 0) -> Any:
    """Return the value of one expression of literals."""
    if depth > MAX_DEPTH:
        raise ConfigContentError(
            f'The config {path}, line {node.lineno}: values are nested more than {MAX_DEPTH} deep.'
        )
    try:
        return _value_of(node, path, depth + 1)
    except TypeError as error:  # a list as a key, or in a set
        raise _not_literal(node, path) from error


def _value_of(node: ast.expr, path: str | Path, depth: int) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind([_evaluate(item, path, depth) for item in node.elts])
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        return {
            _evaluate(key, path, depth): _evaluate(value, path, depth) for key, value in zip(node.keys, node.values)
        }
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _evaluate(node.operand, path, depth)
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return CONSTANTS[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONTAINERS:
        arguments = [_evaluate(argument, path, depth) for argument in node.args]
        named = {}
        for keyword in node.keywords:
            value = _evaluate(keyword.value, path, depth)
            if keyword.arg is None and isinstance(value, dict):  # dict(**{'not an identifier': 1})
                named.update(value)
            elif keyword.arg is not None:
                named[keyword.arg] = value
            else:
                raise _not_literal(keyword.value, path)
        try:
            return CONTAINERS[node.func.id](*arguments, **named)
        except (TypeError, ValueError) as error:
            raise _not_literal(node, path) from error
    raise _not_literal(node, path)


def _not_literal(node: ast.AST, path: str | Path) -> ConfigContentError:
    return ConfigContentError(
        f'The config {path}, line {getattr(node, "lineno", 0)}, holds code; only assignments of plain values are '
        'read from a model package, as mmengine dumps them. Dump the config with Config.dump and import it again.'
    )


def dump_literal_config(config: Any, path: str | Path) -> str:
    """Write a config as text that mmengine reads as what it was, and that holds no code.

    mmengine replaces `{{...}}` in a file before it reads it, and writes keys of mappings without escaping them.

    Args:
        config: mmengine's Config.
        path: Where it is to be written, for messages.

    Returns:
        The text.

    Raises:
        ConfigContentError: If it would hold anything but assignments of literals.
    """
    text = config.pretty_text.replace('{{', '{\\x7b')
    parse_literal_config(text, path)
    return text
