"""mining-summary.json: what is written is read again, nonsense is named, and a failed writer leaves the old file."""

import json

import pytest

from ymir_exc.errors import ResultError
from ymir_exc.mining_summary import (
    LABELLED,
    MINING_SUMMARY_FILE,
    FirstImage,
    MiningSummary,
    PoolMap,
    read_mining_summary,
    write_mining_summary,
)


def test_what_is_written_is_read_again(tmp_path):
    summary = MiningSummary(
        algorithm='hybrid',
        about=['uncertain images', '不确定的图像'],
        settings={'mining_seed': 0, 'mining_aggregate': 'sum', 'class_distribution_scores': '', 'flag': True},
        num_images=2000,
        unreadable=1,
        without_boxes=20,
        near_duplicates=300,
        fallbacks=['未知 \udcff'],
        class_names=['cat', '猫 🐈'],
        first=[
            FirstImage('/in/a\udc80.jpg', 0.1 + 0.2, [[1, 2.5, 3, 4, 1, 0.5, 0.3]], 0.25, LABELLED, 1.5, True),
            FirstImage('/in/b.jpg', 0.1, [], None, None, None),
            FirstImage('/in/c.jpg', 0.1, [], 0.1, '/in/b.jpg', 0.5),
        ],
        map=PoolMap([[0.5, -1.25], [1e-9, 3]], [1999, 0]),
    )
    write_mining_summary(tmp_path, summary)
    assert read_mining_summary(tmp_path) == summary
    assert (tmp_path / MINING_SUMMARY_FILE).read_bytes().isascii()
    with pytest.raises(ValueError):
        write_mining_summary(tmp_path, MiningSummary(first=[FirstImage(uncertainty=float('nan'))]))
    assert read_mining_summary(tmp_path) == summary


def test_a_file_of_another_version(tmp_path):
    (tmp_path / MINING_SUMMARY_FILE).write_text('{"algorithm": "a", "later": 1, "first": [{"path": "b", "later": 2}]}')
    assert read_mining_summary(tmp_path) == MiningSummary('a', first=[FirstImage('b')])


def test_no_file(tmp_path):
    assert read_mining_summary(tmp_path) is None


@pytest.mark.parametrize(
    'content, words',
    [
        ('', 'cannot be read as JSON'),
        ('[]', 'holds no JSON object'),
        ('{"about": ["a"]}', 'about must be two texts'),
        ('{"settings": {"a": []}}', 'settings must be'),
        ('{"num_images": -1}', 'num_images must be a count'),
        ('{"near_duplicates": 0.5}', 'near_duplicates must be a count'),
        ('{"unreadable": true}', 'unreadable must be a count'),
        ('{"first": {}}', 'first must be a list'),
        ('{"first": [{}, 3]}', 'first must be a list of JSON objects'),
        ('{"first": [{"path": null}]}', r'first\[0\]: path must be text'),
        ('{"first": [{}, {"uncertainty": NaN}]}', r'first\[1\]: uncertainty must be a number or null'),
        ('{"first": [{"distance": "0"}]}', r'first\[0\]: distance must be a number or null'),
        ('{"first": [{"nearest": 3}]}', r'first\[0\]: nearest must be text or null'),
        ('{"first": [{"class_gain": Infinity}]}', r'first\[0\]: class_gain must be a number or null'),
        ('{"first": [{"explored": 1}]}', r'first\[0\]: explored must be true or false'),
        ('{"class_names": ["a"], "first": [{"boxes": [[1, 2, 3, 4, 0, 0.5]]}]}', r'first\[0\]: boxes must be a list'),
        ('{"class_names": ["a"], "first": [{"boxes": [[1, 2, 3, 4, 1, 0.5, 0]]}]}', r'first\[0\]: boxes name a class'),
        ('{"class_names": ["a"], "first": [{"boxes": [[1, 2, 3, 4, 0.5, 1, 0]]}]}', r'first\[0\]: boxes name a class'),
        ('{"map": []}', 'map must be a JSON object'),
        ('{"map": {"points": [[1, 2, 3]], "rank": [0]}}', 'map: points must be a list of pairs'),
        ('{"map": {"points": [[1, 2]], "rank": [-1]}}', 'map: rank must be a list of counts'),
        ('{"map": {"points": [[1, 2], [3, 4]], "rank": [1, 1]}}', 'map: rank has a number twice'),
        ('{"map": {"points": [[1, 2]], "rank": []}}', 'map: points and rank must be equally many'),
    ],
)
def test_nonsense_is_named(tmp_path, content, words):
    (tmp_path / MINING_SUMMARY_FILE).write_text(content)
    with pytest.raises(ResultError, match=words) as caught:
        read_mining_summary(tmp_path)
    assert MINING_SUMMARY_FILE in str(caught.value)


@pytest.mark.parametrize(
    'kind, wrap',
    [
        (MiningSummary, lambda fields: fields),
        (FirstImage, lambda fields: {'first': [fields]}),
        (PoolMap, lambda fields: {'map': fields}),
    ],
)
def test_every_field_is_checked(tmp_path, kind, wrap):
    for name in vars(kind()):
        value = 3 if name == 'map' else {'x': {'y': {}}}
        (tmp_path / MINING_SUMMARY_FILE).write_text(json.dumps(wrap({name: value})))
        with pytest.raises(ResultError, match=name):
            read_mining_summary(tmp_path)
