"""The statistics that travel with the weights: calibration, matching, centroids, and the file."""

import io
import logging
import math
import os
import pickle
import zipfile

import numpy as np
import pytest

from tmi.errors import ModelError
from tmi.mining.calibration import MIN_SAMPLES, RIDGE, UNCHANGED, features, fit_calibration, fit_logistic
from tmi.mining.centroids import find_centroids
from tmi.mining.matching import iou_matrix, match_labels
from tmi.mining.stats import MiningStats, load_stats, read_stats, write_stats


def samples(seed, number, coefficients):
    """Detections whose chances follow given coefficients."""
    rng = np.random.default_rng(seed)
    scores, support = rng.uniform(0.05, 1, number).round(6), rng.integers(1, 30, number)
    x = np.stack([np.ones(number), np.log(support), np.log(scores / (1 - scores))], axis=1)
    return scores, support, rng.random(number) < 1 / (1 + np.exp(-x @ np.array(coefficients)))


def slope_of_loss(scores, support, right, coefficients, prior):
    """The gradient, summed detection by detection from the definition."""
    slope = [RIDGE * (now - before) for now, before in zip(coefficients, prior)]
    for score, count, hit in zip(scores, support, right):
        row = (1.0, math.log(count), math.log(score / (1 - score)))
        chance = 1 / (1 + math.exp(-sum(b * value for b, value in zip(coefficients, row))))
        slope = [total + (chance - hit) * value for total, value in zip(slope, row)]
    return np.array(slope)


def test_the_fit_is_the_minimum():
    scores, support, right = samples(0, 500, (-1.0, 0.7, 0.5))
    found = fit_logistic(features(scores, support), right)
    assert np.abs(slope_of_loss(scores, support, right, found, UNCHANGED)).max() < 1e-5
    assert np.abs(slope_of_loss(scores, support, right, found + 0.1, UNCHANGED)).max() > 1


def test_the_fit_finds_what_made_the_samples():
    scores, support, right = samples(1, 40_000, (-1.0, 0.7, 0.5))
    assert fit_logistic(features(scores, support), right) == pytest.approx([-1.0, 0.7, 0.5], abs=0.05)


@pytest.mark.parametrize('score', [0.999999, 1.0, 0.0])
def test_samples_that_a_line_divides_have_a_fit(score):
    scores, right = np.array([score] * 50 + [0.5] * 50), np.arange(100) < 50
    found = fit_logistic(features(scores, np.ones(100)), right)
    assert np.isfinite(found).all() and np.abs(found).max() < 50


def test_classes_without_enough_samples_have_none_of_their_own():
    scores, support, right = samples(2, 400, (-1.0, 0.7, 0.5))
    labels = np.repeat([0, 1, 2, 4], [300, MIN_SAMPLES - 1, MIN_SAMPLES, 101 - 2 * MIN_SAMPLES])
    right = np.where(labels == 4, True, right)
    right[np.flatnonzero(labels == 2)[:2]] = [True, False]
    by_class, together = fit_calibration(labels, scores, support, right, 5)
    assert np.isnan(by_class).all(axis=1).tolist() == [False, True, False, True, True]
    assert np.isfinite(together).all()
    own = labels == 0
    assert np.abs(slope_of_loss(scores[own], support[own], right[own], by_class[0], together)).max() < 1e-5


@pytest.mark.parametrize('right', [[], [True] * 50, [False] * 50, [True, False, True, True, True]])
def test_without_samples_that_say_something_there_is_no_calibration(right):
    number = len(right)
    by_class, together = fit_calibration([0] * number, [0.5] * number, [3] * number, right, 2)
    assert np.isnan(by_class).all() and np.isnan(together).all()


