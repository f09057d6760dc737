"""The study of spoilt labels: what is spoilt, and what counts as found."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.mining.label_noise import DAMAGES, score, spoil
from ymir_local.platform.labels import LabelledBox, LabelledImage


@pytest.fixture
def clean():
    boxes = [LabelledBox(k % 3, 100 * (k % 4) + 20, 100 * (k // 4) + 20, 40, 30) for k in range(8)]
    return [LabelledImage(Path(f'{k}.jpg'), 500, 300, tuple(boxes)) for k in range(40)]


def row(box):
    return [box.class_index, box.x, box.y, box.w, box.h]


def test_each_kind_of_damage_is_what_it_is_called(clean):
    spoilt, damages = spoil(clean, 3, np.random.default_rng(1))
    assert [damage['kind'] for damage in damages] == [*DAMAGES] * 4  # 5 % of 320
    true = [[row(box) for box in image.boxes] for image in clean]
    now = [[row(box) for box in image.boxes] for image in spoilt]
    for damage in damages:
        k, (label, x, y, w, h) = damage['image'], damage['box']
        assert (damage['box'] in now[k]) == (damage['kind'] != 'dropped')
        assert (damage['box'] in true[k]) == (damage['kind'] == 'dropped')
        assert 0 <= x and x + w <= 500 and 0 <= y and y + h <= 300
        near = [other for other in true[k] if abs(other[1] - x) + abs(other[2] - y) < 35]
        if damage['kind'] == 'swapped':
            assert near == [[near[0][0], x, y, w, h]] and near[0][0] != label
        elif damage['kind'] == 'shifted':
            assert len(near) == 1 and near[0][0] == label
            assert sorted((abs(near[0][1] - x), abs(near[0][2] - y))) in ([0, 20], [0, 15])
    assert sum(a != b for a, b in zip(map(sorted, true), map(sorted, now))) <= len(damages)
    assert sum(map(len, now)) == sum(map(len, true))  # as many dropped as invented


def test_a_model_that_knows_the_truth_finds_all(clean):
    spoilt, damages = spoil(clean, 3, np.random.default_rng(1))
    boxes = [[(box.x, box.y, box.x + box.w, box.y + box.h) for box in image.boxes] for image in clean]
    content = {
        'damages': damages,
        'class_names': ['a', 'b', 'c'],
        'num_train': 32,
        'labels': [[row(box) for box in image.boxes] for image in spoilt],
        'sizes': [[500, 300]] * len(clean),
        'predictions': [
            {
                'boxes': found,
                'scores': [0.9] * len(found),
                'labels': [box.class_index for box in image.boxes],
                'support': [9] * len(found),
            }
            for image, found in zip(clean, boxes)
        ],
    }
    assert score(content) == (1.0, dict.fromkeys(DAMAGES, 1.0))
    content['predictions'] = [{'boxes': [], 'scores': [], 'labels': [], 'support': []}] * len(clean)
    found, kinds = score(content)
    assert kinds['dropped'] == 0 and found < 0.3
