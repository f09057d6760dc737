"""`pie demo`: passes where enough is learned and all could be pushed, and only there."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from pie_local.cli import main
from pie_local.demo import DEMOS, Demo

HERE = Path(__file__).parent


def demo(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(['demo', *map(str, words)])
    return end.value.code


@pytest.fixture
def package(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that learns nothing and says that its mAP ends with 1."""
    folder = tmp_path / 'package'
    folder.mkdir()
    shutil.copyfile(HERE / 'minimal_train.py', folder / 'train.py')
    shutil.copyfile(weights, folder / 'untrained.th')
    Image.new('RGB', (8, 8)).save(folder / 'pred.png')
    monkeypatch.setenv('PIE_LANG', 'en')
    monkeypatch.setenv('FAULT', 'none')
    for task in ('segmentation', 'change'):  # which the script does not train
        monkeypatch.delitem(DEMOS, task)
    monkeypatch.setitem(
        DEMOS, 'detection', Demo('mAP', 0.5, 'building', 'mAP', 4, 64, {'model_name': 'net', 'epochs': 2})
    )
    return folder


def test_learned_enough(package, tmp_path, capsys):
    assert demo('--out', tmp_path / 'out', '--package', package) == 0
    shown = capsys.readouterr().out
    assert 'detection: 4 images drawn, 2 epochs' in shown
    assert 'detection: mAP 1.000 (at least 0.5), 2 epochs pushed' in shown


def test_learned_too_little_or_not_to_be_pushed(package, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('FAULT', 'crash')  # in epoch 2, whose log is written
    assert demo('--out', tmp_path / 'out', '--package', package) == 1
    shown = capsys.readouterr()
    assert 'detection: mAP 1.000 (at least 0.5), 1 violations' in shown.out
    assert 'the script ended with code 1' in shown.err
    monkeypatch.setenv('FAULT', 'none')
    monkeypatch.setitem(DEMOS, 'detection', Demo('mAP', 1.5, 'all', 'mAP', 4, 64, {'model_name': 'net', 'epochs': 2}))
    assert demo('--out', tmp_path / 'out', '--package', package) == 1
    assert 'detection: mAP 1.000 (at least 1.5), 0 violations' in capsys.readouterr().out


def test_without_a_package(tmp_path, capsys):
    assert demo('--package', tmp_path, '--out', tmp_path / 'out') == 1
    assert 'has no train.py: the demo needs a checkout with pie/' in capsys.readouterr().err
