"""The one parser of key=value words."""

import argparse

import pytest

from mmyolo.utils.cfg_options import CfgOptionError, CfgOptions, parse_cfg_options


@pytest.mark.parametrize(
    'word, value',
    [
        ('a.b=1', 1),
        ('a=1e-3', 0.001),
        ('a=true', True),
        ('a=None', None),
        ('a=', ''),
        ('a=k=v', 'k=v'),
        ('a=two words', 'two words'),
        ('a=my images (old)', 'my images (old)'),
        ('a="quoted words"', 'quoted words'),
        ('a=1,2', [1, 2]),
        ('a=[1, 2]', [1, 2]),
        ('a= (1, x)', (1, 'x')),
        ("a='[(1,2),(3,4)]'", [(1, 2), (3, 4)]),
        ('a=x]', 'x]'),
    ],
)
def test_values(word, value):
    (found,) = parse_cfg_options([word]).values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    'word, reason',
    [
        ('a', 'no key=value'),
        ('=1', 'no key=value'),
        ('a=[1,2', 'close every bracket'),
        ('a=[1)', 'close every bracket'),
        ('a=x,(1', 'close every bracket'),
        ('a=' + '[' * 9 + ']' * 9, 'at most 8'),
        ('a=' + '[' * 5000 + ']' * 5000, 'at most 8'),
    ],
)
def test_words_that_cannot_be_read_are_named(word, reason, capsys):
    with pytest.raises(CfgOptionError, match=reason) as caught:
        parse_cfg_options(['b=1', word])
    assert caught.value.word == word and repr(word[:200]) in str(caught.value)
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', word])
    assert reason in capsys.readouterr().err


def test_options_given_twice_are_joined():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    assert parser.parse_args(['--cfg-options', 'a=1', 'b=1', '--cfg-options', 'b=2']).cfg_options == {'a': 1, 'b': 2}
    assert parser.parse_args([]).cfg_options is None
