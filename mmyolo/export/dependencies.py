"""The packages that only export needs, imported where they are used."""
from importlib import import_module
from types import ModuleType


def need(name: str) -> ModuleType:
    """Imports a package of the extra `export`.

    Raises:
        ImportError: with the way to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f'Export needs the package {name.split(".")[0]}, which cannot be imported ({error}); '
                          'install it with: pip install "ymir-mmyolo[export]"') from error
