"""`pie predict`: the script of a run gets its JSON, and what it writes is named."""

import json
from pathlib import Path

import pytest

from pie_local.cli import main

SCRIPT = """
import json, os, pathlib, sys
given = json.loads(sys.stdin.readline())
pathlib.Path('given.json').write_text(json.dumps(given))
print('working')
if given.get('fail'):
    sys.exit(3)
folder = pathlib.Path('output/picture')
folder.mkdir(parents=True, exist_ok=True)
(folder / 'new_pred.tif').write_text('x')
"""


def predict(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(['predict', *map(str, words)])
    return end.value.code


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv('PIE_LANG', 'en')
    folder = tmp_path / 'run/network/output/picture'
    folder.mkdir(parents=True)
    (folder / 'old_pred.tif').write_text('of an earlier prediction')
    (tmp_path / 'run/network/Predict.py').write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'run'


def test_the_result_is_named(run, tmp_path, capsys):
    assert predict(run, 'a.tif; b.tif', 'confidence=0.5') == 0
    given = json.loads((run / 'network/given.json').read_text())
    assert given.pop('estimate_id')
    assert given == {'image_path': f'{tmp_path}/a.tif;{tmp_path}/b.tif', 'gpu_num': 0, 'confidence': '0.5'}
    shown = capsys.readouterr().out
    assert shown.splitlines() == ['working', f'the result is {run}/network/output/picture/new_pred.tif']


def test_failures(run, tmp_path, capsys):
    assert predict(run, 's3://bucket/a.tif', 'fail=1') == 1
    assert 'Predict.py ended with code 3' in capsys.readouterr().err
    assert json.loads((run / 'network/given.json').read_text())['image_path'] == 's3://bucket/a.tif'
    assert predict(tmp_path, 'a.tif') == 1 and 'has no Predict.py' in capsys.readouterr().err
    assert predict(run, 'a.tif', 'confidence') == 1 and 'confidence' in capsys.readouterr().err
