"""How a run ended: the state in the page, and why it failed."""

import pytest
import yaml

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import report


def write_record(task, **record):
    whole = dict({'ok': True, 'stopped': False, 'code': 0, 'reason': ''}, **record)
    (task.work_dir / 'run.yaml').write_text(yaml.safe_dump(whole))


def test_a_stopped_training(training, tmp_path):
    """monitor.txt ends where it was, or says what the executor made of the signal; run.yaml knows better."""
    for state, code in ((2, 0), (4, 160004)):
        runs.finish(training, 0.4, state, code)
        write_record(training, ok=False, stopped=True, seconds=3725.0)
        html = report(training, tmp_path).html
        assert 'class="state stopped"' in html and 'id="failure"' not in html and '1 h 2 min' in html


def test_an_executor_that_wrote_no_code(training, tmp_path):
    runs.finish(training, 0.4, 2, 0, log='Segmentation fault\n')
    assert 'class="state open"' in report(training, tmp_path).html  # the platform's files do not tell
    write_record(training, ok=False, code=160004, reason='the process ended with 139')
    html = report(training, tmp_path).html
    assert 'class="state failed"' in html and 'code 160004' in html and 'the process ended with 139' in html
    assert '<pre>Segmentation fault</pre>' in html and 'A killed process'.lower() in html.lower()


@pytest.mark.parametrize('record', ['[1', '- 3', 'ok: false\ncode: x\nreason: [1]\nstopped: 0\nseconds: soon'])
def test_a_broken_record_does_no_harm(training, tmp_path, record):
    (training.work_dir / 'run.yaml').write_text(record)
    assert '</html>' in report(training, tmp_path).html


def test_a_code_in_no_list(training, tmp_path):
    runs.finish(training, 0.4, 4, 777, 'odd')
    assert 'code 777' in report(training, tmp_path).html and 'in no list' in report(training, tmp_path).html
