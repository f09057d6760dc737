"""Rules of the whole repository: who may import whom, how long a file may be, that documents name what exists."""

import ast
import os
import re
import runpy
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from ymir_local.check import check_img_man

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    'ymir_exc',
    'mmyolo',
    'vidt',
    'tmi',
    'ymir',
    'pie',
    'ymir_local',
    'pie_local',
    'report_pages',
    'process_guard',
    'tools',
    'benchmarks',
    'configs',
    'demo',
)
SOURCES = sorted(
    path
    for name in (*PACKAGES, 'tests')
    for path in (ROOT / name).rglob('*.py')
    if not path.is_relative_to(ROOT / 'ymir_exc/build')
)  # left by building the library alone
OPEN_MMLAB = ('mmengine', 'mmcv', 'mmdet')
TORCH = ('torch', 'torchvision', *OPEN_MMLAB)

# Room -> rooms that it may import, which stand above it; the longest room that fits a file counts. Documents show
# this table, see test_documents_show_the_rooms.
ROOMS = {
    'mmyolo': (),
    'mmyolo/tools': ('mmyolo',),
    'vidt': (),
    'ymir_exc': (),
    'tmi': ('mmyolo', 'mmyolo/tools', 'vidt'),
    'ymir': ('tmi', 'ymir_exc'),
    'pie': ('mmyolo', 'tmi'),
    'report_pages': (),
    'process_guard': (),
    'ymir_local': ('ymir_exc', 'report_pages', 'process_guard'),
    'pie_local': ('report_pages', 'process_guard'),
    'configs': (),
    'tools': ('mmyolo', 'mmyolo/tools', 'vidt'),
    'tools/dataset_converters': ('mmyolo', 'mmyolo/tools', 'ymir_local'),  # which has the readers of data sets
    'demo': ('mmyolo', 'mmyolo/tools'),
    'benchmarks': ('mmyolo', 'mmyolo/tools', 'vidt', 'tmi', 'ymir_exc', 'ymir', 'pie', 'ymir_local', 'pie_local'),
}
NO_TORCH = ('ymir_exc', 'ymir_local', 'report_pages', 'process_guard')

# Parts of mmyolo that the rest of it does not need, so that training starts without them.
LEAVES = ('mmyolo.deploy', 'mmyolo.testing', 'mmyolo.tools')
# Public import paths of what stands in mmyolo/tools.
PUBLIC_PATHS = [ROOT / f'mmyolo/utils/{name}.py' for name in ('boxam_utils', 'labelme_utils', 'large_image')]
# What stands on the models: they must not stand on it.
ABOVE_MODELS = ('mmyolo.datasets', 'mmyolo.engine', 'mmyolo.evaluation', 'mmyolo.visualization')

