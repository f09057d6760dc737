"""What the demo shows: mAP against hand-made cases, the picture, reading predictions."""

import json

import cv2
import numpy as np
import pytest

from ymir_local.demo.demo_result import draw_comparison, mean_average_precision, read_predictions
from ymir_local.platform.labels import LabelledBox, LabelledImage


def image_with(tmp_path, *boxes):
    return LabelledImage(tmp_path / 'x.jpg', 100, 100, tuple(LabelledBox(*box) for box in boxes))


@pytest.mark.parametrize(
    'predicted, expected',
    [
        ([(LabelledBox(0, 10, 10, 40, 40), 0.9), (LabelledBox(1, 60, 60, 20, 20), 0.8)], 1.0),
        # IoU is 0.8 for one class: right at 0.5 to 0.8, which is 7 of 10 thresholds
        ([(LabelledBox(0, 10, 10, 32, 40), 0.9), (LabelledBox(1, 60, 60, 20, 20), 0.8)], 0.85),
        ([(LabelledBox(0, 10, 10, 40, 40), 0.9)], 0.5),
        ([(LabelledBox(1, 10, 10, 40, 40), 0.9)], 0.0),
        ([], 0.0),
    ],
)
def test_mean_average_precision(tmp_path, predicted, expected):
    labels = [image_with(tmp_path, (0, 10, 10, 40, 40), (1, 60, 60, 20, 20))]
    assert mean_average_precision(labels, [predicted]) == pytest.approx(expected, abs=1e-6)


def test_no_labels_at_all(tmp_path):
    assert mean_average_precision([image_with(tmp_path)], [[]]) == -1.0


def test_read_predictions(tmp_path):
    path = tmp_path / 'infer-result.json'
    box = {'class_name': 'crate', 'score': 0.75, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}
    path.write_text(json.dumps({'detection': {'a.jpg': {'boxes': [box]}, 'b.jpg': {'boxes': []}}}))
    assert read_predictions(path, ['target', 'crate']) == {'a': [(LabelledBox(1, 1, 2, 3, 4), 0.75)], 'b': []}


def test_picture_has_a_pair_of_panels_per_image(tmp_path, images, class_names):
    predictions = [[(box, 0.9) for box in image.boxes] for image in images[:3]]
    draw_comparison(tmp_path / 'p.png', images[:3], predictions, class_names, tile=100)
    picture = cv2.imread(str(tmp_path / 'p.png'))
    assert picture.shape == (2 * 114, 4 * 100 + 12, 3)
    # the third image stands in the second row alone
    assert np.all(picture[114:, 212:] == 255) and not np.all(picture[114:, :200] == 255)


def test_weak_predictions_are_not_drawn(tmp_path, images, class_names):
    for score, name in ((0.2, 'weak.png'), (None, 'none.png')):
        boxes = [(images[0].boxes[0], score)] if score else []
        draw_comparison(tmp_path / name, images[:1], [boxes], class_names)
    assert (tmp_path / 'weak.png').read_bytes() == (tmp_path / 'none.png').read_bytes()
