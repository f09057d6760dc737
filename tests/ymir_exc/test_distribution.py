"""The library alone: a wheel of its own, installed where nothing else is, for Python 3.8 and later."""

import ast
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for path in (ROOT / 'ymir_exc').rglob('*.py') if path.relative_to(ROOT).parts[1] != 'build')
SETTINGS = (ROOT / 'ymir_exc/pyproject.toml').read_text(encoding='utf-8')
OLD_PYTHONS = ('3.8', '3.9')
# Attributes and keywords of the standard library that came after Python 3.8.
LATER = re.compile(
    r'\.(removeprefix|removesuffix|is_relative_to|with_stem|hardlink_to|to_thread|pairwise|lcm|'
    r'nextafter|randbytes|bit_count|waitstatus_to_exitcode|cache)\b(?=\(|\n)|\b(cancel_futures|'
    r'kw_only|slots|encoding_warning)=|\bimport (zoneinfo|tomllib|graphlib)\b|\bfrom typing import .*\b('
    r'Annotated|ParamSpec|TypeAlias|Self|Concatenate|NotRequired)\b'
)


def names_in(kind: str) -> list:
    """The texts of a list in pyproject.toml."""
    return re.findall(r'"([^"]+)"', re.search(rf'^{kind} = \[(.*)\]', SETTINGS, re.MULTILINE).group(1))


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_3_8_knows_the_syntax_and_the_library(path):
    text = path.read_text(encoding='utf-8')
    tree = ast.parse(text, feature_version=(3, 8))
    assert not (found := LATER.search(text)), found.group()
    # Annotations are not evaluated: every file begins with `from __future__ import annotations`, or has none.
    deferred = 'from __future__ import annotations' in text
    annotations = {
        id(part)
        for node in ast.walk(tree)
        for name in ('annotation', 'returns')
        if deferred and isinstance(getattr(node, name, None), ast.AST)
        for part in ast.walk(getattr(node, name))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'zip':
            assert not node.keywords, f'line {node.lineno}: zip(strict=...)'
        if isinstance(node, ast.Subscript) and id(node) not in annotations:
            generic = getattr(node.value, 'id', '') in ('dict', 'list', 'tuple', 'set', 'frozenset', 'type')
            assert not generic, f'line {node.lineno}: {ast.unparse(node)}'
        if not deferred:
            written = [getattr(node, name, None) for name in ('annotation', 'returns')]
            assert not any(isinstance(one, ast.BinOp) for one in written), f'line {node.lineno}: X | Y'


def test_every_package_and_dependency_is_named():
    assert names_in('packages') == sorted(
        path.parent.relative_to(ROOT).as_posix().replace('/', '.') for path in SOURCES if path.name == '__init__.py'
    )
    imported = {
        name.split('.')[0]
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding='utf-8')).body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {'yaml', 'PIL'}
    assert sorted(re.split('[><=]', name)[0] for name in names_in('dependencies')) == ['Pillow', 'PyYAML']


TASK = """
import importlib, importlib.util, json, os, pkgutil, sys
import ymir_exc
for module in pkgutil.walk_packages(ymir_exc.__path__, 'ymir_exc.'):
    importlib.import_module(module.name)
names = ('torch', 'numpy', 'pydantic', 'cv2', 'mmengine', 'tensorboard')
present = {name for name in names if importlib.util.find_spec(name)}
from ymir_exc import dataset_reader, monitor, result_writer as rw, settings, util
settings.DEFAULT_ENV_FILE_PATH = sys.argv[1]
cfg = util.get_merged_config()
monitor.write_monitor_logger(0.25)
monitor.write_tensorboard_text('hello')
util.write_ymir_training_result(cfg, ['a.pth'], 1, map50=0.5)
rw.write_mining_result([(path, 0.5) for path, _ in dataset_reader.item_paths(dataset_reader.DatasetType.CANDIDATE)])
rw.write_infer_result({'a.png': [rw.Annotation(class_name='cat', score=0.5, box=rw.Box(x=1, y=2, w=3, h=4))]})
if len(sys.argv) > 2:
    from ymir_exc.dataset_convert import convert_dataset_to_coco
    coco = convert_dataset_to_coco(cfg, ['train']).splits['train']
    assert coco.num_boxes == 1 and json.load(open(coco.ann_file))['images'][0]['width'] == 100
print(sys.version_info[:2] >= (3, 8), os.path.dirname(ymir_exc.__file__), *sorted(present))
"""


