"""The packages that only export needs, imported where they are used."""

from importlib import import_module
from types import ModuleType


def need(name: str) -> ModuleType:
    """Import a package that export needs.

    Raises:
        ImportError: with the way to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split('.')[0]
        raise ImportError(
            f'Export needs the package {package}, which cannot be imported ({error}); install it with: '
            f'pip install {package}'
        ) from error
