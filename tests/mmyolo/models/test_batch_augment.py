"""Colour and flip of a batch on its device give what the transforms give image by image."""

import cv2
import numpy as np
import pytest
import torch

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.datasets.collate import yolov5_collate
from mmyolo.datasets.transforms.hsv import hsv_tables
from mmyolo.datasets.transforms.hsv import map_hsv as map_hsv_of_image
from mmyolo.models.data_preprocessors import YOLOv5DetDataPreprocessor
from mmyolo.models.data_preprocessors.batch_augment import CHUNK, flip_images, map_hsv
from tests.mmyolo.datasets.transforms.fast_data import (
    AFFINE,
    FLIP,
    HSV,
    LOAD,
    MOSAIC,
    PACK,
    YOLOX_HSV,
    loading,
    make_dataset,
    photograph,
    write_data,
)

UNCHANGED = np.tile(np.arange(256, dtype=np.uint8), (3, 1))


def to_batch(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def to_images(batch):
    return batch.permute(0, 2, 3, 1).numpy()


def check(images, gains):
    """Neither pixels nor their mean differ by more than OpenCV's own forms for different processors do."""
    tables = torch.from_numpy(np.stack([hsv_tables(one) for one in gains]))
    result = to_images(map_hsv(to_batch(images), tables))
    expected = np.stack([map_hsv_of_image(image, hsv_tables(one)) for image, one in zip(images, gains, strict=True)])
    difference = result.astype(int) - expected
    assert np.abs(difference).max() <= 1 and abs(difference.mean()) < 0.5


def test_all_colours():
    green, red = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(0, 256, 3, dtype=np.uint8))
    for blue in range(0, 256, 15):
        image = np.stack([np.full_like(green, blue), green, red], axis=-1)
        check([image], [np.ones(3)])
        # With neither hue nor saturation the value alone is seen.
        tables = np.array([np.zeros(256), np.zeros(256), np.arange(256)], dtype=np.uint8)
        value = to_images(map_hsv(to_batch([image]), torch.from_numpy(tables)[None]))[0]
        assert (np.abs(value.astype(int) - image.max(axis=-1, keepdims=True)) <= 1).all()


@pytest.mark.parametrize('hue', [0.985, 1.0, 1.015, 0.1, 1.9])
@pytest.mark.parametrize('saturation', [0.3, 1.0, 1.7])
@pytest.mark.parametrize('value', [0.6, 1.0, 1.4])
def test_all_gains_on_photographs_and_noise(hue, saturation, value):
    noise = np.random.RandomState(0).randint(0, 256, (50, 61, 3), dtype=np.uint8)
    gains = np.array([hue, saturation, value])
    check([photograph(61, 50, 1), noise], [gains, gains])


def test_each_image_has_its_own_gains():
    generator = np.random.RandomState(0)
    images = [photograph(37, 24, seed) for seed in range(2 * CHUNK + 1)]
    gains = generator.uniform(-1, 1, (len(images), 3)) * [0.015, 0.7, 0.4] + 1
    check(images, gains)


def test_flips():
    images = [photograph(7, 5, seed) for seed in range(4)]
    flips = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    result = to_images(flip_images(to_batch(images), flips))
    expected = [images[0], *(cv2.flip(image, code) for image, code in zip(images[1:], (1, 0, -1), strict=True))]
    assert np.array_equal(result, expected)


def on_device(step):
    return dict(step, on_device=True)


def load_batch(data, pipeline):
    dataset = make_dataset(data, pipeline)
    samples = []
    for index in range(6):
        np.random.seed(index)
        samples.append(dataset[index])
    batch = yolov5_collate(samples)
    return YOLOv5DetDataPreprocessor(mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True)(batch, training=True)


FLIPS = dict(FLIP, prob=0.75, direction=['horizontal', 'vertical', 'diagonal'])
LETTER = {'type': 'LetterResize', 'scale': (128, 96), 'allow_scale_up': True, 'pad_val': {'img': 114.0}}
FAST = {'type': 'FastMosaic', 'pre_transform': loading(), 'mosaics': [[MOSAIC, AFFINE]], 'flip': FLIPS}


@pytest.mark.parametrize(
    'left, done',
    [
        ([*LOAD, LETTER, on_device(HSV), on_device(FLIPS), PACK], [*LOAD, LETTER, HSV, FLIPS, PACK]),
        ([*LOAD, LETTER, HSV, on_device(FLIPS), PACK], [*LOAD, LETTER, HSV, FLIPS, PACK]),
        ([dict(FAST, hsv=on_device(HSV)), PACK], [dict(FAST, hsv=HSV), PACK]),
        ([dict(FAST, hsv=on_device(YOLOX_HSV)), PACK], [dict(FAST, hsv=YOLOX_HSV), PACK]),
    ],
)
def test_a_training_batch_is_the_same_on_both_ways(tmp_path, left, done):
    data = write_data(tmp_path, masks=False)
    device, cpu = load_batch(data, left), load_batch(data, done)
    difference = (device['inputs'] - cpu['inputs']).abs()
    assert difference.max() <= 1
    assert torch.equal(device['data_samples']['bboxes_labels'], cpu['data_samples']['bboxes_labels'])
    assert set(device['data_samples']) == {'bboxes_labels', 'img_metas'}
    never = dict(FLIPS, prob=0.0)
    nothing = [
        {**step, 'flip': never, 'hsv': None} if step['type'] == 'FastMosaic' else never if step == FLIPS else step
        for step in done
        if step != HSV
    ]
    assert (load_batch(data, nothing)['inputs'] - cpu['inputs']).abs().mean() > 2  # there was something to do


def test_tables_that_change_nothing():
    images = [photograph(40, 30, seed) for seed in range(3)]
    result = map_hsv(to_batch(images), torch.from_numpy(np.stack([UNCHANGED] * 3)))
    expected = [cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), cv2.COLOR_HSV2BGR) for image in images]
    assert np.abs(to_images(result).astype(int) - expected).max() <= 1
