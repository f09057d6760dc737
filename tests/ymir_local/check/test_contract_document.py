"""docs/contract.md says what the rules say, has every section that is cited, and its example keeps the contract."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ymir_local.check import all_rules
from ymir_local.check.finding import CheckRule, Text
from ymir_local.check.rule_tables import table, with_tables
from ymir_local.cli import app
from ymir_local.datasets import write_dataset
from ymir_local.platform.labels import Dataset

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / 'docs/contract.md').read_text(encoding='utf-8')
SECTIONS = set(re.findall(r'^#+ ([a-z](?:\.\d)?)\.? ', DOCUMENT, re.MULTILINE))
CITED = re.compile(r'contract (?:sections? )?((?:[a-m](?:\.\d+)?(?:, | and | to )?)+)(?=[).;:,\s])')


def test_the_tables_are_those_of_the_rules():
    assert with_tables(DOCUMENT) == DOCUMENT, 'run python -m ymir_local.check.rule_tables docs/contract.md'
    assert sorted(re.findall(r'^\| `(\w+/[\w-]+)` \| (?:error|warning) \|', DOCUMENT, re.MULTILINE)) == sorted(
        rule.name for rule in all_rules()
    )


def test_a_rule_without_a_place_is_named():
    with pytest.raises(ValueError, match='monitor/known-code'):
        with_tables(DOCUMENT.replace('<!-- rules h -->', ''))
    with pytest.raises(ValueError, match="places without rules: .'z'"):
        with_tables(DOCUMENT + '<!-- rules z -->\n<!-- end of rules -->\n')


def test_what_would_break_a_table_is_escaped(monkeypatch):
    monkeypatch.setattr(CheckRule, 'must', Text('x | <y>', ''))
    rule = CheckRule('a/b', 'z', 'error', lambda facts: [])
    assert table([rule]).splitlines()[-1] == '| `a/b` | error | x \\| &lt;y> |'


def test_every_section_that_is_cited_stands_in_it():
    cited = {}
    for folder in ('ymir', 'ymir_exc', 'tests', 'tools'):
        for path in (ROOT / folder).rglob('*.py'):
            for words in CITED.findall(' '.join(path.read_text(encoding='utf-8').split())):
                for section in re.findall(r'\b[a-m](?:\.\d+)?\b', words.replace(' and ', ' ')):
                    cited.setdefault(section, path)
    for rule in all_rules():
        for section in rule.section.split(', '):
            cited.setdefault(section, rule.name)
    cited = {re.sub(r'^l\..*', 'l', section): place for section, place in cited.items()}  # l.9 is check 9 of section l
    assert len(cited) > 20
    assert {section: place for section, place in cited.items() if section not in SECTIONS} == {}


def block(language, number=0):
    """A block of code of the example."""
    text = DOCUMENT[DOCUMENT.index('<!-- example -->') :]
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)[number]


@pytest.fixture
def example(tmp_path, monkeypatch, images):
    """The example in the current folder, beside a data set; gives the options that choose it."""
    monkeypatch.chdir(tmp_path)
    Path('executor.py').write_text(block('python'))
    subprocess.run(['bash', '-ec', block('bash')], check=True)
    write_dataset(Dataset(('target', 'crate'), {'all': tuple(images)}), tmp_path / 'data', 'coco')
    return ['--executor', f'{sys.executable} executor.py', '--img-man', 'img-man', '--gpus', '0']


def ymir(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), '--json'], env={'COLUMNS': '200', 'LANG': 'C'})
    return result.exit_code, json.loads(result.stdout)


def failed(result):
    return [
        (finding['rule'], finding['place'], finding['message'])
        for finding in result['findings']
        if finding['ok'] is False
    ]


def test_the_example_keeps_the_contract(example):
    assert block('python').count('\n') < 70
    assert failed(ymir('check', '--img-man', 'img-man')[1]) == []
    code, trained = ymir('train', 'data', *example, '--out', 'run', 'max_epochs=2')
    assert (code, trained['ok'], trained['best_stage'], trained['in_changes']) == (0, True, 'epoch_2', {}), trained
    code, found = ymir('infer', 'data', '--mine', '--model', 'run/model.tar', *example, '--out', 'found')
    assert (code, found['boxes_per_class']) == (0, {'target': 4}), found
    for run in ('run', 'found'):
        code, checked = ymir('check', run)
        assert failed(checked) == [] and checked['passed'] > 20


def test_the_example_says_what_is_wrong(example):
    Path('img-man/training-template.yaml').write_text('max_epochs: many\nexport_format: ark:raw\n')
    code, result = ymir('train', 'data', *example, '--out', 'run')
    assert (code, result['code'], result['exit_code']) == (1, 300001, 1) and 'many' in result['reason'], result
    assert {rule for rule, *_ in failed(ymir('check', 'run')[1])} == {'container/exit-code', 'container/no-error-state'}
