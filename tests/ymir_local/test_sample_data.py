"""The generated data set: exact boxes, reproducible bytes, what its parameters promise."""

import cv2
import numpy as np
import pytest

from ymir_local.demo import sample_data
from ymir_local.demo.sample_data import CLASS_NAMES, SHAPES, generate


def test_same_seed_same_bytes(tmp_path):
    first = generate(tmp_path / 'a', num_images=2, seed=3)
    again = generate(tmp_path / 'b', num_images=2, seed=3)
    other = generate(tmp_path / 'c', num_images=2, seed=4)
    assert [image.path.read_bytes() for image in first] == [image.path.read_bytes() for image in again]
    assert [image.boxes for image in first] == [image.boxes for image in again]
    assert first[0].path.read_bytes() != other[0].path.read_bytes()


def test_first_images_do_not_depend_on_how_many(tmp_path):
    few = generate(tmp_path / 'few', num_images=2)
    more = generate(tmp_path / 'more', num_images=3)
    assert [image.boxes for image in few] == [image.boxes for image in more[:2]]


def test_images_are_as_described(tmp_path):
    images = generate(tmp_path, num_images=12, num_classes=3, size_range=(100, 160), objects_range=(1, 4))
    for image in images:
        assert cv2.imread(str(image.path)).shape == (image.height, image.width, 3)
        assert 100 <= image.width <= 160 and 100 <= image.height <= 160
        assert 1 <= len(image.boxes) <= 4
        for box in image.boxes:
            assert 0 <= box.class_index < 3
            assert box.x >= 0 and box.y >= 0 and box.w > 0 and box.h > 0
            assert box.x + box.w <= image.width and box.y + box.h <= image.height
    assert {box.class_index for image in images for box in image.boxes} == {0, 1, 2}


@pytest.mark.parametrize('class_index', range(len(CLASS_NAMES)))
def test_box_touches_the_object_on_every_side(class_index, monkeypatch):
    """Drawn in white on black, the pixels themselves tell the box."""
    monkeypatch.setattr(sample_data, '_colour', lambda rng, saturation, value: np.full(3, 200, np.float32))
    rng = np.random.default_rng(class_index)
    for _ in range(5):
        picture = np.zeros((200, 240, 3), np.float32)
        boxes = []
        sample_data._place(rng, picture, boxes, class_index, SHAPES[CLASS_NAMES[class_index]], (0.2, 0.6))
        box = boxes[0]
        # lit from 0.75 to 1.2 across, and at least half covered
        rows, columns = np.nonzero(picture[..., 0] > 0.5 * 0.74 * 200)
        assert abs(columns.min() - box.x) <= 1 and abs(columns.max() - (box.x + box.w - 1)) <= 1
        assert abs(rows.min() - box.y) <= 1 and abs(rows.max() - (box.y + box.h - 1)) <= 1
        assert 0.2 * 200 * 0.75 <= max(box.w, box.h) <= 0.6 * 200 * 1.05


def test_shapes_lie_in_the_unit_square():
    for silhouette, pattern in SHAPES.values():
        assert max(np.abs(outline).max() for outline in (*silhouette, *pattern)) <= 1 + 1e-9


@pytest.mark.parametrize('num_classes', [0, len(CLASS_NAMES) + 1])
def test_impossible_number_of_classes(tmp_path, num_classes):
    with pytest.raises(ValueError, match='allowed: 1 to'):
        generate(tmp_path, num_classes=num_classes)
