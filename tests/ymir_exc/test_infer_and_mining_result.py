"""infer-result.json and result.tsv, held against the platform's rules."""

import json
import tracemalloc

import numpy as np
import pytest
import torch

from tests.ymir_exc import platform_rules as rules
from ymir_exc import result_writer as rw
from ymir_exc.errors import ResultError, ValidationError
from ymir_exc.result_writer import Annotation, Box


def detection(task, candidates=None, list_key='boxes'):
    text = task.infer_file.read_text()
    assert rules.infer_result_violations(text, candidates, list_key) == []
    return json.loads(text)['detection']


def annotation(**changes):
    return Annotation(**{**{'class_name': 'cat', 'score': 0.8, 'box': Box(x=10, y=20, w=30, h=40)}, **changes})


@pytest.mark.parametrize('protocol, list_key', [('1.1.0', 'boxes'), (1.0, 'boxes'), (None, 'annotations')])
def test_the_form_of_the_contract(task, protocol, list_key):
    task.write_env('infer', protocol_version=protocol)
    paths = ['/in/assets/0d/3f9c0d.jpg', '/in/assets/12/77 ab12.jpg', '/in/assets/x/图.png']
    rw.write_infer_result({paths[0]: [annotation()], paths[1]: [], paths[2]: (annotation(class_name='狗'),)})
    box = {'x': 10, 'y': 20, 'w': 30, 'h': 40}
    assert detection(task, paths, list_key) == {
        '3f9c0d.jpg': {list_key: [{'class_name': 'cat', 'score': 0.8, 'box': box}]},
        '77 ab12.jpg': {list_key: []},
        '图.png': {list_key: [{'class_name': '狗', 'score': 0.8, 'box': box}]},
    }


def test_no_images(task):
    rw.write_infer_result({})
    assert detection(task, []) == {}


@pytest.mark.parametrize(
    'value, rounded',
    [
        (5, 5),
        (5.49, 5),
        (5.5, 6),
        (6.5, 7),
        (-0.5, 0),
        (-0.51, -1),
        ('7', 7),
        ('7.6', 8),
        (np.float32(2.5), 3),
        (np.int64(9), 9),
        (torch.tensor(3.7), 4),
        (2**31 - 1, 2**31 - 1),
    ],
)
def test_coordinates_are_rounded_to_the_nearest_integer(value, rounded):
    assert Box(x=value, y=0, w=1, h=1).x == rounded


@pytest.mark.parametrize(
    'key, value',
    [('x', float('nan')), ('y', float('inf')), ('w', -1), ('h', 'wide'), ('x', 2**31), ('x', None), ('x', True)],
)
def test_a_box_that_the_platform_rejects(key, value):
    with pytest.raises(ValidationError, match=key):
        Box(**{**{'x': 0, 'y': 0, 'w': 1, 'h': 1}, key: value})


@pytest.mark.parametrize(
    'key, value',
    [
        ('score', float('nan')),
        ('score', float('-inf')),
        ('score', 'high'),
        ('class_name', ''),
        ('class_name', ' \t'),
        ('class_name', None),
        ('box', None),
    ],
)
def test_an_object_that_the_platform_rejects(key, value):
    with pytest.raises(ValidationError, match=key):
        annotation(**{key: value})


@pytest.mark.parametrize(
    'score, text',
    [(np.float32(0.91), '0.91'), (torch.tensor(0.1), '0.1'), (1, '1.0'), ('0.25', '0.25'), (1e-12, '1e-12')],
)
def test_scores_are_written_with_the_digits_they_have(task, score, text):
    rw.write_infer_result({'a.jpg': [annotation(score=score)]})
    assert f'"score": {text},' in task.infer_file.read_text()


def test_the_same_file_name_twice_names_both_paths_and_the_old_file_stays(task):
    rw.write_infer_result({'/in/assets/a.jpg': []})
    before = task.infer_file.read_bytes()
    with pytest.raises(ResultError, match='/in/assets/1/b.jpg and /in/assets/2/b.jpg'):
        rw.write_infer_result({'/in/assets/1/b.jpg': [], '/in/assets/c.jpg': [], '/in/assets/2/b.jpg': []})
    assert task.infer_file.read_bytes() == before


