"""Nothing that comes from elsewhere is executed: no source calls what would, or calls it in the way that does not."""

import ast
import contextlib
import json
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pie_local.package
from mmyolo.tools.converters.datasets.download import extract_archive
from pie_local.package import REQUIRED
from tests.test_house import ROOT, SOURCES
from ymir_local.platform import tar_archive
from ymir_local.platform.tar_archive import ArchiveError

NEVER = 'it runs what it reads'


def keyword(call: ast.Call, name: str) -> object:
    """The value of a keyword argument that is written as a constant; None if there is none."""
    return next((word.value.value for word in call.keywords if word.arg == name and hasattr(word.value, 'value')), None)


def loader_of(call: ast.Call) -> str:
    """The loader that a call of yaml.load names."""
    given = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == 'Loader')]
    return ast.unparse(given[0]) if given else ''


# What a call ends with -> what is wrong about it, '' where nothing is.
RULES: dict[str, Callable[[ast.Call], str]] = {
    'torch.load': lambda call: '' if keyword(call, 'weights_only') is True else 'weights_only=True is needed',
    'np.load': lambda call: '' if keyword(call, 'allow_pickle') is False else 'allow_pickle=False is needed',
    'numpy.load': lambda call: '' if keyword(call, 'allow_pickle') is False else 'allow_pickle=False is needed',
    'yaml.load': lambda call: '' if re.search('Safe|Base|LOADER', loader_of(call)) else 'a safe loader is needed',
    'yaml.load_all': lambda call: '' if re.search('Safe|Base', loader_of(call)) else 'a safe loader is needed',
    'yaml.full_load': lambda call: NEVER,
    'yaml.unsafe_load': lambda call: NEVER,
    'pickle.load': lambda call: NEVER,
    'pickle.loads': lambda call: NEVER,
    'pickle.Unpickler': lambda call: NEVER,
    'mmengine.load': lambda call: NEVER,
    'fileio.load': lambda call: NEVER,
    'joblib.load': lambda call: NEVER,
    'marshal.loads': lambda call: NEVER,
    'shelve.open': lambda call: NEVER,
    'jit.load': lambda call: NEVER,
    'hub.load': lambda call: NEVER,
    'os.system': lambda call: 'a shell reads it',
    'os.popen': lambda call: 'a shell reads it',
    'subprocess.getoutput': lambda call: 'a shell reads it',
    'tempfile.mktemp': lambda call: 'somebody else may make the file first',
    'eval': lambda call: NEVER,
    'exec': lambda call: NEVER,
    'shutil.unpack_archive': lambda call: '' if keyword_or_third(call) == 'zip' else 'links and paths may lead out',
    'extractall': lambda call: '' if is_zip(call) or keyword(call, 'filter') == 'data' else "filter='data' is needed",
    'extract': lambda call: '' if isinstance(call.func, ast.Name) else 'links and paths may lead out',
}
WORDS = re.compile(
    r'\b(?:load|loads|load_all|full_load|unsafe_load|Unpickler|loads|system|popen|getoutput|mktemp|eval|exec|'
    r'unpack_archive|extractall|extract)\(|shell\s*=|[\'"](?:/bin/)?(?:ba)?sh[\'"]'
)
# The one loader that needs code of pickle: all that it knows are data and stand-ins.
EXCEPTIONS = {('mmyolo/tools/converters/checkpoints/reading.py', 'torch.load')}
SHELLS = ('sh', 'bash', '/bin/sh', '/bin/bash')


def keyword_or_third(call: ast.Call) -> object:
    """The format that a call of shutil.unpack_archive names."""
    return call.args[2].value if len(call.args) > 2 and hasattr(call.args[2], 'value') else keyword(call, 'format')


def is_zip(call: ast.Call) -> bool:
    """Whether an archive is a zip, whose members Python writes as plain files below the folder, whatever they say."""
    return getattr(call, 'within_zip', False)


