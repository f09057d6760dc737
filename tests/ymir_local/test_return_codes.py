"""The table of codes: complete, in both languages."""

import re

import pytest

from ymir_exc.code import ExecutorReturnCode
from ymir_local.platform.return_codes import EXPLANATIONS, find_code, nearest_codes, return_codes


@pytest.mark.parametrize('code', [code for code in ExecutorReturnCode if code])
def test_every_code_of_an_executor_is_explained(code):
    assert find_code(code.value).name == code.name


@pytest.mark.parametrize(
    'code', [160001, 160004, 160008, 160011, 160015, 160019, 169999, 150404, 130401, 130504, 130605]
)
def test_codes_of_the_platform_are_explained(code):
    assert find_code(code).code == code


def test_both_languages_everywhere():
    for entry in return_codes().values():
        for en, zh in (entry[key] for key in EXPLANATIONS):
            assert re.search('[\u4e00-\u9fff]', zh) and not re.search('[\u4e00-\u9fff]', en), entry.code


def test_older_numbers_and_unknown_ones():
    assert find_code(180301).code == 300301
    assert find_code(12) is None and find_code(180999) is None
    assert nearest_codes('300104')[0] == 300103
    assert 160011 in nearest_codes('16001') and 300103 in nearest_codes('30013')
    assert nearest_codes('99') == []
    assert nearest_codes('OOM') == [] or 300103 in nearest_codes('OOM')