def test_the_stream_takes_dicts_and_names_the_image_of_a_bad_one(task):
    good = {'class_name': 'cat', 'score': '0.5', 'box': {'x': 1.2, 'y': 2, 'w': 3, 'h': 4}}
    with rw.InferResultWriter() as writer:
        writer.write('/in/a.jpg', [good])
        assert not task.infer_file.exists()
    assert detection(task)['a.jpg']['boxes'] == [
        {'class_name': 'cat', 'score': 0.5, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}
    ]
    before = task.infer_file.read_bytes()
    with pytest.raises(ResultError, match='/in/b.jpg: box.w: must be one finite number, not nan'):
        with rw.InferResultWriter() as writer:
            writer.write('/in/a.jpg', [good])
            writer.write('/in/b.jpg', [dict(good, box={'x': 1, 'y': 2, 'w': float('nan'), 'h': 4, 'float': 1})])
    assert task.infer_file.read_bytes() == before
    with pytest.raises(RuntimeError, match='with'):
        rw.InferResultWriter().write('a.jpg', [])


def test_nan_that_was_assigned_later_is_rejected(task):
    changed = annotation()
    changed.score = float('nan')
    with pytest.raises(ResultError, match='/in/a.jpg: .*JSON'):
        rw.write_infer_result({'/in/a.jpg': [changed]})
    assert not task.infer_file.exists()


def test_memory_of_the_streams_does_not_grow_with_the_boxes(task):
    def peak(num_images):
        tracemalloc.start()
        with rw.InferResultWriter() as writer:
            for index in range(num_images):
                writer.write(f'/in/assets/{index % 256:02x}/{index}.jpg', [annotation()] * 20)
        with rw.MiningResultWriter() as writer:
            for index in range(num_images):
                writer.write(f'/in/assets/{index % 256:02x}/{index}.jpg', index % 7)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(100), peak(2100)
    assert (large - small) / 2000 < 300  # bytes per image; the boxes of one are 1600 bytes of JSON


@pytest.mark.parametrize('algorithm', ['classification', 'panoptic'])
def test_an_unknown_algorithm(task, algorithm):
    with pytest.raises(ValueError, match="'detection' or 'segmentation'"):
        rw.write_infer_result({}, algorithm=algorithm)


@pytest.mark.parametrize(
    'scores, order, written',
    [
        ([0.25, 0.5, 0.75], [2, 1, 0], ['0.75', '0.5', '0.25']),
        ([0.5, 0.5, 0.75, 0.5], [2, 0, 1, 3], ['0.75', '0.5', '0.5', '0.5']),
        ([0.5, float('nan'), 0.75], [2, 0, 1], ['0.75', '0.5', '-1.7976931348623157e+308']),
        ([float('nan'), 0.5, float('nan')], [1, 0, 2], ['0.5'] + ['-1.7976931348623157e+308'] * 2),
        ([-10, float('-inf'), float('inf')], [2, 0, 1], ['1.7976931348623157e+308', '-10', '-1.7976931348623157e+308']),
        ([np.float32(0.1), torch.tensor(0.91), '0.3'], [1, 2, 0], ['0.910000026', '0.3', '0.100000001']),
        ([], [], []),
    ],
)
def test_mining_result(task, scores, order, written):
    paths = [f'/in/assets/{index}/a b{index}.jpg' for index in range(len(scores))]
    rw.write_mining_result(zip(paths, scores))
    text = task.mining_file.read_text()
    assert rules.mining_result_violations(text, paths) == []
    assert text == ''.join(f'{paths[index]}\t{score}\n' for index, score in zip(order, written))


@pytest.mark.parametrize('count', [1_000_000, 10_000_000, 33_333_333])
def test_scores_of_neighbours_stay_apart(task, count):
    ranks = [*range(1000), *range(count // 2, count // 2 + 1000), *range(count - 1000, count)]
    rw.write_mining_result((f'{rank}.jpg', (count - rank) / count) for rank in ranks)
    names, written = zip(*(line.split('\t') for line in task.mining_file.read_text().splitlines()))
    assert names == tuple(f'{rank}.jpg' for rank in ranks)
    scores = [float(text) for text in written]
    assert all(first > second for first, second in zip(scores, scores[1:])) and scores[0] == 1.0


def test_nan_scores_are_told(task, caplog):
    rw.write_mining_result([('a.jpg', 0.5), ('b.jpg', float('nan')), ('c.jpg', np.nan)])
    assert 'score of b.jpg is NaN' in caplog.text and '2 of 3 mining scores are NaN' in caplog.text


@pytest.mark.parametrize(
    'path, score, words',
    [('a.jpg', 'high', 'score of a.jpg'), ('a.jpg', None, 'score of a.jpg'), ('a\tb.jpg', 1, 'TAB'), ('', 1, 'empty')],
)
def test_a_bad_mining_line_leaves_the_old_file(task, path, score, words):
    rw.write_mining_result([('old.jpg', 1)])
    with pytest.raises(ResultError, match=words):
        rw.write_mining_result([('new.jpg', 1), (path, score)])
    assert task.mining_file.read_text() == 'old.jpg\t1\n'
    assert [path.name for path in (task.root / 'out').iterdir() if 'tmp' in path.name] == []


def test_a_path_that_is_not_utf8_is_written_byte_by_byte(task):
    rw.write_mining_result([('/in/\udcff.jpg', 1)])
    assert task.mining_file.read_bytes() == b'/in/\xff.jpg\t1\n'


def coco(**changes):
    item = {
        'id': 1,
        'image_id': 1,
        'category_id': 0,
        'bbox': [1, 2, 3, 4],
        'area': 12,
        'iscrowd': 0,
        'confidence': 0.9,
        'segmentation': {'size': [80, 100], 'counts': 'abc'},
    }
    item.update(changes)
    item = {key: value for key, value in item.items() if not (isinstance(value, str) and value == 'absent')}
    return {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 80}],
        'categories': [{'id': 0, 'name': 'cat'}],
        'annotations': [item],
    }


