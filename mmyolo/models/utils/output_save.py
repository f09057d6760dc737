"""Wrappers that note what an object's methods or a function return, for export checks and tests."""

import copy
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any


class OutputSaveObjectWrapper:
    """Stands for an object and keeps what is read from it.

    Args:
        obj: the object to stand for.

    Attributes:
        log: per attribute name the list of values read, or of values returned when the attribute is a method.
    """

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.log = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # copy and pickle probe for these before `obj` exists
            raise AttributeError(name)
        value = getattr(self.obj, name)
        if not callable(value):
            self.log[name].append(value)
            return value

        @wraps(value)
        def call(*args, **kwargs):
            result = value(*args, **kwargs)
            self.log[name].append(result)
            return result

        return call

    def __deepcopy__(self, memo: dict) -> 'OutputSaveObjectWrapper':
        other = type(self)(copy.deepcopy(self.obj, memo))
        memo[id(self)] = other
        return other

    def clear(self) -> None:
        """Forget everything noted."""
        self.log.clear()


class OutputSaveFunctionWrapper:
    """A context in which a function, looked up by its name in a namespace, notes what it returns.

    Args:
        func: the function.
        spec: the namespace to replace it in; by default the globals of the module that defines it.

    Raises:
        ValueError: if `spec` is neither a dict nor None.
    """

    def __init__(self, func: Callable, spec: dict | None = None) -> None:
        if spec is None:
            spec = func.__globals__
        if not isinstance(spec, dict):
            raise ValueError(f'spec must be the dict of a namespace or None, got {type(spec).__name__}')
        self.func = func
        self.spec = spec
        self.log = []

    def __enter__(self) -> list:

        @wraps(self.func)
        def call(*args, **kwargs):
            result = self.func(*args, **kwargs)
            self.log.append(result)
            return result

        self.spec[self.func.__name__] = call
        return self.log

    def __exit__(self, *exc_info) -> None:
        self.spec[self.func.__name__] = self.func