def slow_match(boxes, labels, true_boxes, true_labels, crowd):
    """From the definition, without arrays."""

    def overlap(first, second, is_crowd):
        width = min(first[2], second[2]) - max(first[0], second[0])
        height = min(first[3], second[3]) - max(first[1], second[1])
        if width <= 0 or height <= 0:
            return 0.0
        area, other = ((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
        return width * height / (area if is_crowd else area + other - width * height)

    taken, found = set(), []
    for box, label in zip(boxes, labels):
        best = {False: (0.5, -1), True: (0.5, -1)}
        for place, (true_box, true_label) in enumerate(zip(true_boxes, true_labels)):
            value = overlap(box, true_box, crowd[place])
            if true_label == label and place not in taken and value >= best[crowd[place]][0]:
                if value > best[crowd[place]][0] or best[crowd[place]][1] < 0:
                    best[crowd[place]] = (value, place)
        place = best[False][1] if best[False][1] >= 0 else best[True][1]
        if place >= 0 and not crowd[place]:
            taken.add(place)
        found.append(place)
    return found


def test_detections_find_labels_as_defined():
    rng = np.random.default_rng(3)
    matched = 0
    for _ in range(200):
        count, number = rng.integers(0, 12), rng.integers(0, 6)
        true_boxes = rng.integers(0, 40, (number, 2))
        true_boxes = np.concatenate([true_boxes, true_boxes + rng.integers(5, 30, (number, 2))], axis=1)
        boxes = true_boxes[rng.integers(0, number, count)] if number else np.tile([0, 0, 9, 9], (count, 1))
        boxes = boxes + rng.integers(-4, 5, boxes.shape)
        labels, true_labels = rng.integers(0, 2, count), rng.integers(0, 2, number)
        crowd = rng.random(number) < 0.2
        found = match_labels(boxes, labels, true_boxes, true_labels, crowd)
        assert found.tolist() == slow_match(boxes.tolist(), labels, true_boxes.tolist(), true_labels, crowd)
        matched += np.sum(found >= 0)
    assert matched > 100


def test_boxes_without_area_overlap_nothing():
    assert iou_matrix([[3, 3, 3, 3]], [[3, 3, 3, 3], [0, 0, 9, 9]]).tolist() == [[0, 0]]


def directions(seed, groups, each, width=16, spread=0.02):
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(groups, width)), each, axis=0)
    rows += spread * rng.normal(size=rows.shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_centroids_are_the_means_of_groups():
    rows = directions(4, 20, 30)
    found = find_centroids(rows, 20).astype(np.float32)
    assert found.shape == (20, 16) and np.linalg.norm(found, axis=1) == pytest.approx(np.ones(20), abs=2e-3)
    means = rows.reshape(20, 30, 16).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert np.sort((means @ found.T).argmax(axis=1)).tolist() == list(range(20))
    assert (means @ found.T).max(axis=1) == pytest.approx(np.ones(20), abs=2e-3)


def test_centroids_follow_from_data_and_seed():
    rows = directions(5, 300, 3, spread=0.5)
    assert np.array_equal(find_centroids(rows, 40, seed=1), find_centroids(rows, 40, seed=1))
    assert not np.array_equal(find_centroids(rows, 40, seed=1), find_centroids(rows, 40, seed=2))


def test_few_embeddings_are_their_own_centroids_and_unreadable_images_have_none():
    rows = directions(6, 5, 1)
    padded = np.concatenate([rows, np.zeros((3, 16)), np.full((1, 16), np.nan), rows[:2]])
    found = find_centroids(padded, 512)
    assert found.dtype == np.float16 and len(found) == 5
    assert (rows @ found.T.astype(np.float64)).max(axis=1) == pytest.approx(np.ones(5), abs=2e-3)
    assert find_centroids(np.zeros((4, 16))).shape == (0, 16)


def make_stats(**edits):
    values = {
        'class_names': ['cat', 'Dog', '鸟'],
        'num_boxes': np.array([5, 0, 7]),
        'num_images': 6,
        'average_precision': np.array([0.5, np.nan, 0.0]),
        'calibration': np.array([[0.1, 0.2, 0.9], [np.nan] * 3, [-1.0, 0.0, 2.0]]),
        'calibration_all': np.array([0.0, 0.5, 1.0]),
        'centroids': np.eye(2, 128, dtype=np.float16),
    }
    return MiningStats(**{**values, **edits})


def test_what_is_written_is_read(tmp_path):
    write_stats(tmp_path / 'mining_stats.npz', make_stats())
    found = read_stats(tmp_path / 'mining_stats.npz')
    for name, value in vars(make_stats()).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    stream = io.BytesIO()
    write_stats(stream, make_stats())
    assert stream.getvalue() == (tmp_path / 'mining_stats.npz').read_bytes()


def test_chances_come_from_the_class_then_from_all_then_from_the_score():
    def sigmoid(value):
        return 1 / (1 + math.exp(-value))

    logit = math.log(0.8 / 0.2)
    found = make_stats().true_positive([0, 1, 2], [0.8, 0.8, 0.8], [4, 4, 4])
    wanted = [0.1 + 0.2 * math.log(4) + 0.9 * logit, 0.5 * math.log(4) + logit, -1 + 2 * logit]
    assert found == pytest.approx([sigmoid(value) for value in wanted])
    without = make_stats(calibration_all=np.full(3, np.nan))
    assert without.true_positive([1, 1], [0.8, 0.3], [4, 1]) == pytest.approx([0.8, 0.3])
    assert make_stats().true_positive([], [], []).shape == (0,)
    extreme = make_stats().true_positive([0, 1], [0.0, 1.0], [1, 300])
    assert np.isfinite(extreme).all() and extreme[0] < 1e-4 and extreme[1] > 0.999


def test_classes_are_found_by_name():
    found = make_stats().matched_to(['鸟', 'fish', ' CAT '])
    assert found.class_names == ['鸟', 'fish', ' CAT '] and found.num_boxes.tolist() == [7, 0, 5]
    np.testing.assert_array_equal(found.average_precision, [0.0, np.nan, 0.5])
    np.testing.assert_array_equal(found.calibration, [[-1, 0, 2], [np.nan] * 3, [0.1, 0.2, 0.9]])
    assert found.true_positive([1], [0.5], [1]) == pytest.approx([0.5])  # by all classes together
    assert found.num_images == 6 and found.centroids.shape == (2, 128)


class Evil:
    def __reduce__(self):
        return (exec, ('raise SystemExit("executed")',))


def with_array(path, name, content):
    """A file in which one array is replaced by given bytes."""
    write_stats(path, make_stats())
    with zipfile.ZipFile(path) as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}
    parts[f'{name}.npy'] = content
    with zipfile.ZipFile(path, 'w') as archive:
        for item, data in parts.items():
            archive.writestr(item, data)


