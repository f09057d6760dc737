"""The recipe of our configs against the published one, but for what the configs say is different."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR

from tests.vidt.recipe import recipe
from tests.vidt.test_optim import rates
from vidt.datasets.transforms import ViDTResize, resized_shape

CFG = Config.fromfile(next((Path(__file__).parents[2] / 'configs/vidt').glob('vidt_nano_*.py')))


def options(transform):
    return {key: value for key, value in transform.items() if key != 'type'}


def test_sizes_of_training_images():
    flip, choice = CFG.train_pipeline[2:4]
    (plain,), (crop, again) = choice['transforms']
    assert 'prob' not in choice  # half of the images each
    assert (flip['type'], flip['prob']) == ('mmdet.RandomFlip', 0.5)
    assert plain == again
    assert options(plain) == {'sizes': list(range(416, 609, 16)), 'max_size': 800}
    assert options(crop) == {'min_size': 384, 'max_size': 512, 'sizes': [400, 500, 600]}


def test_sizes_of_validation_images():
    transform = ViDTResize(**options(CFG.test_pipeline[1]))
    assert (transform.sizes, transform.max_size) == ([640], 800)
    rows = [row for row in recipe('resize')['rows'] if row[2:4] == [640, 800]]
    assert len(rows) > 5
    assert [[*resized_shape(h, w, 640, 800)][::-1] for w, h, *_ in rows] == [row[4:] for row in rows]


def test_learning_rate_and_clipping():
    optimizer = CFG.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, CFG.optim_wrapper.clip_grad) == ('AdamW', 1e-4, {'max_norm': 0.1})
    published = recipe('lr')['runs'][0]
    epochs = published['arguments']['epochs']
    assert CFG.max_epochs == epochs
    _, cosine = CFG.param_scheduler
    cosine = {key: value for key, value in options(cosine).items() if key != 'convert_to_iter_based'}
    ours = rates(epochs, optimizer.lr, (CosineAnnealingLR, cosine))
    # ours rises in the first epoch, and has no lag; half of the way the two are 1 % of the rate apart
    assert ours[1:-1] == pytest.approx(published['used_in_epoch'][2:], abs=2e-6)
