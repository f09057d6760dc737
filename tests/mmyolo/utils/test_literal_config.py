"""Dumped configs are data."""

import pytest
from mmengine.config import Config

from mmyolo.utils.literal_config import ConfigContentError, read_literal_config
from tmi.zoo.models import models


def write(tmp_path, text):
    path = tmp_path / 'c.py'
    path.write_text(text, encoding='utf-8')
    return path


def test_what_mmengine_dumps_is_read_back(tmp_path):
    content = {
        'model': {'type': 'A', 'scale': (1.5, -2), 'nested': [{'a': None}, {'b c': True, 1: 'x'}]},
        'lr': 1e-9,
        'big': float('inf'),
        'names': ('gelb', 'grün'),
        'empty': {},
        'one': (1,),
    }
    path = tmp_path / 'c.py'
    Config(content).dump(str(path))
    assert read_literal_config(path) == content


def test_every_model_config_survives_a_dump(tmp_path):
    model = models()[0]
    config = Config.fromfile(model.config)
    path = tmp_path / 'c.py'
    config.dump(str(path))
    assert read_literal_config(path)['model'] == config.model.to_dict()


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'a = open("x")',
        'a = [x for x in (1, 2)]',
        'a = 1\nfor i in a: pass',
        'a = b',
        'a.b = 1',
        'a = "x" * 9',
        'a = f"{1}"',
        'a = dict(**b)',
        'a = dict(1)',
        'def f(): pass',
        'a = lambda: 1',
        'print("executed")',
        'a = {[]: 1}',
        'a = {[1]}',
        'a = set([[1]])',
        'a = dict([[[], 1]])',
        'a = dict(**{1: 2})',
        'a = tuple(3)',
        'a = -"x"',
        'a: int = 1',
        'a += 1',
        '(a, b) = 1, 2',
        'del a',
        'a = (b := 1)',
        'a = {**{}}',
        'a = [*[]]',
        'a = 1 if 1 else 2',
        'a = ().x',
        'a = dict.fromkeys("x")',
        'a = "{}".format(1)',
        'a = __import__("os").system("true")',
        'a = getattr(1, "real")',
        'with open("x"): pass',
        'assert a',
        'a = await b',
        '@a\nclass b: pass',
    ],
)
def test_code_is_rejected(tmp_path, text, capsys):
    with pytest.raises(ConfigContentError, match='c.py'):
        read_literal_config(write(tmp_path, text))
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize(
    'text',
    [
        'a = ' + '[' * 5000 + ']' * 5000,
        'a = ' + '[' * 90 + ']' * 90,
        'a = ' + '-' * 5000 + '1',
        'a = ' + 'dict(a=' * 80 + '1' + ')' * 80,
        'a = ' + '(' * 5000 + ')' * 5000,
        'a = ' + '9' * 5000,
        'a = """' + 'x' * 9_000_000 + '"""',
    ],
    ids=['brackets', '90 lists', 'signs', 'dicts', 'parentheses', 'digits', 'length'],
)
def test_what_would_never_end(tmp_path, text):
    with pytest.raises(ConfigContentError, match='c.py'):
        read_literal_config(write(tmp_path, text))


@pytest.mark.parametrize('text', ['a = (', 'a = \x00', ''])
def test_broken_and_empty_files(tmp_path, text):
    path = write(tmp_path, text)
    if text:
        with pytest.raises(ConfigContentError, match='Cannot read the config'):
            read_literal_config(path)
    else:
        assert read_literal_config(path) == {}


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigContentError, match='gone.py'):
        read_literal_config(tmp_path / 'gone.py')


def test_a_byte_order_mark_is_no_part_of_the_config(tmp_path):
    path = tmp_path / 'c.py'
    path.write_bytes('a = 1'.encode('utf-8-sig'))
    assert read_literal_config(path) == {'a': 1}
    path.write_bytes('a = 1'.encode('utf-16'))
    with pytest.raises(ConfigContentError, match='c.py is UTF-16 text; save it as UTF-8'):
        read_literal_config(path)


def test_a_config_of_many_bytes_is_not_parsed(tmp_path):
    (tmp_path / 'c.py').write_text(f'a = [{"0," * (1 << 20)}]')
    with pytest.raises(ConfigContentError, match='larger than 2,097,152 bytes'):
        read_literal_config(tmp_path / 'c.py')
