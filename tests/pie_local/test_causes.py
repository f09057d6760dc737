"""Why a file cannot be read: in both languages, without words of a parser."""

import json
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pie_local.causes import ContentError, cause_of, picture_cause
from pie_local.texts import say


def raised_by(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def load(text):
    return lambda: json.loads(text)


@pytest.mark.parametrize(
    'action, english, chinese',
    [
        (load('{"a": 1\n"b"}'), 'the syntax is wrong in line 2, column 1', '第 2 行第 1 列语法有误'),
        (load('[' * 100000), 'it is nested too deep', '嵌套过深'),
        (lambda: b'\xff'.decode(), 'it is no text in UTF-8', '不是 UTF-8 文本'),
        (lambda: compile('x = )', 'x', 'exec'), 'invalid syntax in line 1, column 5', '第 1 行第 5 列语法有误'),
        (lambda: yaml.safe_load('a: [1\nb: 2'), 'the syntax is wrong in line 2, column 2', '第 2 行第 2 列语法有误'),
        (lambda: Path('absent').read_text(), 'there is no such file', '没有这个文件'),
        (lambda: Path('/').read_text(), 'it is a folder', '这是一个文件夹'),
    ],
)
def test_causes(action, english, chinese):
    assert cause_of(raised_by(action)) == (english, chinese)


def test_pictures(tmp_path):
    Image.effect_noise((40, 40), 9).save(tmp_path / 'a.png')
    whole = (tmp_path / 'a.png').read_bytes()
    for content, english, chinese in (
        (b'x', 'its format is not known', '不是已知格式的图片'),
        (whole[:400], 'it is cut short', '图片不完整(被截断)'),
        (whole[:100] + b'zz' + whole[102:], 'it is damaged', '图片已损坏'),
    ):
        (tmp_path / 'b.png').write_bytes(content)
        assert picture_cause(raised_by(lambda: Image.open(tmp_path / 'b.png').load())) == (english, chinese)


def test_a_cause_within_a_sentence_has_its_language():
    text = say('judge.not_json', cause=cause_of(ContentError('cause.deep')))
    assert text.en.startswith('not JSON: it is nested too deep;') and text.zh.startswith('不是 JSON:嵌套过深;')
    assert not re.search('[a-z]{3}', text.zh)
