"""Keypoints stay on their objects: every transform moves them as it moves the image."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmyolo.datasets.transforms import (
    FilterAnnotations,
    LoadAnnotations,
    Mosaic,
    PackDetInputs,
    RandomAffine,
    RandomFlip,
    Resize,
    YOLOXMixUp,
)
from mmyolo.datasets.transforms.keypoint_structure import Keypoints

FLIP = [1, 0, 2]
# what marks the three keypoints of an object in the image, as BGR
MARKS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def results_of(height=100, width=120, corner=(30, 40), size=(40, 30)):
    """An image that is black but for three squares of 7 pixels around the keypoints of its object, one invisible."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    x, y = corner
    points = np.array([[x + 6, y + 6], [x + size[0] - 6, y + 8], [x + 12, y + size[1] - 6]], dtype=np.float32)
    for (px, py), mark in zip(points.astype(int), MARKS):
        image[py - 3 : py + 4, px - 3 : px + 4] = mark
    return {
        'img': image,
        'img_shape': (height, width),
        'ori_shape': (height, width),
        'gt_bboxes': HorizontalBoxes(torch.tensor([[x, y, x + size[0], y + size[1]]], dtype=torch.float)),
        'gt_bboxes_labels': np.array([0]),
        'gt_ignore_flags': np.zeros(1, dtype=bool),
        # centres of pixels: the square of seven around pixel p is centred at p + 0.5
        'gt_keypoints': Keypoints(points[None] + 0.5, np.array([[1, 1, 1]]), flip_indices=FLIP),
    }


def centres_of(image, box, order=(0, 1, 2)):
    """Middles of the marks within a box, in pixels."""
    x1, y1, x2, y2 = [int(round(float(value))) for value in box]
    part = image[max(y1, 0) : y2, max(x1, 0) : x2].astype(float)
    found = []
    for channel in order:
        others = np.delete(part, channel, axis=2).max(2)
        weight = np.clip(part[..., channel] - others, 0, None)
        y, x = np.mgrid[: part.shape[0], : part.shape[1]]
        first = (max(x1, 0), max(y1, 0))
        found.append([(at * weight).sum() / weight.sum() + start + 0.5 for at, start in zip((x, y), first)])
    return np.array(found)


def assert_on_their_marks(results, index=0, order=(0, 1, 2), atol=0.6):
    box = results['gt_bboxes'].tensor[index].tolist()
    points = results['gt_keypoints'].keypoints[index].numpy()
    np.testing.assert_allclose(points, centres_of(results['img'], box, order), atol=atol)


def test_structure():
    keypoints = Keypoints(np.array([[[1.0, 2], [3, 4]]]), np.array([[2, 0]]), flip_indices=[1, 0])
    assert len(keypoints) == 1 and keypoints.num_keypoints.tolist() == [1]
    copy = keypoints.clone()
    copy.translate_((1, -1))
    copy.rescale_((2, 10))
    assert copy.keypoints.tolist() == [[[4, 10], [8, 30]]] and keypoints.keypoints[0, 0].tolist() == [1, 2]
    copy.flip_((40, 20))
    assert copy.keypoints.tolist() == [[[12, 30], [16, 10]]] and copy.keypoints_visible.tolist() == [[0, 2]]
    copy.project_(np.array([[0, 1, 0], [1, 0, 5], [0, 0, 0.5]]))
    assert copy.keypoints.tolist() == [[[60, 34], [20, 42]]]
    copy.clip_((45, 50))
    assert copy.keypoints_visible.tolist() == [[0, 2]] and copy.keypoints[0, 0].tolist() == [60, 34]
    both = Keypoints.cat((keypoints, copy))
    assert len(both) == 2 and both.flip_indices == [1, 0]
    assert len(both[np.array([False, True])]) == 1 and torch.equal(both[1].keypoints, copy.keypoints)
    assert both[:0].num_keypoints.tolist() == [] and both.to('cpu').device.type == 'cpu'


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda one: one.flip_((4, 4), 'vertical'), "'horizontal' only"),
        (lambda one: Keypoints(one.keypoints, one.keypoints_visible).flip_((4, 4)), 'flip_indices'),
        (lambda one: Keypoints(one.keypoints, torch.ones(2, 3)), r'\(N, K, 2\)'),
        (lambda one: Keypoints.cat([]), 'at least one'),
    ],
)
def test_structure_names_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call(Keypoints(torch.zeros(1, 2, 2), torch.ones(1, 2), flip_indices=[1, 0]))


def test_the_marks_are_found():
    assert_on_their_marks(results_of(), atol=1e-3)


def test_resize():
    results = Resize(scale=(240, 200), keep_ratio=True).transform(results_of())
    assert results['img'].shape[:2] == (200, 240)
    assert_on_their_marks(results)
    # beyond the border they are invisible, as long as objects are clipped
    for clip, visible in ((True, [[1, 0, 1]]), (False, [[1, 1, 1]])):
        results = results_of()
        results['gt_keypoints'].keypoints[0, 1, 0] = 130
        results = Resize(scale=(60, 50), keep_ratio=True, clip_object_border=clip).transform(results)
        assert results['gt_keypoints'].keypoints_visible.tolist() == visible


def test_flip_swaps_left_and_right():
    results = RandomFlip(prob=1.0).transform(results_of())
    assert_on_their_marks(results, order=(1, 0, 2), atol=1e-3)


def test_random_affine():
    np.random.seed(1)
    results = RandomAffine(max_rotate_degree=10, scaling_ratio_range=(1.2, 1.4)).transform(results_of())
    assert len(results['gt_keypoints']) == 1
    assert_on_their_marks(results)
    results['gt_masks'] = None
    with pytest.raises(NotImplementedError, match='YOLOv5RandomAffine'):
        RandomAffine().transform(results)


