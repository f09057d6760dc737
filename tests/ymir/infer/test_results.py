"""Boxes in the platform's form, and images that could not be read."""

import json
import logging

import pytest

from tmi.errors import TaskError
from tmi.inference.shards import Prediction
from ymir.errors import code_of
from ymir.results import SkippedCandidates, to_annotations, write_infer_result
from ymir_exc.skipped_images import read_skipped_images

NAMES = ['cat', 'dog']


@pytest.mark.parametrize(
    'corners, expected',
    [
        ((0, 0, 100, 50), (0, 0, 100, 50)),
        ((10.4, 10.6, 20.4, 20.6), (10, 11, 10, 10)),
        ((10.5, 11.5, 20.5, 21.5), (11, 12, 10, 10)),
        ((3.1, 3.1, 3.2, 3.2), (3, 3, 1, 1)),
        ((99.9, 49.9, 100, 50), (99, 49, 1, 1)),
        ((-3, -0.4, 5, 5), (0, 0, 5, 5)),
        ((90, 40, 130, 80), (90, 40, 10, 10)),
    ],
)
def test_corners_become_whole_pixels_within_the_image(corners, expected):
    (annotation,) = to_annotations(Prediction(0, 'a', (100, 50), [corners], [0.5], [1]), NAMES)
    box = annotation.box
    assert (box.x, box.y, box.w, box.h) == expected
    assert (annotation.class_name, annotation.score) == ('dog', 0.5)


def test_every_name_once(tmp_path, monkeypatch, caplog):
    for module in ('ymir.results', 'ymir_exc.infer_result'):  # names are told apart even where their hashes are equal
        monkeypatch.setattr(f'{module}.hash', lambda name: 0, raising=False)
    monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(tmp_path / 'env.yaml'))
    (tmp_path / 'env.yaml').write_text(
        f'protocol_version: 1.1.0\noutput: {{infer_result_file: {tmp_path}/result.json}}'
    )
    box = {'boxes': [[1, 2, 3, 5]], 'scores': [0.5], 'labels': [0]}
    predictions = [
        Prediction(0, '/a/1.jpg', (9, 9), **box),
        Prediction(1, '/a/2.jpg', (9, 9)),
        Prediction(2, '/a/1.jpg', (9, 9), **box),
        Prediction(3, '/b/2.jpg', (9, 9), **box),
        Prediction(4, '/a/3.jpg', problem='empty'),
    ]
    assert write_infer_result(iter(predictions), NAMES) == 1
    assert json.loads((tmp_path / 'result.json').read_text()) == {
        'detection': {
            '1.jpg': {'boxes': [{'class_name': 'cat', 'score': 0.5, 'box': {'x': 1, 'y': 2, 'w': 2, 'h': 3}}]},
            '2.jpg': {'boxes': []},
            '3.jpg': {'boxes': []},
        }
    }
    assert '2 images have the file name of an earlier one' in caplog.text


def test_unreadable_images_are_counted_and_the_first_are_named(tmp_path, caplog):
    predictions = [Prediction(index, f'/a/{index}.jpg', problem='the file is empty') for index in range(7)]
    predictions.append(Prediction(7, '/a/7.jpg', (9, 9)))
    skipped = SkippedCandidates(str(tmp_path), 8)
    assert list(skipped.watch(iter(predictions))) == predictions
    with caplog.at_level(logging.WARNING):
        skipped.report()
    assert '7 of 8 images were skipped' in caplog.text
    assert '/a/0.jpg (the file is empty)' in caplog.text and '/a/4.jpg' in caplog.text and '/a/5.jpg' not in caplog.text
    assert read_skipped_images(str(tmp_path)) == [
        ('candidates', f'/a/{index}.jpg', 'the file is empty') for index in range(7)
    ]


def test_no_readable_image_is_an_error(tmp_path):
    predictions = [Prediction(index, f'/a/{index}.jpg', problem='the file is empty') for index in range(2)]
    skipped = SkippedCandidates(str(tmp_path), 2)
    assert list(skipped.watch(iter(predictions))) == predictions
    with pytest.raises(TaskError, match=r'None of the 2 images can be read: /a/0.jpg \(the file is empty\)') as caught:
        skipped.report()
    assert code_of(caught.value) == 300003


def test_images_that_can_all_be_read_leave_no_list(tmp_path):
    skipped = SkippedCandidates(str(tmp_path), 1)
    list(skipped.watch([Prediction(0, '/a/0.jpg', (9, 9))]))
    skipped.report()
    assert not list(tmp_path.iterdir())
