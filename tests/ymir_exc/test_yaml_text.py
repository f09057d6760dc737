"""YAML of somebody else: plain data of a bounded size, or an error within a moment."""

import datetime

import pytest
import yaml

from ymir_exc.errors import ConfigError
from ymir_exc.reading import read_mapping
from ymir_exc.yaml_text import load_yaml


def bomb(line, first):
    return '\n'.join([first, *(line(number, ','.join([f'*a{number - 1}'] * 9)) for number in range(1, 40))])


FAULTS = {
    'aliases of aliases': (bomb(lambda n, refs: f'a{n}: &a{n} [{refs}]', 'a0: &a0 [x]'), 'with aliases written out'),
    'merges of merges': (
        bomb(lambda n, refs: f'a{n}: &a{n} {{<<: [{refs}], k{n}: 1}}', 'a0: &a0 {x: 1}'),
        'with aliases',
    ),
    'a list in itself': ('a: &a [1, *a]', 'stands inside of what it names'),
    'a mapping in itself': ('a: &a\n  b: *a', 'line 2: *a stands inside'),
    'a merge with itself': ('a: &a {<<: *a}', 'stands inside'),
    'open brackets': ('a: ' + '[' * 100000, '100 levels deep'),
    'closed brackets': ('a: ' + '[' * 5000 + ']' * 5000, '100 levels deep'),
    'indented keys': ('\n'.join(' ' * level + 'a:' for level in range(300)), '100 levels deep'),
    'many values': ('a: [' + 'x,' * 100_001 + ']', '100,000 values'),
    'a date that is none': ('a: 2020-99-99', 'month must be in 1..12'),
    'digits': ('a: ' + '9' * 5000, 'a number of 5000 characters'),
    'hexadecimal digits': ('a: 0x' + 'f' * 5000, 'a number of 5002 characters'),
    'base 60': ('a: 1' + ':59' * 5000, 'a number of'),
    'a tag that does not fit': ('a: !!bool x', 'KeyError'),
    'no time': ('a: !!timestamp x', 'cannot be read'),
    'nothing as a number': ("a: !!int ''", 'cannot be read'),
    'a call': ('a: !!python/object/apply:os.system [id]', 'could not determine a constructor'),
    'a list as a key': ('? [a]\n: b', 'unhashable key'),
    'an unknown alias': ('a: *b', 'undefined alias'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults(fault, tmp_path):
    text, words = FAULTS[fault]
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml(text)
    assert words in ' '.join(str(caught.value).split())
    path = tmp_path / 'config.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match='config.yaml cannot be read'):
        read_mapping(str(path))


@pytest.mark.parametrize(
    'text, value',
    [
        ('', None),
        ('a: &x [1, 2]\nb: *x\nc: [*x, *x]', {'a': [1, 2], 'b': [1, 2], 'c': [[1, 2], [1, 2]]}),
        ('a: &x {b: 1}\nc: {<<: *x, d: 2}', {'a': {'b': 1}, 'c': {'b': 1, 'd': 2}}),
        ('a: 2020-02-29', {'a': datetime.date(2020, 2, 29)}),
        ('a: 1e-3', {'a': '1e-3'}),
        ('a: ' + 'y' * 5000, {'a': 'y' * 5000}),
        ("a: '" + '9' * 500 + "'", {'a': '9' * 500}),
    ],
)
def test_what_is_fine_is_as_pyyaml_reads_it(text, value):
    assert load_yaml(text) == yaml.safe_load(text) == value


def test_text_stays_text_with_the_base_loader():
    assert load_yaml('names: [no, 007]', yaml.BaseLoader) == {'names': ['no', '007']}