# Within mmyolo: folder -> what nothing below it may import; the longest folder that fits a file counts
FORBIDDEN = {
    'mmyolo': LEAVES,
    'mmyolo/standins': (*LEAVES, 'mmyolo.models', 'mmyolo.datasets', 'mmyolo.engine'),
    'mmyolo/standins/mmcv': (*LEAVES, *ABOVE_MODELS, 'mmyolo.models', 'mmyolo.registry', 'mmyolo.utils'),
    'mmyolo/models': (*LEAVES, *ABOVE_MODELS),
    'mmyolo/tools': ('mmyolo.deploy',),
    'mmyolo/deploy': ('mmyolo.testing', 'mmyolo.tools'),
    'mmyolo/testing': ('mmyolo.deploy', 'mmyolo.tools'),
}
MAX_LINES = 500
DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'demo').glob('*.md')])


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line, absolute name) of every import of a file, those within functions too."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f'{module}.{alias.name}'
        elif isinstance(node, ast.Call) and getattr(node.func, 'attr', getattr(node.func, 'id', '')) == 'import_module':
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def is_within(name: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of the packages or below one."""
    return any(f'{name}.'.startswith(f'{package}.') for package in packages)


def longest(folders: Iterable[str], path: str) -> str | None:
    """The longest of the folders that a path lies in."""
    return max((folder for folder in folders if f'{path}/'.startswith(f'{folder}/')), key=len, default=None)


def is_allowed(path: Path, name: str) -> bool:
    """Whether a file may import a module."""
    relative = path.relative_to(ROOT).as_posix()
    room, other = longest(ROOMS, relative), longest((*ROOMS, 'tests'), name.replace('.', '/'))
    if room is None:  # tests
        return True
    if room in NO_TORCH and is_within(name, TORCH):
        return False
    if is_within(name, FORBIDDEN.get(longest(FORBIDDEN, relative), ())):
        return False
    return other in (None, room, *ROOMS[room])


def test_arrows():
    wrong = [
        f'{path.relative_to(ROOT)}:{line} imports {name}'
        for path in SOURCES
        if path not in PUBLIC_PATHS
        for line, name in imports_of(path)
        if not is_allowed(path, name)
    ]
    assert not wrong, '\n'.join(wrong)


def test_the_core_speaks_of_no_platform():
    """Its messages name settings; the adapter of a platform says in which file they stand (`settings_file`)."""
    words = re.compile(
        r'\bymir(?:_\w+)?\b(?! models`)|config\.yaml|env\.yaml|\bthe platform\b|contract section', re.IGNORECASE
    )
    names = ('YMIR_CPU_PROCESSES', 'YMIR_WEIGHTS_DIR')  # variables that users know by these names
    wrong = [
        f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
        for path in SOURCES
        if path.is_relative_to(ROOT / 'tmi')
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        if (found := words.search(line)) and found.group() not in names
    ]
    assert not wrong, '\n'.join(wrong)


def test_rooms_stand_on_earlier_ones():
    names = list(ROOMS)
    assert all(names.index(other) < names.index(room) for room in names for other in ROOMS[room])


def test_every_arrow_is_used():
    """A room that may import another does."""
    used = {
        (longest(ROOMS, path.relative_to(ROOT).as_posix()), longest(ROOMS, name.replace('.', '/')))
        for path in SOURCES
        for _, name in imports_of(path)
    }
    assert [(room, other) for room in ROOMS for other in ROOMS[room] if (room, other) not in used] == []


@pytest.mark.parametrize('document', ['docs/architecture.md', 'README.md', 'README_zh-CN.md'])
def test_documents_show_the_rooms(document):
    rows = re.findall(
        r'^\| `([\w/]+)/` \|.*\| ([^|]*) \|$', (ROOT / document).read_text(encoding='utf-8'), re.MULTILINE
    )
    shown = {room: tuple(re.findall(r'`([\w/]+)/`', allowed)) for room, allowed in rows}
    assert {room: shown.get(room) for room in ROOMS} == ROOMS


def test_the_picture_shows_the_rooms():
    """It is drawn from the table; a new room or arrow without a place in it is an error."""
    picture = runpy.run_path(str(ROOT / 'docs/architecture_svg.py'))
    assert picture['rooms']() == ROOMS
    assert picture['draw'](ROOMS) == (ROOT / 'docs/architecture.svg').read_text(encoding='utf-8'), (
        'run: python docs/architecture_svg.py'
    )
    for table in ({**ROOMS, 'new': ()}, {**ROOMS, 'pie': ('tmi',)}):
        with pytest.raises(ValueError, match='new|mmyolo'):
            picture['draw'](table)


def modules_needed_by(path: Path) -> Iterator[Path]:
    """The files of the repository that a file imports when it is imported itself."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    inner = {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for line in range(node.lineno, node.end_lineno + 1)
    }
    for line, name in imports_of(path):
        parts = name.split('.')
        for place in (ROOT.joinpath(*parts), ROOT.joinpath(*parts[:-1])):
            file = next((file for file in (place.with_suffix('.py'), place / '__init__.py') if file.is_file()), None)
            if file is not None and line not in inner:
                yield file
                break


