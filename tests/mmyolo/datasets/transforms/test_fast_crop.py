import cv2
import numpy as np
import pytest
import torch

from mmyolo.datasets.collate import yolov5_collate
from mmyolo.datasets.transforms import fast_crop
from mmyolo.datasets.transforms.fast_crop import Canvas, _cut, _draw
from mmyolo.datasets.transforms.flip import FLIP_CODES
from mmyolo.models.data_preprocessors import PPYOLOEDetDataPreprocessor
from mmyolo.models.data_preprocessors.batch_augment import draw_on_canvas

from .fast_data import FLIP, LOAD, PACK, SCALE, compare, make_dataset, sample, write_data

LOADING = [LOAD[1], {'type': 'LoadCachedImage', 'max_size': max(SCALE), 'cache_bytes': 0}]
DISTORT, CROP = {'type': 'PPYOLOERandomDistort'}, {'type': 'PPYOLOERandomCrop'}
RESIZE = {
    'type': 'PPYOLOEBatchRandomResize',
    'random_size_range': (64, 64),
    'random_interp': False,
    'interp_mode': 'bilinear',
}
EXPAND = {'type': 'mmdet.Expand', 'mean': (103.53, 116.28, 123.675)}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('photographs'))


def fast_dataset(data, **kwargs):
    fast = {'type': 'FastCrop', 'pre_transform': LOADING, 'distort': DISTORT, 'expand': EXPAND, 'crop': CROP}
    return make_dataset(data, [dict(fast, flip=FLIP, **kwargs), PACK])


def test_numbers_boxes_and_pixels_are_those_of_the_public_transforms(data):
    public = make_dataset(data, [*LOADING, DISTORT, EXPAND, CROP, FLIP, PACK])
    differences, boxes = compare(public, fast_dataset(data), range(60))
    assert boxes > 50
    assert max(differences) < 1e-4  # float32, of values to 255


def test_a_batch_is_the_same_with_colours_and_canvas_on_the_device(data):
    batches = []
    for on_device in (False, True):
        dataset = fast_dataset(data, on_device=on_device)
        samples = []
        for seed in range(24):
            np.random.seed(seed)
            samples.append(dataset[seed % 12])
        batch = yolov5_collate(samples, use_ms_training=True)
        assert {image.dtype for image in batch['inputs']} == {torch.uint8 if on_device else torch.float32}
        batches.append(batch)
    arguments = {'mean': [1.0, 2.0, 3.0], 'std': [4.0] * 3, 'bgr_to_rgb': True, 'batch_augments': [RESIZE]}
    expected, found = (PPYOLOEDetDataPreprocessor(**arguments)(batch, training=True) for batch in batches)
    assert expected['inputs'].std() > 5
    torch.testing.assert_close(found['inputs'], expected['inputs'], rtol=0, atol=1e-3)
    boxes = [one['data_samples']['bboxes_labels'] for one in (found, expected)]
    assert torch.equal(*boxes) and len(boxes[0]) > 20
    assert set(found['data_samples']) == {'bboxes_labels', 'img_metas'}


def test_a_window_beside_the_image_is_a_canvas_without_image():
    canvas = Canvas((4, 5), (0, 0), [[1, 0, 0, 0]] * 3, [1.0, 2.0, 3.0])
    drawn = draw_on_canvas(torch.zeros(3, 0, 0, dtype=torch.uint8), canvas._asdict())
    assert (drawn == torch.tensor([1.0, 2.0, 3.0])[:, None, None].expand(3, 4, 5)).all()


def test_nothing_is_computed_that_the_crop_removes(data, monkeypatch):
    coloured = []
    transform = fast_crop.transform_colours

    def count(image, colours, planes):
        coloured.append(image.shape[0] * image.shape[1])
        return transform(image, colours, planes)

    monkeypatch.setattr(fast_crop, 'transform_colours', count)
    dataset = fast_dataset(data)
    shown = [sample(dataset, seed % 12, seed)[0].shape for seed in range(30)]
    assert all(pixels <= height * width for pixels, (height, width, _) in zip(coloured, shown, strict=True))
    assert sum(coloured) < 0.7 * sum(height * width for height, width, _ in shown)


@pytest.mark.parametrize('direction', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('window', [(0, 0, 5, 4), (30, 2, 36, 9), (0, 0, 40, 30), (12, 11, 14, 12), (8, 5, 13, 12)])
def test_a_window_is_that_of_the_whole_canvas(window, direction):
    image = np.random.RandomState(0).randint(0, 256, (10, 12, 3), dtype=np.uint8)
    colours = np.hstack([np.eye(3), np.zeros((3, 1))])
    canvas = np.full((30, 40, 3), (1, 2, 3), np.float32)
    canvas[6:16, 9:21] = image
    left, top, right, bottom = window
    seen, corner = _cut(image, (9, 6), window, direction)
    shape = (window[3] - window[1], window[2] - window[0])
    found = _draw(seen, Canvas(shape, corner, colours, (1, 2, 3)))
    expected = canvas[top:bottom, left:right]
    if direction is not None:
        expected = cv2.flip(expected, FLIP_CODES[direction])
    assert found.dtype == np.float32 and np.array_equal(found, expected)
    assert found.transpose(2, 0, 1).flags.c_contiguous
