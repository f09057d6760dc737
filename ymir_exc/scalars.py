"""Numbers from what executors hold: Python, numpy and torch scalars and numeric strings, without importing either."""

from __future__ import annotations

import math
from typing import Any

from .errors import ResultError

MAX_INT32 = 2**31 - 1


def to_float(value: Any, name: str) -> float:
    """Turn a scalar of any library into a Python float.

    Args:
        value: an int or float, a numeric string, or anything of one element with ``.item()`` (numpy, torch, ...).
        name: what the value is, for the error.

    Returns:
        The number; NaN and the infinities pass.

    Raises:
        ResultError: it is not one number.
    """
    try:
        if hasattr(value, 'item'):
            value = value.item()
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ResultError(f'{name} must be one number, not {value!r} ({type(value).__name__})') from None


def to_finite_float(value: Any, name: str) -> float:
    """As :func:`to_float`, without NaN and infinities.

    Raises:
        ResultError: it is not one finite number.
    """
    number = value if type(value) is float else to_float(value, name)  # the common case, once per box
    if not math.isfinite(number):
        raise ResultError(f'{name} is {number}; it must be a finite number')
    return number


def to_rounded_int(value: Any, name: str) -> int:
    """Round a scalar to the nearest integer, halves upwards (0.5 -> 1, -0.5 -> 0).

    Raises:
        ResultError: it is not one finite number.
    """
    return value if type(value) is int else math.floor(to_finite_float(value, name) + 0.5)


def to_plain(value: Any, name: str) -> Any:
    """Copy a nested value into what YAML and JSON can hold: dict, list, str, int, finite float, bool and None.

    Args:
        value: dicts, lists and tuples of Python, numpy or torch values; bytes are read as ASCII text.
        name: where the value stands, for the error.

    Raises:
        ResultError: a number in it is not finite, or something in it has no plain form.
    """
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value  # numpy's text is a str too
    if isinstance(value, dict):
        return {str(key): to_plain(item, f'{name}[{key!r}]') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, f'{name}[{index}]') for index, item in enumerate(value)]
    if isinstance(value, bytes):
        return value.decode('ascii')
    if hasattr(value, 'tolist'):  # numpy and torch, arrays and scalars alike
        return to_plain(value.tolist(), name)
    if isinstance(value, int):
        return int(value)
    return to_finite_float(value, name)


def is_number(value: Any, low: float = float('-inf'), high: float = float('inf')) -> bool:
    """Return whether ``float(value)`` works and gives a number within bounds, which NaN never is.

    Args:
        value: anything.
        low: the lower bound, inclusive.
        high: the upper bound, inclusive.
    """
    try:
        return low <= float(value) <= high
    except (TypeError, ValueError, OverflowError):
        return False


def is_integer(value: Any, low: int = -(2**31), high: int = 2**31 - 1) -> bool:
    """Return whether ``int(value)`` works and gives an integer within bounds.

    Args:
        value: anything; decimals are cut off.
        low: the lower bound, inclusive.
        high: the upper bound, inclusive.
    """
    try:
        return low <= int(value) <= high
    except (TypeError, ValueError, OverflowError):
        return False
