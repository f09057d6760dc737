"""The demo, cut short: every task through start.py, table and picture at the end, a failure in the platform's words."""

import io

import cv2
import pytest
from rich.console import Console

from tests.warm_python import warm_python
from ymir_local.demo import demo
from ymir_local.platform.run import TaskFailed


@pytest.fixture
def short(monkeypatch):
    """The demo's settings, small enough for a test."""
    for name, value in {'NUM_TRAIN': 8, 'NUM_VAL': 4, 'NUM_CANDIDATES': 4, 'PICTURED': 3}.items():
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setitem(demo.DATA, 'size_range', (64, 96))
    for name, value in {'img_size': 64, 'max_epochs': 1, 'workers_per_gpu': 0}.items():
        monkeypatch.setitem(demo.TRAINING, name, value)
    monkeypatch.setattr('sys.executable', warm_python())
    return Console(file=io.StringIO(), width=80)


@pytest.mark.integration
def test_demo_shows_what_it_did(short, tmp_path):
    demo.demo(tmp_path, 0, short)
    text = short.file.getvalue()
    rows = {
        line.split('│')[1].strip(): [cell.strip() for cell in line.split('│')[2:-1]]
        for line in text.splitlines()
        if line.startswith('│')
    }
    assert list(rows) == ['training', 'mining', 'inference']
    assert [row[1] for row in rows.values()] == ['8', '4', '4']
    assert 0 <= float(rows['training'][0]) <= 1
    assert rows['mining'][-1].endswith('result.tsv')
    assert 'training: 100%' in text and 'inference: 100%' in text
    assert cv2.imread(str(tmp_path / 'predictions.png')).shape[1] == 4 * 360 + 12
    assert len((tmp_path / 'mining/out/result.tsv').read_text().splitlines()) == 4


def test_demo_replaces_nothing_but_a_demo(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/mine.jpg').touch()
    with pytest.raises(FileExistsError, match='data is not from a demo and stays as it is'):
        demo.make_room(tmp_path)
    assert (tmp_path / 'data/mine.jpg').exists()
    demo.make_room(tmp_path / 'new')
    (tmp_path / 'new/data').mkdir()
    demo.make_room(tmp_path / 'new')
    assert not (tmp_path / 'new/data').exists()


@pytest.mark.integration
def test_demo_ends_with_the_platforms_words(short, tmp_path, monkeypatch):
    monkeypatch.setitem(demo.TRAINING, 'model_name', 'yolov8_huge')
    with pytest.raises(TaskFailed, match='error code 300001') as caught:
        demo.demo(tmp_path, 0, short)
    assert 'yolov8_huge' in str(caught.value)