def as_npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {'descr': '<f2', 'fortran_order': False, 'shape': shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    'name, content, words',
    [
        ('version', as_npy(np.array(2)), 'are of version 2, and this image reads version 1 alone'),
        ('version', as_npy(np.array('1')), 'version is an array of'),
        ('class_names', as_npy(np.array([Evil()], dtype=object), allow_pickle=True), 'array of object'),
        ('class_names', as_npy(np.array(['a', 'b'])), '3'),
        ('class_names', as_npy(np.array(['cat', 'dog', 'cat '])), 'twice'),
        ('num_boxes', as_npy(np.array([1, -1, 2])), 'below 0'),
        ('num_boxes', as_npy(np.array([1.0, 1.0, 2.0])), 'float64'),
        ('num_images', as_npy(np.array([1])), 'dimensions'),
        ('average_precision', as_npy(np.array([0, 1.5, 0])), 'outside'),
        ('calibration', as_npy(np.zeros((3, 2))), r'\(3, 2\)'),
        ('calibration', as_npy(np.array([[0, np.nan, 1.0]] * 3)), 'nan beside'),
        ('calibration_all', as_npy(np.array([0, np.inf, 1.0])), 'beyond'),
        ('centroids', as_npy(np.full((2, 128), np.inf, dtype=np.float16)), 'finite'),
        ('centroids', as_npy(np.zeros((513, 4), dtype=np.float16)), '512'),
        ('centroids', as_npy(np.full((2, 128), 1e308)), 'longer than 1'),
        ('centroids', header((1 << 40, 128)), 'at most'),
        ('centroids', header((-1, 128)) + bytes(512), r'shape \(-1, 128\)'),
        ('centroids', as_npy(np.eye(2, 128, dtype=np.float16))[:-10], 'ValueError'),
        ('centroids', pickle.dumps(Evil()), 'ValueError'),
    ],
)
def test_a_file_that_is_something_else_is_rejected(tmp_path, name, content, words):
    path = tmp_path / 'mining_stats.npz'
    with_array(path, name, content)
    with pytest.raises(ModelError, match=words) as caught:
        read_stats(path)
    assert str(path) in str(caught.value) and 'remove the file' in str(caught.value)


