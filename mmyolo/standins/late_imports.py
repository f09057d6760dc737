"""Packages that mmdet imports with its modules but uses in few functions: here they are imported when they are used.

Together they take about a second, a quarter of the start of a process that trains or predicts. What mmdet prints while
it is imported, that a package for some of its data sets is missing, is of no use to anybody here and is dropped.
"""

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

IMGAUG = (
    'imgaug',
    'imgaug.augmenters',
    'imgaug.augmentables',
    'imgaug.augmentables.lines',
    'imgaug.augmentables.segmaps',
)
# Module of mmdet -> what it would import.
LATE = {
    'mmdet.datasets.transforms.generate_line': IMGAUG,
    'mmdet.models.dense_heads.clr_head.clr_head': ('matplotlib.pyplot',),
    'mmdet.utils.mot_error_visualize': ('matplotlib.pyplot',),
    'mmdet.visualization.local_visualizer': ('matplotlib.pyplot',),
    'mmdet.datasets': (),
}
QUIET = ('mmdet.datasets',)


class LateName:
    """A function or class of a module that is imported when it is called or asked for something.

    Args:
        module: Full name of the module.
        name: What to take from it.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # of Python's own, which has no use for the real one
            raise AttributeError(name)
        return getattr(self._real(), name)


class LateModule(ModuleType):
    """A module that is imported when it is used, which it is not while another module imports names from it."""

    in_use = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        if self.in_use:
            return getattr(importlib.import_module(self.__name__), name)
        inner = sys.modules.get(f'{self.__name__}.{name}')
        return LateName(self.__name__, name) if inner is None else inner


class LateLoader(Loader):
    """Loads a module while others are stood in for.

    Args:
        loader: Loads the module.
        late: Names of the others.
    """

    def __init__(self, loader: Loader, late: Sequence[str]) -> None:
        self._loader, self._late = loader, late

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        quiet = contextlib.redirect_stdout(io.StringIO()) if module.__name__ in QUIET else contextlib.nullcontext()
        with stood_in(self._late), quiet:
            self._loader.exec_module(module)


class LateFinder(MetaPathFinder):
    """Finds the modules for which others are stood in.

    Args:
        late: Module -> names of the others.
    """

    def __init__(self, late: dict[str, Sequence[str]]) -> None:
        self._late = late

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._late else None
        if spec is not None and spec.loader is not None:
            spec.loader = LateLoader(spec.loader, self._late[name])
        return spec


@contextlib.contextmanager
def stood_in(names: Sequence[str]) -> Iterator[None]:
    """Stand in for modules that are not imported yet; what was taken from them works afterwards.

    Args:
        names: Full names; a package stands before its modules.
    """
    made = {name: LateModule(name) for name in names if name not in sys.modules}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in made.items():
            module.in_use = True
            if sys.modules.get(name) is module:
                del sys.modules[name]


def install_late_imports() -> None:
    """Let the modules of mmdet that are imported from now on import those packages late."""
    if not any(isinstance(finder, LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LateFinder(LATE))
