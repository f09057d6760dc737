"""Packages that mmdet imports and hardly uses are imported when they are used."""

import importlib
import subprocess
import sys

import pytest

from mmyolo.standins.late_imports import LATE, LateFinder, LateLoader

USER = """
import slow.inner as inner
import slow.drawing as drawing
from slow.inner import Shape, area

def use():
    return Shape(2).side, area(3), inner.SIDES, Shape.corners(), drawing.COLOUR
"""
INNER = """
SIDES = 4
class Shape:
    def __init__(self, side): self.side = side
    @staticmethod
    def corners(): return SIDES
def area(side): return side * side
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A package that takes its time, and a module that imports it."""
    (tmp_path / 'slow').mkdir()
    for name, text in {'__init__': '', 'inner': INNER, 'drawing': "COLOUR = 'red'"}.items():
        (tmp_path / 'slow' / f'{name}.py').write_text(text)
    (tmp_path / 'user_of_slow.py').write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        sys, 'meta_path', [LateFinder({'user_of_slow': ('slow', 'slow.inner', 'slow.drawing')}), *sys.meta_path]
    )
    names = ['slow', 'slow.inner', 'slow.drawing', 'user_of_slow']
    yield names
    for name in names:
        sys.modules.pop(name, None)


def test_a_package_is_imported_when_it_is_used(packages):
    user = importlib.import_module('user_of_slow')
    assert [name for name in packages if name in sys.modules] == ['user_of_slow']
    assert not isinstance(user.__loader__, LateLoader) and 'def use' in user.__loader__.get_source('user_of_slow')
    assert user.use() == (2, 9, 4, 4, 'red')
    assert set(packages) <= set(sys.modules)


def test_a_package_that_is_there_is_taken_as_it_is(packages):
    inner = importlib.import_module('slow.inner')
    assert importlib.import_module('user_of_slow').Shape is inner.Shape


def test_a_package_that_is_missing_is_said_when_it_is_used(packages, tmp_path):
    (tmp_path / 'slow' / 'inner.py').unlink()
    user = importlib.import_module('user_of_slow')
    with pytest.raises(ModuleNotFoundError, match='slow.inner'):
        user.use()


@pytest.mark.slow
def test_nothing_that_a_training_imports_needs_them():
    late = sorted({name for names in LATE.values() for name in names})
    code = (
        'import sys; from mmyolo.utils import register_all_modules; register_all_modules(); '
        'import tmi.training.runner, tmi.families.dense, tmi.inference.worker; '
        f'print(*[name for name in {late} if name in sys.modules]); '
        'from mmdet.datasets.transforms.generate_line import LineString; print(LineString([(0, 0), (3, 4)]).length)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ['', '5.0'], done.stdout + done.stderr  # mmdet prints nothing
