import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmyolo.datasets.transforms import LetterResize, YOLOv5KeepRatioResize
from tests.mmyolo.datasets.samples import add_masks, make_image, make_results

SCALE = (640, 640)


def resized(height, width, *transforms, **results):
    results = dict(img=make_image(height, width), **results)
    for transform in transforms:
        results = transform(results)
    return results


@pytest.mark.parametrize(
    'size, out, factor, padding',
    [
        ((480, 640), (480, 640), (1, 1), [80, 80, 0, 0]),
        ((427, 640), (427, 640), (1, 1), [106, 107, 0, 0]),
        ((333, 500), (426, 640), (1.28, 1.279279), [107, 107, 0, 0]),
        ((1280, 720), (640, 360), (0.5, 0.5), [0, 0, 140, 140]),
        ((100, 150), (426, 640), (4.266667, 4.26), [107, 107, 0, 0]),
    ],
)
def test_keep_ratio_then_letter_resize(size, out, factor, padding):
    results = resized(*size, YOLOv5KeepRatioResize(SCALE))
    assert results['img_shape'] == results['img'].shape[:2] == out
    assert results['scale_factor'] == pytest.approx(factor, rel=1e-6)

    results = LetterResize(SCALE, pad_val={'img': 114}, allow_scale_up=False)(results)
    assert results['img_shape'] == results['img'].shape == (640, 640, 3)
    assert results['pad_param'].dtype == np.float32
    assert results['pad_param'].tolist() == padding
    assert results['scale_factor'] == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(
    'size, batch_shape, padding',
    [
        ((333, 500), (448, 672), [11, 11, 16, 16]),
        ((480, 640), (512, 672), [16, 16, 16, 16]),
        ((640, 427), (672, 480), [16, 16, 26, 27]),
    ],
)
def test_batch_shape_replaces_the_scale(size, batch_shape, padding):
    letter = LetterResize(SCALE, allow_scale_up=False)
    results = resized(*size, YOLOv5KeepRatioResize(SCALE), letter, batch_shape=np.array(batch_shape))
    assert results['img'].shape[:2] == batch_shape
    assert results['pad_param'].tolist() == padding


@pytest.mark.parametrize(
    'size, kwargs, out, factor, padding',
    [
        ((333, 500), {'scale': SCALE, 'use_mini_pad': True}, (448, 640), (1.28, 1.279279), [11, 11, 0, 0]),
        ((333, 500), {'scale': (640, 480), 'stretch_only': True}, (480, 640), (1.28, 1.441441), [0, 0, 0, 0]),
        ((427, 640), {'scale': SCALE, 'half_pad_param': True}, (640, 640), (1, 1), [106.5, 106.5, 0, 0]),
    ],
)
def test_letter_resize_modes(size, kwargs, out, factor, padding):
    results = resized(*size, LetterResize(**kwargs))
    assert results['img'].shape[:2] == out
    assert results['scale_factor'] == pytest.approx(factor, rel=1e-6)
    assert results['pad_param'].tolist() == padding


@pytest.mark.parametrize(
    'pad_val, colour',
    [
        ({'img': 114}, (114, 114, 114)),
        (114, (114, 114, 114)),
        ({'img': (1, 2, 3)}, (1, 2, 3)),
        ({'img': 114.0}, (114, 0, 0)),  # what public stage 2 recipes pad with
    ],
)
def test_colour_of_the_padding(pad_val, colour):
    image = resized(4, 8, LetterResize((8, 8), pad_val=pad_val))['img']
    assert tuple(image[0, 0]) == tuple(image[-1, -1]) == colour


def test_letter_resize_rejects_other_padding():
    with pytest.raises(TypeError, match='pad_val'):
        LetterResize((8, 8), pad_val='grey')


def test_annotations_move_with_the_image():
    results = add_masks(make_results(0, size=(50, 100), gt_seg_map=np.ones((50, 100), np.uint8)))
    results['gt_bboxes'] = HorizontalBoxes(torch.tensor([[0.0, 0, 100, 50], [10, 10, 20, 20]]))
    results = LetterResize((200, 200))(add_masks(results))
    expected = [[0, 50, 200, 150], [20, 70, 40, 90]]
    assert results['gt_bboxes'].tensor.tolist() == expected
    assert results['gt_masks'].get_bboxes(dst_type='hbox').tensor.tolist() == expected
    assert results['gt_seg_map'].shape == (200, 200)
    assert results['gt_seg_map'][49].tolist() == [255] * 200 and results['gt_seg_map'][50].tolist() == [1] * 200
    corner = results['homography_matrix'] @ [100, 50, 1]
    assert corner.tolist() == [200, 150, 1]


def test_padding_and_scale_of_an_earlier_letter_resize_are_kept():
    results = resized(50, 100, LetterResize((100, 100)), LetterResize((300, 200)))
    assert results['scale_factor'] == (2, 2)
    assert results['pad_param'].tolist() == [50, 50, 50, 50]


def test_keep_ratio_resize_composes_with_an_earlier_scale():
    results = resized(100, 100, YOLOv5KeepRatioResize((50, 50)), scale_factor=(0.5, 0.25))
    assert results['scale_factor'] == (0.25, 0.125)


def test_keep_ratio_is_a_must():
    with pytest.raises(AssertionError, match='mmdet.Resize'):
        YOLOv5KeepRatioResize(SCALE, keep_ratio=False)
    transform = YOLOv5KeepRatioResize(SCALE)
    transform.keep_ratio = False
    with pytest.raises(AssertionError):
        transform({'img': make_image(4, 4)})
