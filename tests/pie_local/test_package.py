"""The zip that is uploaded: what it holds, and that it is the same each time."""

import json
import zipfile
from pathlib import Path

import pytest

from pie_local import package
from pie_local.package import build_package, unpack
from pie_local.run import copy_package
from pie_local.texts import PieError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / 'code/script'
    for name, content in (
        ('train.py', 'import helper\n'),
        ('helper.py', ''),
        ('output/trainlog.json', '{}'),
        ('__pycache__/helper.pyc', ''),
        ('../core/model.py', ''),
        ('../core/big/pictures.py', ''),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def names_of(package: Path) -> list[str]:
    with zipfile.ZipFile(package) as archive:
        return archive.namelist()


def test_a_folder_becomes_a_package(source, tmp_path):
    first, second = tmp_path / 'a.zip', tmp_path / 'new/b.zip'
    meta = build_package(source, first, {'name': '船', 'description': 'd', 'input_bands': '3'})
    assert names_of(first) == ['network/helper.py', 'network/train.py', 'networkMeta.json']
    with zipfile.ZipFile(first) as archive:
        assert json.loads(archive.read('networkMeta.json')) == meta
    assert meta['name'] == '船' and meta['weight_format'] == 'th' and meta['language'].startswith('python3.')
    build_package(source, second, {'name': '船', 'description': 'd', 'input_bands': '3'})
    assert first.read_bytes() == second.read_bytes()
    script = copy_package(first, tmp_path / 'out')
    assert script == tmp_path / 'out/network/train.py' and (script.parent / 'helper.py').is_file()


def test_a_recipe_names_what_else_is_needed(source, tmp_path):
    (source / 'package.yaml').write_text(
        'meta: {name: n, description: d}\nfolders: [., ../core]\nleave_out: [core/big]\n'
    )
    build_package(source, tmp_path / 'a.zip', {})
    inside = ['core/model.py', 'script/helper.py', 'script/package.yaml', 'script/train.py', 'train.py']
    assert names_of(tmp_path / 'a.zip') == [*(f'network/{name}' for name in inside), 'networkMeta.json']


@pytest.mark.parametrize(
    'recipe, changes, words',
    [
        ('', {}, 'networkMeta.json lacks name, description; give them as KEY=VALUE'),
        ('', {'name': 'n', 'description': 'd', 'bands': '3'}, 'networkMeta.json has no key bands; allowed: name, '),
        ('meta: [', {}, 'package.yaml: the syntax is wrong in line 1'),
        ('title: x', {}, 'package.yaml: its keys are not meta, folders and leave_out'),
        ('folders: [../none]', {'name': 'n', 'description': 'd'}, 'package.yaml: the folder ../none does not exist'),
    ],
)
def test_faults(source, tmp_path, recipe, changes, words):
    if recipe:
        (source / 'package.yaml').write_text(recipe)
    with pytest.raises(PieError) as error:
        build_package(source, tmp_path / 'a.zip', changes)
    assert words in str(error.value) and not list(tmp_path.glob('a.zip*'))


def test_a_script_that_is_no_python(source, tmp_path):
    (source / 'train.py').write_text('def f(:\n')
    with pytest.raises(PieError, match='train.py is no Python: invalid syntax in line 1, column'):
        build_package(source, tmp_path / 'a.zip', {})


def test_zips_that_are_no_package(tmp_path):
    file = tmp_path / 'a.zip'
    file.write_bytes(b'PK')
    with pytest.raises(PieError, match='a.zip is no network package: it is no zip file'):
        unpack(file, tmp_path / 'out')
    for content, words in (({}, 'lacks networkMeta.json or'), ({'networkMeta.json': '{"name": "n"}'}, 'lacks descrip')):
        with zipfile.ZipFile(file, 'w') as archive:
            for name, text in content.items():
                archive.writestr(name, text)
                archive.writestr('network/train.py', '')
        with pytest.raises(PieError, match=words):
            unpack(file, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('limit, files', [('MAX_BYTES', 2), ('MAX_FILES', 3)])
def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, limit, files):
    monkeypatch.setattr(package, 'MAX_BYTES', 2_000_000)
    monkeypatch.setattr(package, 'MAX_FILES', 2)
    file = tmp_path / 'a.zip'
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for number in range(files):
            archive.writestr(f'network/{number}', bytes(1_500_000 if limit == 'MAX_BYTES' else 1))
    megabytes = 3 if limit == 'MAX_BYTES' else 1
    words = f'a.zip would unpack to {megabytes} MB in {files} files; at most 2 MB and 2 files are allowed'
    with pytest.raises(PieError, match=words):
        unpack(file, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_zip_that_is_encrypted_is_no_package(tmp_path):
    file = tmp_path / 'a.zip'
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('network/train.py', '')
    content = bytearray(file.read_bytes())
    content[6] |= 1
    content[content.index(b'PK\x01\x02') + 8] |= 1
    file.write_bytes(content)
    with pytest.raises(PieError, match='a.zip is no network package: .*encrypted'):
        unpack(file, tmp_path / 'out')
