"""training-summary.json: any class name survives, nonsense is named, and a killed writer leaves it whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ymir_exc.errors import ResultError
from ymir_exc.training_summary import (
    TRAINING_SUMMARY_FILE,
    TrainingSummary,
    read_training_summary,
    write_training_summary,
)

NAMES = ['cat', '猫 🐈', 'a"b\\c\n\t', '\udcff\ud800', '', '\u2028', 'x' * 3000]


def test_what_is_written_is_read_again(tmp_path):
    summary = TrainingSummary(
        model='yolov8_n',
        class_names=NAMES,
        input_size=[640, 480],
        samples_per_gpu=4,
        recipe=[['model', '模型'], ['warm-up', '50 steps']],
        data=[['images used', 6, 2], ['width', '1, 2, 3', '']],
        class_objects=[[3, 1]] * len(NAMES),
        started=1.7e9,
        epochs=30,
        epoch=3,
        best_epoch=2,
        best_metrics={'mAP': 0.1 + 0.2},
        best_class_ap=[0.5, None, 0, 1, 1 / 3, 0.25, None],
        throughput={'waiting_share': 0.25, 'workers': 2},
    )
    write_training_summary(tmp_path, summary)
    assert read_training_summary(tmp_path) == summary
    assert (tmp_path / TRAINING_SUMMARY_FILE).read_bytes().isascii()
    with pytest.raises(ValueError):
        write_training_summary(tmp_path, TrainingSummary(seconds=float('nan')))
    assert read_training_summary(tmp_path) == summary


def test_a_file_of_another_version(tmp_path):
    (tmp_path / TRAINING_SUMMARY_FILE).write_bytes(b'\xef\xbb\xbf{"model": "a", "later": [{}]}')
    assert read_training_summary(tmp_path) == TrainingSummary(model='a')


def test_no_file(tmp_path):
    assert read_training_summary(tmp_path) is None


@pytest.mark.parametrize(
    'content, words',
    [
        ('', 'cannot be read as JSON'),
        ('{"model": "a"', 'cannot be read as JSON'),
        ('[' * 100_000, 'cannot be read as JSON'),
        ('[]', 'holds no JSON object'),
        ('{"model": 3}', 'model must be text'),
        ('{"class_names": ["a", 1]}', 'class_names must be a list of texts'),
        ('{"epochs": true}', 'epochs must be a number'),
        ('{"seconds": NaN}', 'seconds must be a number'),
        ('{"seconds": 1' + '0' * 400 + '}', 'seconds must be a number'),
        ('{"recipe": [["a"]]}', 'recipe must be a list of pairs'),
        ('{"data": [["a", 1, []]]}', 'data must be a list of rows'),
        ('{"class_objects": [[1]]}', 'class_objects must be a list of pairs'),
        ('{"class_objects": [["a", 2]]}', 'class_objects must be a list of pairs'),
        ('{"best_metrics": {"mAP": null}}', 'best_metrics must be numbers by name'),
        ('{"best_metrics": []}', 'best_metrics must be numbers by name'),
        ('{"best_class_ap": [0.5, "x"]}', 'best_class_ap must be a list of numbers'),
        ('{"environment": null}', 'environment must be'),
    ],
)
def test_nonsense_is_named(tmp_path, content, words):
    (tmp_path / TRAINING_SUMMARY_FILE).write_text(content)
    with pytest.raises(ResultError, match=words) as caught:
        read_training_summary(tmp_path)
    assert str(tmp_path / TRAINING_SUMMARY_FILE) in str(caught.value)


def test_every_field_is_checked(tmp_path):
    for name in vars(TrainingSummary()):
        (tmp_path / TRAINING_SUMMARY_FILE).write_text(json.dumps({name: {'x': {}}}))
        with pytest.raises(ResultError, match=name):
            read_training_summary(tmp_path)


def test_a_process_killed_at_any_instant_leaves_a_whole_file(tmp_path):
    script = (
        'import itertools; from ymir_exc.training_summary import *\n'
        f'for epoch in itertools.count(1): write_training_summary({str(tmp_path)!r}, '
        "TrainingSummary(class_names=['name'] * 2000, best_class_ap=[epoch] * 2000, epoch=epoch))"
    )
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parents[2]))
    child = subprocess.Popen([sys.executable, '-c', script], env=environment)
    seen = set()
    try:
        while len(seen) < 5:
            assert child.poll() is None
            if (summary := read_training_summary(tmp_path)) is not None:
                assert summary.best_class_ap == [summary.epoch] * 2000
                seen.add(summary.epoch)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert read_training_summary(tmp_path).epoch >= max(seen)