def test_no_circle_of_imports():
    files = [path for path in SOURCES if path.relative_to(ROOT).parts[0] != 'tests']
    needs = {path: set(modules_needed_by(path)) - {path} for path in files}
    free = set()
    while now := {path for path in needs if path not in free and needs[path] & needs.keys() <= free}:
        free |= now
    left = needs.keys() - free
    while outside := {path for path in left if not any(path in needs[other] for other in left)}:
        left -= outside
    assert not left, f'in a circle, or between circles: {sorted(str(path.relative_to(ROOT)) for path in left)}'


def test_the_arrow_test_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], 'ROOT', tmp_path)
    path = tmp_path / 'mmyolo/models/x.py'
    path.parent.mkdir(parents=True)
    path.write_text(
        'import ymir.a as b\nfrom ymir_exc import env\nfrom ..utils import y\nfrom . import z\n'
        "def f():\n    from tools.train import main\n    importlib.import_module('ymir.params')\n"
    )
    assert [name for _, name in imports_of(path)] == [
        'ymir.a',
        'ymir_exc.env',
        'mmyolo.utils.y',
        'mmyolo.models.z',
        'tools.train.main',
        'ymir.params',
    ]
    assert not any(
        is_allowed(path, name) for name in ('ymir.a', 'tests.closeness', 'mmyolo.tools.export', 'mmyolo.engine')
    )
    assert all(is_allowed(path, name) for name in ('ymir_excellent', 'mmyolo.utils.y', 'mmyolo.toolsmith', 'torch'))
    assert not is_allowed(tmp_path / 'ymir_exc/x.py', 'torch.nn') and not is_allowed(tmp_path / 'tmi/x.py', 'ymir_exc')
    assert is_allowed(tmp_path / 'tools/dataset_converters/x.py', 'ymir_local.datasets')
    assert not is_allowed(tmp_path / 'tools/misc/x.py', 'ymir_local.datasets')
    assert is_allowed(tmp_path / 'tests/x.py', 'ymir.start')


def test_mim_finds_configs_tools_and_demos_in_the_package():
    links = {path.name: path.resolve() for path in (ROOT / 'mmyolo/.mim').iterdir() if path.is_symlink()}
    assert links == {name: ROOT / name for name in ('configs', 'demo', 'model-index.yml', 'tools')}


@pytest.mark.parametrize(
    'module, unwanted',
    [
        ('ymir_exc', TORCH),
        ('ymir.start', (*TORCH, 'pie')),
        ('pie.main', ('ymir', 'ymir_exc', 'ymir_local', 'mmdet')),
        ('ymir_local.platform.run', TORCH),
        ('pie_local.run', (*TORCH, 'mmyolo', 'tmi', 'ymir', 'ymir_exc', 'ymir_local')),
        ('mmyolo', ('ymir', 'ymir_exc', 'mmdet', 'mmyolo.models', *LEAVES)),
        ('mmyolo.utils', ('mmdet', 'mmyolo.models', *LEAVES)),
    ],
)
def test_what_an_import_loads(module, unwanted):
    code = f'import sys, {module}; print(*sorted(set(sys.modules) & set({unwanted!r})))'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_ymir_exc_is_imported_fast():
    """Under 0.3 s of the processor, whatever else it does: what Python itself needs to start is taken off."""

    def seconds(code: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    seconds('import ymir_exc')  # compiles
    extra = [seconds('import ymir_exc') - seconds('pass') for _ in range(5)]
    assert statistics.median(extra) < 0.3


def test_long_files_say_why():
    """A file of more than 500 lines holds a line 'Long because ...' in its docstring."""
    wrong = []
    for path in SOURCES:
        text = path.read_text(encoding='utf-8')
        lines = text.count('\n')
        if lines > MAX_LINES and 'long because' not in (ast.get_docstring(ast.parse(text)) or '').lower():
            wrong.append(f'{path.relative_to(ROOT)} has {lines} lines')
    assert not wrong, '\n'.join(wrong)


def test_every_module_says_what_it_is():
    missing = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] not in ('configs', 'tests')
        and path.read_text(encoding='utf-8').strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    ]
    assert not missing, '\n'.join(missing)


