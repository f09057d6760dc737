"""The catalogue of texts: complete in every language, and every key used."""

import ast
import re
import string
from pathlib import Path

import pytest

import ymir_local
from ymir_exc.dataset_convert.report import ACTIONS
from ymir_local.check import all_rules
from ymir_local.check.rendering import SUBJECTS
from ymir_local.platform.return_codes import EXPLANATIONS, find_code, return_codes
from ymir_local.texts import LANGUAGES, Text, catalogue, t

ROOT = Path(ymir_local.__file__).parent


def gaps(text):
    return {f'{name}:{form}' for _, name, form, _ in string.Formatter().parse(text) if name is not None}


def written_keys():
    """Keys as the sources name them, and every other word of theirs that a key may be made of."""
    keys, words = set(), set()
    for path in ROOT.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
                keys |= {node.args[0].value} if name == 't' else set()
                keys |= {f'cli.{node.args[0].value}'} if name == 'text' and path.parent.name == 'cli' else set()
    for path in ROOT.rglob('*.html'):
        keys |= set(re.findall(r"\bt\('([^']+)'", path.read_text(encoding='utf-8')))
    return keys, words


def test_all_languages_have_the_same_keys_and_gaps():
    english = catalogue('en')
    for language in LANGUAGES[1:]:
        other = catalogue(language)
        assert list(other) == list(english)
        wrong = [key for key in english if not key.startswith('rules.') and gaps(english[key]) != gaps(other[key])]
        assert not wrong, (language, wrong)
    assert all(
        isinstance(text, str) and text.strip() for language in LANGUAGES for text in catalogue(language).values()
    )


def test_every_key_that_is_written_exists_and_every_key_is_used():
    keys, words = written_keys()
    assert len(keys) > 150 and not keys - catalogue('en').keys()
    made = {f'rules.{rule.name}.{part}' for rule in all_rules() for part in ('must', 'fix')}
    made |= {f'codes.{code}.{key}' for code in return_codes() for key in EXPLANATIONS}
    made |= {f'subjects.{subject}' for subject in SUBJECTS}
    made |= {f'findings.{word}' for word in (*ACTIONS, *ACTIONS.values())}
    unused = catalogue('en').keys() - keys - made
    assert not {
        key for key in unused if key not in words and key.removeprefix('cli.').removeprefix('check.') not in words
    }


def test_gaps_take_texts_of_their_language():
    both = t('report.found').format()
    assert t('report.training', both) == Text(f'{both.en} training', f'训练 {both.zh}')
    with pytest.raises(KeyError):
        t('report.no such key')
    assert find_code(300001).explained('zh')['meaning'] == t('codes.300001.meaning').zh