def test_random_affine_equals_mmdets_for_boxes_and_drops_what_leaves_the_image():
    from mmyolo.registry import TRANSFORMS

    settings = {'scaling_ratio_range': (0.1, 2), 'max_translate_ratio': 0.8, 'border': (-20, -10)}
    mmdets = TRANSFORMS.build(dict(settings, type='mmdet.RandomAffine'))
    ours = RandomAffine(**settings)
    dropped = 0
    for seed in range(12):
        np.random.seed(seed)
        theirs = results_of()
        del theirs['gt_keypoints']
        theirs = mmdets(theirs)
        np.random.seed(seed)
        results = ours(results_of())
        assert np.array_equal(results['img'], theirs['img']) and results['img_shape'] == theirs['img_shape']
        torch.testing.assert_close(results['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor, rtol=1e-5, atol=1e-3)
        assert len(results['gt_keypoints']) == len(results['gt_bboxes']) == len(results['gt_bboxes_labels'])
        dropped += len(results['gt_bboxes']) == 0
    assert 0 < dropped < 12
    assert 'RandomAffine(' in repr(ours)


def test_mosaic():
    np.random.seed(4)
    results = results_of()
    results['mix_results'] = [results_of(100, 120), results_of(90, 60, (10, 20)), results_of(120, 120, (60, 50))]
    results = Mosaic(img_scale=(120, 120)).mix_img_transform(results)
    assert len(results['gt_keypoints']) == 4
    height, width = results['img_shape'][:2]
    checked = 0
    for index in range(len(results['gt_bboxes'].tensor)):
        points, visible = results['gt_keypoints'].keypoints[index], results['gt_keypoints'].keypoints_visible[index]
        inside = (points >= 0).all(1) & (points[:, 0] <= width) & (points[:, 1] <= height)
        assert torch.equal(visible > 0, inside)
        margin = ((points > 8).all(1) & (points[:, 0] < width - 8) & (points[:, 1] < height - 8)).all()
        if margin:
            assert_on_their_marks(results, index, atol=1.0)
            checked += 1
    assert checked >= 2


def test_mosaic_without_clipping_drops_keypoints_with_their_box():
    np.random.seed(0)
    results = results_of()
    results['mix_results'] = [results_of() for _ in range(3)]
    results['mix_results'][2]['gt_bboxes'].translate_((1000, 0))
    results = Mosaic(img_scale=(120, 120), bbox_clip_border=False).mix_img_transform(results)
    assert len(results['gt_keypoints']) == len(results['gt_bboxes']) == 3


@pytest.mark.parametrize('flip_ratio, order', [(1.0, (0, 1, 2)), (0.0, (1, 0, 2))])
def test_mixup(flip_ratio, order):
    np.random.seed(0)
    results = results_of(120, 120, (5, 5))
    results['img'][:] = 0
    results['mix_results'] = [results_of(120, 120, (50, 60))]
    mixup = YOLOXMixUp(img_scale=(120, 120), ratio_range=(0.9, 1.1), flip_ratio=flip_ratio, pad_val=0.0)
    results = mixup.mix_img_transform(results)
    assert len(results['gt_keypoints']) == 2
    assert results['gt_keypoints'].keypoints_visible[1].tolist() == [1, 1, 1]
    assert_on_their_marks(results, 1, order, atol=1.2)


def test_filter():
    results = results_of()
    for key in ('gt_bboxes', 'gt_keypoints'):
        results[key] = results[key].cat([results[key].clone() for _ in range(3)])
    results['gt_bboxes_labels'], results['gt_ignore_flags'] = np.arange(3), np.zeros(3, dtype=bool)
    results['gt_keypoints'].keypoints_visible[1] = 0
    results['gt_bboxes'].tensor[2, 2] = results['gt_bboxes'].tensor[2, 0] + 0.5
    kept = FilterAnnotations(by_keypoints=True, keep_empty=False).transform(dict(results))
    assert kept['gt_bboxes_labels'].tolist() == [0] and len(kept['gt_keypoints']) == len(kept['gt_bboxes']) == 1
    kept = FilterAnnotations(keep_empty=False).transform(dict(results))
    assert kept['gt_bboxes_labels'].tolist() == [0, 1]
    results['gt_keypoints'].keypoints_visible[:] = 0
    assert FilterAnnotations(by_keypoints=True).transform(dict(results)) is None
    assert len(FilterAnnotations(by_keypoints=True, keep_empty=False).transform(dict(results))['gt_bboxes']) == 0
    assert 'by_keypoints=True' in repr(FilterAnnotations(by_keypoints=True))


def raw(count):
    return {
        'img_shape': (50, 60),
        'bbox': np.full((count, 4), 3.0),
        'category_id': [1] * count,
        'keypoints': np.ones((count, 3, 2)),
        'keypoints_visible': np.ones((count, 3)),
        'flip_indices': FLIP,
    }


@pytest.mark.parametrize('count', [0, 2])
def test_load_and_pack(count):
    results = LoadAnnotations(with_keypoints=True).transform(raw(count))
    assert (results['height'], results['width']) == (50, 60)
    assert results['gt_bboxes_labels'].tolist() == [0] * count
    assert results['gt_ignore_flags'].tolist() == [False] * count
    results['img'] = np.zeros((50, 60, 3), dtype=np.uint8)
    packed = PackDetInputs(meta_keys=('img_shape', 'flip_indices')).transform(results)
    instances = packed['data_samples'].gt_instances
    assert instances.keypoints.shape == (count, 3, 2) and instances.keypoints_visible.shape == (count, 3)
    assert isinstance(instances.keypoints, torch.Tensor) and instances.bboxes.tensor.shape == (count, 4)