def test_syntax_of_the_oldest_python():
    wrong = []
    for path in SOURCES:
        try:
            ast.parse(path.read_text(encoding='utf-8'), feature_version=(3, 10))
        except SyntaxError as error:
            wrong.append(f'{path.relative_to(ROOT)}:{error.lineno}: {error.msg}')
    assert not wrong, '\n'.join(wrong)


def test_one_version_of_ruff():
    """A commit is checked by the version that `make lint` installs: another one may format differently."""
    tested = re.search(r'^ruff==(.+)$', (ROOT / 'requirements/constraints.txt').read_text(), re.MULTILINE)[1]
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    assert [repo['rev'] for repo in hooks if repo['repo'].endswith('/ruff-pre-commit')] == [f'v{tested}']


def test_no_paths_of_one_machine():
    """Folders of a developer's machine stand nowhere in the repository."""
    words = re.compile(r'(?<![\w.>*])/(?:root|home|Users|work|workspace|mnt|opt)/(?!\.cache)\w|file:///')
    files = [
        path
        for path in (
            *SOURCES,
            *DOCUMENTS,
            ROOT / 'Makefile',
            ROOT / '.ci/run',
            ROOT / 'ymir/Dockerfile',
            *(ROOT / 'requirements').iterdir(),
            *(ROOT / 'tools').rglob('*.sh'),
        )
        if path != Path(__file__).resolve()
    ]
    wrong = [
        f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
        for path in files
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        if words.search(line)
    ]
    assert not wrong, '\n'.join(wrong)


def shell_lines(document: Path) -> list[str]:
    """The lines of a document's shell blocks, continued lines joined, without comments and prompts."""
    blocks = re.findall(r'```(?:bash|sh|shell)\n(.*?)```', document.read_text(encoding='utf-8'), re.DOTALL)
    lines = '\n'.join(blocks).replace('\\\n', ' ').splitlines()
    return [line.split(' #')[0].strip().lstrip('$ ') for line in lines if line.strip() and not line.startswith('#')]


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_documents_exist(document):
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    wrong = []
    for line in shell_lines(document):
        words = [word for word in line.split() if not re.fullmatch(r'[A-Z_]+=\S*', word)]
        if words[:1] == ['make']:
            wrong += [f'no target {word}' for word in words[1:] if '=' not in word and word not in targets]
        for word in words:
            if re.fullmatch(r'(?:ymir|pie|tmi|tools|configs|demo|benchmarks|tests|requirements)/[\w./-]+', word):
                wrong += [] if (ROOT / word).exists() else [f'no file {word}']
        if '-m' in words and words[0].startswith(('python', '.venv/bin/python')):
            module = words[words.index('-m') + 1]
            if module.split('.')[0] in PACKAGES and not (ROOT / (module.replace('.', '/') + '.py')).exists():
                wrong.append(f'no module {module}')
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('document', ['docs/architecture.md', 'docs/training.md', 'README.md', 'README_zh-CN.md'])
def test_files_that_documents_name_exist(document):
    named = re.findall(r'`([a-z_]+/[\w./*-]*)`', (ROOT / document).read_text(encoding='utf-8'))
    files = [name for name in named if name.split('/')[0] in (*PACKAGES, 'tests', 'docs') and 'NAME' not in name]
    assert files and [name for name in files if not any(ROOT.glob(name.rstrip('/')))] == []


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_documents_exist(document):
    links = re.findall(r'\]\(([^)#\s]+)[^)]*\)', document.read_text(encoding='utf-8'))
    missing = [link for link in links if '://' not in link and not (document.parent / link).exists()]
    assert not missing, missing