NAMES_ONLY = """
import importlib
def __getattr__(name):
    try:
        return importlib.import_module(f'PIL.{name}') if not name.startswith('_') else globals()[name]
    except (ImportError, KeyError):
        if name.startswith('__'):
            raise AttributeError(name) from None
        return type(name, (Exception,), {})
"""


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    source, out = tmp_path_factory.mktemp('source') / 'ymir_exc', tmp_path_factory.mktemp('wheel')
    shutil.copytree(ROOT / 'ymir_exc', source, ignore=shutil.ignore_patterns('__pycache__', 'build', '*.egg-info'))
    command = [
        sys.executable,
        '-m',
        'pip',
        'wheel',
        '--no-deps',
        '--no-build-isolation',
        '-q',
        '-w',
        str(out),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob('ymir_exc-*.whl')
    return path


@pytest.fixture
def candidates(task) -> Path:
    """A task whose index files name one image; gives its env.yaml."""
    line = task.add_image('a.png', '0, 1, 2, 3, 4\n')
    task.write_index('train', [line])
    task.write_index('candidate', [line.split('\t')[0]])
    task.add_model('a.pth')
    task.write_env()
    path = task.root / 'in/env.yaml'
    path.write_text(
        path.read_text().replace(
            "candidate_index_file: ''", f'candidate_index_file: {task.root / "in/candidate-index.tsv"}'
        )
    )
    return path


def results_of(task) -> tuple:
    return (
        task.monitor_file.read_text().split('\t')[2:],
        task.mining_file.read_text(),
        'best_stage_name: stage_1' in task.result_file.read_text(),
        '"class_name": "cat"' in task.infer_file.read_text(),
    )


def expected(task) -> tuple:
    return ['0.25', '2', '0\n'], f'{task.assets}/a.png\t0.5\n', True, True


@pytest.mark.integration
def test_the_wheel_works_where_only_its_dependencies_are(wheel, task, candidates, tmp_path):
    place = tmp_path / 'empty'
    venv.create(place, with_pip=False)
    python = place / 'bin/python'
    subprocess.run(
        [sys.executable, '-m', 'pip', '--python', str(python), 'install', '-q', '--no-deps', '--no-index', str(wheel)],
        check=True,
    )
    packages = next(place.glob('lib/python*/site-packages'))
    metadata = next(packages.glob('ymir_exc-*.dist-info/METADATA')).read_text()
    needed = [line for line in metadata.splitlines() if line.startswith('Requires-Dist:') and 'extra ==' not in line]
    assert 'Requires-Python: >=3.8' in metadata and len(needed) == 2
    for name in (re.match(r'Requires-Dist: ([\w-]+)', line).group(1) for line in needed):  # without asking an index
        files = distribution(name).files
        for top in {file.parts[0] for file in files if file.parts[0] != '..'}:
            os.symlink(distribution(name).locate_file(top), packages / top)
    done = subprocess.run(
        [str(python), '-I', '-W', 'error', '-c', TASK, str(candidates), 'convert'],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert done.returncode == 0
    assert done.stdout.split() == ['True', str(packages / 'ymir_exc')]  # of the heavy packages, none
    assert results_of(task) == expected(task)


def old_pythons() -> list:
    found = []
    for version in OLD_PYTHONS:
        places = [
            shutil.which(f'python{version}'),
            *Path(os.path.expanduser('~')).glob(f'.pyenv/versions/{version}.*/bin/python{version}'),
        ]
        found += [
            str(place)
            for place in places
            if place and subprocess.run([str(place), '-c', 'import sys, ctypes'], capture_output=True).returncode == 0
        ][:1]
    return found


@pytest.mark.integration
@pytest.mark.parametrize('python', [sys.executable, *old_pythons()], ids=os.path.basename)
def test_the_wheel_works_on_old_pythons(wheel, task, candidates, tmp_path, python):
    """Those that the machine has; Pillow, which is built for one version, is there by its name only."""
    packages = tmp_path / 'packages'
    shutil.unpack_archive(wheel, packages, 'zip')
    shutil.copytree(
        distribution('PyYAML').locate_file('yaml'), packages / 'yaml', ignore=shutil.ignore_patterns('*.so')
    )
    (packages / 'PIL').mkdir()
    for name in ('__init__', 'Image'):
        (packages / f'PIL/{name}.py').write_text(NAMES_ONLY)
    done = subprocess.run(
        [python, '-S', '-c', TASK, str(candidates)],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        env={'PYTHONPATH': str(packages)},
    )
    assert done.returncode == 0
    assert done.stdout.split() == ['True', str(packages / 'ymir_exc')]
    assert results_of(task) == expected(task)