def test_statistics_without_a_version_are_left_out_with_one_sentence(tmp_path):
    path = tmp_path / 'mining_stats.npz'
    write_stats(path, make_stats())
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files if name != 'version'}
    np.savez_compressed(path, **arrays)
    stats, missing = load_stats([path.name], str(tmp_path), ['cat'])
    assert stats is None and [str(path) in sentence for sentence in missing] == [True] + [False] * 4
    assert 'they have no version, and this image reads version 1 alone' in missing[0]


def test_a_file_that_is_cut_short_or_missing_is_rejected(tmp_path):
    path = tmp_path / 'mining_stats.npz'
    write_stats(path, make_stats())
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_stats(path)
    path.unlink()
    with pytest.raises(ModelError, match='FileNotFoundError'):
        read_stats(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'mining_stats.npz')
    with pytest.raises(ModelError, match='it is a folder, a pipe or a device'):
        read_stats(tmp_path / 'mining_stats.npz')


def test_mining_finds_the_statistics_among_the_files_of_a_model(tmp_path):
    folder = tmp_path / 'best'
    folder.mkdir()
    write_stats(folder / 'mining_stats_2.npz', make_stats())
    stats, missing = load_stats(
        ['best/a.pth', 'best/my_mining_stats.npz', 'best/mining_stats_2.npz'], str(tmp_path), ['dog', 'cat']
    )
    assert missing == [] and stats.class_names == ['dog', 'cat'] and stats.num_boxes.tolist() == [0, 5]


def test_classes_that_differ_in_case_alone_are_told_apart(tmp_path):
    write_stats(tmp_path / 'mining_stats.npz', make_stats(class_names=['cat', 'Cat', 'dog']))
    found = read_stats(tmp_path / 'mining_stats.npz').matched_to(['Cat', 'DOG', 'cat '])
    assert found.num_boxes.tolist() == [0, 7, 5]


def test_one_file_that_cannot_be_read_does_not_hide_another(tmp_path):
    (tmp_path / 'mining_stats.npz').write_bytes(b'PK broken')
    write_stats(tmp_path / 'mining_stats_2.npz', make_stats())
    stats, missing = load_stats(['mining_stats.npz', 'mining_stats_2.npz'], str(tmp_path), ['cat'])
    assert stats.num_boxes.tolist() == [5] and len(missing) == 1 and 'holds no statistics' in missing[0]


@pytest.mark.parametrize(
    'edits, words',
    [
        ({'calibration': np.full((3, 3), np.nan), 'calibration_all': np.full(3, np.nan)}, 'How reliable'),
        ({'num_boxes': np.zeros(3, dtype=int)}, 'No labelled boxes'),
        ({'average_precision': np.full(3, np.nan)}, 'average precision'),
        ({'centroids': np.zeros((0, 128), dtype=np.float16)}, 'No labelled images'),
    ],
)
def test_what_is_not_known_is_said(tmp_path, edits, words, caplog):
    write_stats(tmp_path / 'mining_stats.npz', make_stats(**edits))
    with caplog.at_level(logging.INFO, 'tmi'):
        stats, missing = load_stats(['mining_stats.npz'], str(tmp_path), ['cat', 'dog', '鸟'])
    assert stats is not None and len(missing) == 1 and words in missing[0] and missing[0] in caplog.text


@pytest.mark.parametrize(
    'content, words', [(None, 'comes without mining_stats.npz'), (b'PK broken', 'holds no statistics')]
)
def test_mining_does_without_statistics(tmp_path, content, words):
    if content:
        (tmp_path / 'mining_stats.npz').write_bytes(content)
    stats, missing = load_stats(['a.pth', *(['mining_stats.npz'] if content else [])], str(tmp_path), ['cat'])
    assert stats is None and len(missing) == 5 and words in missing[0]