def test_what_the_platform_reads_from_the_image():
    folder = ROOT / 'ymir/img-man'
    assert yaml.safe_load((folder / 'manifest.yaml').read_text())['object_type'] == [2, 4]
    findings = check_img_man(folder)
    assert [finding for finding in findings if finding.ok is False] == []
    # Below a folder of the object type for the platform, in that of all for its official verifier.
    for kind in ('', 'det/', 'instance-seg/'):
        assert all((folder / f'{kind}{name}-template.yaml').is_file() for name in ('training', 'mining', 'infer'))


@pytest.mark.parametrize(
    'config',
    [
        'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py',
        'yolov5/yolov5_n-p6-v62_syncbn_fast_8xb16-300e_coco.py',
        'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py',
    ],
)
def test_configs_have_the_public_names(config):
    assert (ROOT / 'configs' / config).is_file()


# What the platform hands over and what a task leaves: by file name, and by the key of env.yaml that names the file.
CONTRACT_FILES = re.compile(
    r'(?:train-|val-|candidate-|-)index\.tsv|monitor\.txt|result\.yaml|infer-result\.json|result\.tsv|env\.yaml|'
    r'config\.yaml|ymir-info\.yaml|skipped-images\.tsv|(?:monitor|infer_result|mining_result|training_result|'
    r'training_index|val_index|candidate_index)_file'
)
READS = ('open', 'read_text', 'read_bytes', 'load', 'loads', 'safe_load', 'load_yaml', 'loadtxt')


def reads_of(path: Path) -> Iterator[str]:
    """Yields each function that names a file of the contract and opens or parses a file by itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        docstring = ast.get_docstring(node, clean=False)
        parts = [part for part in ast.walk(node) if getattr(part, 'value', None) != docstring or docstring is None]
        names = [getattr(part, 'value', '') for part in parts if isinstance(part, ast.Constant)]
        names += [part.attr for part in parts if isinstance(part, ast.Attribute)]
        named = [name for name in names if isinstance(name, str) and CONTRACT_FILES.search(name)]
        for call in (part for part in parts if isinstance(part, ast.Call)):
            function = getattr(call.func, 'attr', getattr(call.func, 'id', ''))
            modes = [
                part.value for part in [*call.args, *(word.value for word in call.keywords)] if hasattr(part, 'value')
            ]
            if named and function in READS and not {'w', 'wb', 'x', 'xb', 'a', 'ab'} & set(map(str, modes)):
                yield f'line {call.lineno}: {node.name} names {named[0]!r} and calls {function}()'


def test_one_reader_of_each_file_of_the_contract():
    """Only ymir_exc opens a file of the contract: whoever else needs one calls a reader of `ymir_exc.reading`."""
    wrong = [
        f'{path.relative_to(ROOT)}: {read}'
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in ('tmi', 'ymir', 'ymir_local', 'tools', 'demo')
        for read in reads_of(path)
    ]
    assert not wrong, '\n'.join(wrong)


def test_the_test_of_readers_sees_every_form(tmp_path):
    path = tmp_path / 'x.py'
    path.write_text(
        'def a(out):\n    return yaml.safe_load((out / "models/result.yaml").read_text())\n'
        'def b(env):\n    with open(env.output.monitor_file) as stream:\n        return stream.read()\n'
        'def c(out):\n    """Reads monitor.txt."""\n    return json.loads(out.text)\n'
        'def d(out):\n    with open(out / "monitor.txt", "w") as stream:\n        stream.write("x")\n'
        'def e(out):\n    return read_monitor_file(out / "monitor.txt")\n'
    )
    assert [read.split(': ')[1].split()[0] for read in reads_of(path)] == ['a', 'a', 'b']
