"""Lets mmdet be imported where mmcv has no compiled operators; ViDT calls none of them."""

import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

NAME = 'mmcv._ext'


class NoOperators(ModuleType):
    """Stands for mmcv's compiled extension: it has every operator by name, and each raises when it is called."""

    lacks_operators = True  # whoever has some may add them

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> None:
            raise NotImplementedError(f'The operator {name!r} of mmcv is not compiled here, and ViDT needs none.')

        return missing


def allow_missing_operators() -> None:
    """Register the stand-in unless there is a compiled extension, or another stand-in."""
    try:
        importlib.import_module(NAME)
    except ImportError:
        module = NoOperators(NAME, __doc__)
        module.__spec__ = importlib.machinery.ModuleSpec(NAME, loader=None)
        sys.modules[NAME] = module