@pytest.mark.parametrize(
    'changes, expected',
    [
        ({}, {}),
        ({'bbox': np.array([1.5, 2, 3, 4], np.float32)}, {'bbox': [1.5, 2.0, 3.0, 4.0]}),
        ({'bbox': (1, 2, 3, 4), 'area': torch.tensor(12)}, {}),
        ({'segmentation': {'size': (80, 100), 'counts': b'abc'}}, {}),
        ({'segmentation': [[1, 2, 3, 4, 5, 6]]}, {'segmentation': [[1, 2, 3, 4, 5, 6]]}),
        ({'segmentation': 'absent'}, {'segmentation': 'absent'}),
        ({'confidence': 'absent', 'score': np.float64(0.25)}, {'confidence': 0.25, 'score': 0.25}),
        ({'confidence': 'absent'}, {'confidence': 'absent'}),
    ],
)
def test_segmentation(task, changes, expected):
    rw.write_infer_result(coco(**changes), algorithm='segmentation')
    assert rules.segmentation_result_violations(task.infer_file.read_text()) == []
    assert json.loads(task.infer_file.read_text()) == coco(**expected)


@pytest.mark.parametrize(
    'changes, words',
    [
        ({'image_id': 7}, 'image_id is 7'),
        ({'category_id': 'absent'}, 'category_id is None'),
        ({'bbox': 'absent'}, 'bbox'),
        ({'bbox': [1, 2, 3]}, 'bbox'),
        ({'bbox': [1, 2, float('nan'), 3]}, 'finite'),
        ({'area': 'absent'}, 'area'),
        ({'segmentation': {'size': [80, 100], 'counts': [1, 2]}}, 'compressed RLE'),
        ({'segmentation': {'counts': 'abc'}}, 'size'),
        ({'segmentation': []}, 'one polygon'),
        ({'segmentation': [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]}, 'one polygon'),
        ({'segmentation': None}, 'not None'),
        ({'confidence': float('nan')}, 'confidence'),
        ({'meta': None}, 'meta'),
    ],
)
def test_segmentation_objects_that_crash_the_platform_or_get_lost(task, changes, words):
    with pytest.raises(ResultError, match=words):
        rw.write_infer_result(coco(**changes), algorithm='segmentation')
    assert not task.infer_file.exists()


@pytest.mark.parametrize(
    'key, value, words',
    [
        ('images', None, "'images'"),
        ('images', [{'id': 1, 'file_name': 'x/a.jpg'}], 'without a folder'),
        ('images', [{'id': 1, 'file_name': 'a.jpg'}] * 2, 'occurs twice'),
        ('images', [{'file_name': 'a.jpg'}], 'no id'),
        ('categories', [{'id': 0}] * 2, 'occurs twice'),
        ('annotations', {}, "'annotations'"),
    ],
)
def test_segmentation_tables(task, key, value, words):
    result = coco()
    result[key] = value
    with pytest.raises(ResultError, match=words):
        rw.write_infer_result(result, algorithm='segmentation')


def test_objects_that_the_platform_will_drop_are_counted(task, caplog):
    result = coco()
    result['annotations'] += [dict(result['annotations'][0], id=2), dict(result['annotations'][0], bbox=[1, 2, 0.5, 4])]
    rw.write_infer_result(result, algorithm='segmentation')
    assert '2 of 3 objects will be dropped' in caplog.text
