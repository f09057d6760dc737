"""Detectors of the zoo behind a prediction: built from the weights of a training, whatever their family."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from pie.labels import read_labels
from pie.models import find_detector
from pie.predict_boxes import BoxPredictor
from tmi.errors import ModelError
from tmi.families import family_of

LABELS = read_labels([dict(class_name=name, class_color='255,0,0') for name in ('ship', 'plane')])


@pytest.fixture
def weights(tmp_path):
    """Returns a function that writes random weights of a detector of two classes, and its entry of the zoo."""

    def write(name):
        torch.manual_seed(0)
        register_all_modules()
        model = find_detector(name)
        config = Config.fromfile(model.config).model
        family = family_of(config)
        family.register()
        family.set_classes(config, 2)
        config.pop('train_cfg', None)
        torch.save(MODELS.build(config).state_dict(), tmp_path / 'ships.th')
        return tmp_path / 'ships.th', model

    return write


@pytest.mark.parametrize(
    'name',
    ['yolov8_n', *(pytest.param(one, marks=pytest.mark.slow) for one in ('yolov5_n_p6', 'rtmdet_tiny', 'vidt_nano'))],
)
def test_boxes_of_a_tile(name, weights):
    """A tile of another size than the input gives boxes in its own pixels, whatever is predicted with it."""
    tiles = np.random.default_rng(0).integers(0, 255, (3, 96, 160, 3)).astype(np.uint8)
    predictor = BoxPredictor(*weights(name), LABELS, (192, 128), 0.0)
    found = predictor.predict(tiles)
    assert len(found) == 3
    for tile, one in zip(tiles, found):
        assert len(one.boxes) == len(one.labels) == len(one.scores) > 0
        assert one.boxes.min() >= 0 and (one.boxes <= np.array([160, 96, 160, 96])).all()
        assert one.boxes[:, 2].max() > 128 and set(one.labels) <= {0, 1}
        alone = predictor.predict([tile])[0]
        np.testing.assert_allclose(alone.scores, one.scores, atol=1e-4)
        assert predictor.predict([tile[:, :, ::-1]])[0].scores.tolist() != one.scores.tolist()  # colours count


def test_weights_of_other_classes(weights):
    with pytest.raises(ModelError):
        BoxPredictor(*weights('yolov8_n'), [*LABELS, LABELS[0]], (64, 64), 0.5)