def faults_of(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields line, what is called and what is wrong about it."""
    tree = ast.parse(text)
    for block in ast.walk(tree):
        if isinstance(block, ast.With) and any('zipfile.ZipFile' in ast.unparse(item) for item in block.items):
            for node in ast.walk(block):
                node.within_zip = True
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        for ending, rule in RULES.items():
            is_called = name == ending or '.' in ending and name.endswith(f'.{ending}')
            is_called |= ending in ('extract', 'extractall') and name.endswith(f'.{ending}')
            if is_called and (wrong := rule(call)):
                yield call.lineno, ending, wrong
        if keyword(call, 'shell') not in (None, False):
            yield call.lineno, 'shell=True', 'a shell reads it'
        first = call.args[0] if call.args else None
        if isinstance(first, ast.List) and len(first.elts) > 2 and getattr(first.elts[0], 'value', '') in SHELLS:
            if str(getattr(first.elts[1], 'value', '')).startswith('-') and not isinstance(first.elts[2], ast.Constant):
                yield call.lineno, 'bash -c', 'a shell reads it'


def test_nothing_is_executed():
    wrong = []
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith('tests/') or not WORDS.search(text := path.read_text(encoding='utf-8')):
            continue
        wrong += [
            f'{name}:{line}: {what}: {why}' for line, what, why in faults_of(text) if (name, what) not in EXCEPTIONS
        ]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize(
    'code, found',
    [
        ('torch.load(x)', 'torch.load'),
        ('torch.load(x, weights_only=False)', 'torch.load'),
        ('torch.load(x, weights_only=True)', ''),
        ('np.load(x)', 'np.load'),
        ('np.load(x, allow_pickle=False)', ''),
        ('yaml.load(x, yaml.FullLoader)', 'yaml.load'),
        ('yaml.load(x, Loader=yaml.SafeLoader)', ''),
        ('yaml.safe_load(x)', ''),
        ('pickle.load(x)', 'pickle.load'),
        ('mmengine.fileio.load(x)', 'fileio.load'),
        ('eval(x)', 'eval'),
        ('model.eval()', ''),
        ('subprocess.run(x, shell=True)', 'shell=True'),
        ('subprocess.run(["bash", "-c", f"echo {x}"])', 'bash -c'),
        ('subprocess.run(["bash", "a.sh", x])', ''),
        ('os.system(x)', 'os.system'),
        ('archive.extractall(x)', 'extractall'),
        ('archive.extractall(x, filter="data")', ''),
        ('with zipfile.ZipFile(y) as archive:\n    archive.extractall(x)', ''),
        ('shutil.unpack_archive(a, b)', 'shutil.unpack_archive'),
        ('shutil.unpack_archive(a, b, "zip")', ''),
        ('extract(a, b)', ''),
    ],
)
def test_every_form_is_seen(code, found):
    assert bool(WORDS.search(code)) or not found
    assert [what for _, what, _ in faults_of(code)] == ([found] if found else [])


def test_shell_scripts_read_no_text_as_code():
    """They pass on arguments as they are: "$@", never a text that a shell reads again."""
    scripts = [path for folder in ('tools', 'demo', '.ci', 'ymir') for path in (ROOT / folder).rglob('*.sh')]
    wrong = [
        f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
        for path in scripts
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        if re.search(r'^\s*eval\b|\b(?:ba)?sh -c\b|[^"]\$[@*]|[^"{]\$\{@', line.split(' #')[0])
        and not line.startswith('#')
    ]
    assert scripts and not wrong, '\n'.join(wrong)


def hostile_zip(path: Path) -> Path:
    """A package of PIE-Engine AI, in which other members would lie outside, or be links to there."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('networkMeta.json', json.dumps(dict.fromkeys(REQUIRED, 'x')))
        archive.writestr('network/train.py', 'x')
        for name in ('../outside', 'network/../../../outside', '/outside', f'{path.parent}/outside'):
            archive.writestr(name, 'x')
        link = zipfile.ZipInfo('network/link')
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, '/etc/passwd')
    return path


@pytest.mark.parametrize('unpack', [pie_local.package.unpack, extract_archive])
def test_a_zip_is_unpacked_into_its_folder_without_links(tmp_path, unpack):
    inner = tmp_path / 'a/b'
    inner.mkdir(parents=True)
    package = hostile_zip(inner / 'x.zip')
    unpack(package, inner / 'new')
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*')]
    assert [name for name in found if not name.startswith('a/b/new')] == ['a', 'a/b', 'a/b/x.zip']
    assert any(name.endswith('train.py') for name in found) and not any(
        path.is_symlink() for path in tmp_path.rglob('*')
    )
    assert not Path('/outside').exists()


def test_a_tar_with_members_outside_or_links_is_refused(tmp_path):
    for number, (name, kind) in enumerate((('../x', tarfile.REGTYPE), ('/x', tarfile.REGTYPE), ('x', tarfile.SYMTYPE))):
        path = tmp_path / f'{number}.tar'
        with tarfile.open(path, 'w') as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, '/etc/passwd'
            archive.addfile(member)
        (tmp_path / f'new{number}').mkdir()
        with contextlib.suppress(tarfile.FilterError):
            extract_archive(path, tmp_path / f'new{number}')
        with pytest.raises(ArchiveError):
            tar_archive.extract(path, tmp_path / f'new{number}')
    assert not (tmp_path / 'x').exists() and not Path('/x').exists()
    assert not any(path.is_symlink() for path in tmp_path.rglob('*'))
