"""Batches of PPYOLOE: one square for images of several sizes, then normalisation."""

import random

import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn import functional as F

from mmyolo.models import PPYOLOEBatchRandomResize, PPYOLOEDetDataPreprocessor
from mmyolo.registry import MODELS

NORMALISE = {'mean': [1.0, 2.0, 3.0], 'std': [4.0, 5.0, 6.0], 'bgr_to_rgb': True}
RESIZE = {'type': 'mmyolo.PPYOLOEBatchRandomResize', 'random_size_range': (32, 96), 'size_divisor': 32}


@pytest.fixture(autouse=True)
def hub():
    hub = MessageHub.get_instance('ppyoloe-preprocessing')
    hub.update_info('iter', 0)
    MessageHub._instance_dict.move_to_end('ppyoloe-preprocessing')
    return hub


def batch(*sizes):
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes or ((40, 20), (16, 64))]
    boxes = torch.tensor([[0.0, 7, 2, 4, 10, 20], [1, 3, 8, 4, 16, 12], [0, 1, 0, 0, 20, 40]])
    return {'inputs': images, 'data_samples': {'bboxes_labels': boxes}}


@pytest.mark.parametrize('mode', ['nearest', 'bilinear', 'bicubic', 'area'])
def test_resize(mode):
    data = batch()
    resize = PPYOLOEBatchRandomResize((64, 64), random_interp=False, interp_mode=mode)
    images, samples = resize(data['inputs'], data['data_samples'])
    corners = {} if mode in ('nearest', 'area') else {'align_corners': False}
    for image, wanted in zip(images, data['inputs'], strict=True):
        torch.testing.assert_close(image, F.interpolate(wanted[None].float(), (64, 64), mode=mode, **corners)[0])
    wanted = torch.tensor([[0, 7, 6.4, 6.4, 32, 32], [1, 3, 8, 16, 16, 48], [0, 1, 0, 0, 64, 64]])
    torch.testing.assert_close(samples['bboxes_labels'], wanted)


def test_a_row_of_no_image_leaves_the_others():
    rows = torch.tensor([[5, 0, 1, 1, 2, 2], [-3, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2.0]])
    _, samples = PPYOLOEBatchRandomResize((64, 64))([torch.zeros(3, 32, 16)], {'bboxes_labels': rows})
    assert samples['bboxes_labels'][2].tolist() == [0, 0, 4, 2, 8, 4]


def test_draws_of_sides_and_interpolations():
    resize = PPYOLOEBatchRandomResize((320, 800))
    assert resize.random_size_range == (10, 25)
    random.seed(3)
    modes = ['nearest', 'bilinear', 'bicubic', 'area']
    wanted = [(32 * random.randint(10, 25), random.choice(modes)) for _ in range(9)]
    random.seed(3)
    found = []
    for _ in range(9):
        images, _ = resize(batch((2, 3))['inputs'], {'bboxes_labels': torch.zeros(0, 6)})
        found.append((images.shape[-1], resize._mode))
    assert found == wanted and len(set(found)) > 5


def test_interval_holds_a_side(hub):
    random.seed(0)
    resize = PPYOLOEBatchRandomResize((32, 3200), interval=3)
    sides = []
    for iteration in range(7):
        hub.update_info('iter', iteration)
        sides.append(resize([torch.zeros(3, 4, 4)], {'bboxes_labels': torch.zeros(0, 6)})[0].shape[-1])
    assert sides[0] == sides[1] != sides[2] == sides[3] == sides[4] != sides[5] == sides[6]


@pytest.mark.parametrize(
    'kwargs', [{'keep_ratio': True}, {'random_interp': False}, {'interp_mode': 'area'}, {'interp_mode': None}]
)
def test_wrong_arguments(kwargs):
    with pytest.raises(AssertionError, match='PPYOLOEBatchRandomResize'):
        PPYOLOEBatchRandomResize((320, 800), **kwargs)


def test_training_batch():
    data = batch((32, 32), (16, 64))
    images = [image[[2, 1, 0]].float() for image in data['inputs']]
    preprocessor = MODELS.build(
        dict(
            type='PPYOLOEDetDataPreprocessor',
            batch_augments=[dict(RESIZE, random_size_range=(64, 64), random_interp=False, interp_mode='bilinear')],
            pad_size_divisor=32,
            **NORMALISE,
        )
    )
    output = preprocessor(data, training=True)
    for image, found in zip(images, output['inputs'], strict=True):
        wanted = F.interpolate(image[None], (64, 64), mode='bilinear', align_corners=False)[0]
        wanted = (wanted - torch.tensor([1.0, 2, 3])[:, None, None]) / torch.tensor([4.0, 5, 6])[:, None, None]
        torch.testing.assert_close(found, wanted)
    samples = output['data_samples']
    assert samples['img_metas'] == [{'batch_input_shape': (64, 64)}] * 2
    assert samples['bboxes_labels'][1].tolist() == [1, 3, 8, 16, 16, 48]


def test_without_augmentation():
    preprocessor = PPYOLOEDetDataPreprocessor(**NORMALISE)
    assert preprocessor(batch((8, 6), (8, 6)), training=True)['inputs'].shape == (2, 3, 8, 6)
    with pytest.raises(ValueError, match=r'sizes \[\(3, 8, 6\), \(3, 9, 6\)\].*batch_augments'):
        preprocessor(batch((8, 6), (9, 6)), training=True)


def test_other_collate_functions_are_rejected():
    preprocessor = PPYOLOEDetDataPreprocessor(**NORMALISE)
    with pytest.raises(AssertionError, match='got list'):
        preprocessor({'inputs': [torch.rand(3, 4, 4)], 'data_samples': []}, training=True)
    with pytest.raises(AssertionError, match='use_ms_training=True'):
        preprocessor({'inputs': torch.rand(1, 3, 4, 4), 'data_samples': {'bboxes_labels': torch.zeros(0, 6)}}, True)


def test_inference_pads_and_needs_no_samples():
    images = [torch.randint(0, 256, (3, 11, 10), dtype=torch.uint8), torch.randint(0, 256, (3, 9, 14))]
    output = PPYOLOEDetDataPreprocessor(pad_size_divisor=2, **NORMALISE)({'inputs': images, 'data_samples': None})
    assert output['inputs'].shape == (2, 3, 12, 14) and output['data_samples'] is None
