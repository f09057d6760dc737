"""Masks of either kind move with their image: the extent of a transformed mask is the transformed box."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmyolo.registry import TRANSFORMS
from mmyolo.utils import register_all_modules
from tests.mmyolo.datasets.samples import ListDataset, make_image

register_all_modules()
SIZES = ((90, 120), (128, 96), (100, 100), (60, 140), (33, 77))
BOXES = (
    [(12, 8, 60, 50), (70, 20, 100, 80)],
    [(5, 5, 80, 100)],
    [],
    [(1, 1, 130, 58), (20, 30, 50, 40)],
    [(3, 4, 70, 30)],
)
MIXED = ('Mosaic', 'Mosaic9', 'YOLOXMixUp')


def load(index, kind, size=None, boxes=None):
    """An image with rectangles, loaded as a pipeline does."""
    height, width = size or SIZES[index]
    boxes = BOXES[index] if boxes is None else boxes
    instances = [
        {
            'bbox': list(box),
            'bbox_label': number,
            'ignore_flag': 0,
            'mask': [[box[0], box[1], box[2], box[1], box[2], box[3], box[0], box[3]]],
        }
        for number, box in enumerate(boxes)
    ]
    results = {
        'img': make_image(height, width, index),
        'img_shape': (height, width),
        'ori_shape': (height, width),
        'height': height,
        'width': width,
        'instances': instances,
    }
    annotations = {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': True}
    if kind == 'polygons':
        annotations = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}
    return TRANSFORMS.build(annotations)(results)


def fixed(results, height=64, width=96):
    """Makes an image of one size, for what mixes equal ones."""
    return TRANSFORMS.build({'type': 'mmdet.Resize', 'scale': (width, height), 'keep_ratio': False})(results)


def transforms(name):
    scale = (96, 64)
    return {
        'Mosaic': {'type': 'Mosaic', 'img_scale': scale},
        'Mosaic9': {'type': 'Mosaic9', 'img_scale': scale},
        'YOLOXMixUp': {'type': 'YOLOXMixUp', 'img_scale': scale, 'ratio_range': (0.6, 1.6)},
        'YOLOv5RandomAffine': {'type': 'YOLOv5RandomAffine', 'max_rotate_degree': 0.0, 'max_shear_degree': 0.0},
        'smaller': {
            'type': 'YOLOv5RandomAffine',
            'max_rotate_degree': 0.0,
            'max_shear_degree': 0.0,
            'border': (-20, -10),
        },
        'RandomFlip': {'type': 'RandomFlip', 'prob': 1.0},
        'vertical': {'type': 'RandomFlip', 'prob': 1.0, 'direction': 'vertical'},
        'Resize': {'type': 'Resize', 'scale': scale, 'keep_ratio': True},
        'stretched': {'type': 'Resize', 'scale': scale, 'keep_ratio': False},
        'YOLOv5KeepRatioResize': {'type': 'YOLOv5KeepRatioResize', 'scale': scale},
        'LetterResize': {'type': 'LetterResize', 'scale': scale, 'pad_val': {'img': 114}},
        'no scale up': {'type': 'LetterResize', 'scale': (300, 200), 'allow_scale_up': False},
        'mini pad': {'type': 'LetterResize', 'scale': scale, 'use_mini_pad': True},
        'stretch only': {'type': 'LetterResize', 'scale': scale, 'stretch_only': True},
        'PPYOLOERandomCrop': {'type': 'PPYOLOERandomCrop', 'allow_no_crop': False, 'thresholds': [0.1]},
        'RandomCrop': {'type': 'mmdet.RandomCrop', 'crop_size': (64, 64), 'allow_negative_crop': True},
        'boxes of masks': {'type': 'mmdet.RandomCrop', 'crop_size': (50, 60), 'allow_negative_crop': True}
        | {'recompute_bbox': True},
        'RandomResize': {'type': 'mmdet.RandomResize', 'scale': scale, 'ratio_range': (0.5, 2.0), 'keep_ratio': True}
        | {'resize_type': 'mmdet.Resize'},
        'Pad': {'type': 'mmdet.Pad', 'size': (150, 150)},
    }[name]


NAMES = (
    'Mosaic',
    'Mosaic9',
    'YOLOXMixUp',
    'YOLOv5RandomAffine',
    'smaller',
    'RandomFlip',
    'vertical',
    'Resize',
    'stretched',
    'YOLOv5KeepRatioResize',
    'LetterResize',
    'no scale up',
    'mini pad',
    'stretch only',
    'PPYOLOERandomCrop',
    'RandomCrop',
    'boxes of masks',
    'RandomResize',
    'Pad',
)


def run(name, kind, seed, first=0, **kwargs):
    transform = TRANSFORMS.build(dict(transforms(name), **kwargs))
    results = load(first, kind)
    if name in MIXED:
        results['dataset'] = ListDataset([lambda i=i: load(i, kind) for i in range(len(SIZES))])
    np.random.seed(seed)
    return transform(results)


def assert_masks_fit(results, kind, tolerance=1.01):
    masks, boxes = results['gt_masks'], results['gt_bboxes']
    assert type(masks) is (PolygonMasks if kind == 'polygons' else BitmapMasks)
    assert len(masks) == len(boxes) == len(results['gt_bboxes_labels']) == len(results['gt_ignore_flags'])
    height, width = results['img'].shape[:2]
    if kind == 'bitmaps':
        assert masks.masks.shape == (len(boxes), height, width) and (masks.height, masks.width) == (height, width)
        assert set(np.unique(masks.masks)) <= {0, 1} and masks.masks.dtype == np.uint8
    if len(masks) == 0:
        return
    extents, boxes = (one.tensor.clone() for one in (masks.get_bboxes('hbox'), boxes))
    for one in (extents, boxes):
        one[:, 0::2].clamp_(0, width)
        one[:, 1::2].clamp_(0, height)
    seen = (boxes[:, 2:] - boxes[:, :2]).amin(1) > 2
    assert (extents - boxes)[seen].abs().max() <= tolerance if seen.any() else True


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
@pytest.mark.parametrize('name', NAMES)
def test_masks_stay_on_their_boxes(name, kind):
    for seed in range(6):
        for first in range(5):
            assert_masks_fit(run(name, kind, seed, first), kind)


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
@pytest.mark.parametrize('name', MIXED + ('YOLOv5RandomAffine',))
def test_boxes_outside_are_dropped_with_their_masks(name, kind):
    for seed in range(6):
        assert_masks_fit(run(name, kind, seed, bbox_clip_border=False), kind, 1.5)


# Of a polygon whose outline is cut off, only the points in the image count, so 'smaller' may lose a visible object.
@pytest.mark.parametrize('name', [name for name in NAMES if name != 'smaller'])
def test_both_kinds_give_the_same_objects(name):
    for seed in range(4):
        polygons, bitmaps = (run(name, kind, seed) for kind in ('polygons', 'bitmaps'))
        assert np.array_equal(polygons['img'], bitmaps['img'])
        assert polygons['gt_bboxes_labels'].tolist() == bitmaps['gt_bboxes_labels'].tolist()
        torch.testing.assert_close(polygons['gt_bboxes'].tensor, bitmaps['gt_bboxes'].tensor, atol=1.01, rtol=0)


def test_turned_and_sheared():
    transform = TRANSFORMS.build({'type': 'YOLOv5RandomAffine', 'max_rotate_degree': 30.0, 'max_shear_degree': 10.0})
    for seed in range(6):
        np.random.seed(seed)
        results = transform(load(0, 'bitmaps'))
        assert_masks_fit(results, 'bitmaps')
        np.random.seed(seed)
        other = transform(load(0, 'polygons'))
        torch.testing.assert_close(results['gt_bboxes'].tensor, other['gt_bboxes'].tensor, atol=1.5, rtol=0)


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
@pytest.mark.parametrize('first, second', [(0, 3), (0, 2), (2, 0), (2, 2)])
def test_mixup_of_equal_images(kind, first, second):
    results = fixed(load(first, kind))
    results['dataset'] = ListDataset([lambda: fixed(load(second, kind))])
    results = TRANSFORMS.build({'type': 'YOLOv5MixUp'})(results)
    assert_masks_fit(results, kind)
    assert len(results['gt_masks']) == len(BOXES[first]) + len(BOXES[second])


def test_masks_of_two_kinds_are_not_mixed():
    for name in ('Mosaic', 'YOLOXMixUp'):
        results = load(0, 'polygons')
        results['dataset'] = ListDataset([lambda: load(1, 'bitmaps')])
        with pytest.raises(TypeError, match='BitmapMasks and PolygonMasks'):
            TRANSFORMS.build(transforms(name))(results)


def test_pixels_of_a_mosaic_of_bitmaps():
    """Every bit lies where its pixel lies: an image whose objects are bright."""

    def bright(index):
        results = load(index, 'bitmaps')
        image = np.zeros((*results['img'].shape[:2], 3), np.uint8)
        for mask in results['gt_masks'].masks:
            image[mask > 0] = 255
        return dict(results, img=image)

    transform = TRANSFORMS.build({'type': 'Mosaic', 'img_scale': (96, 64), 'pad_val': 0.0})
    for seed in range(5):
        np.random.seed(seed)
        results = bright(0)
        results['dataset'] = ListDataset([lambda i=i: bright(i) for i in range(len(SIZES))])
        results = transform(results)
        shown = results['gt_masks'].masks.any(0)
        apart = (results['img'][..., 0] > 127) != shown
        assert apart.mean() < 0.02  # at the borders, where one is interpolated and the other is not
        inner = results['img'][..., 0] == 255
        assert (inner & ~shown).mean() < 0.01


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
def test_a_whole_recipe(kind):
    annotations = [{'type': 'YOLOv5HSVRandomAug'}]
    mosaic = [
        {'type': 'Mosaic', 'img_scale': (96, 64)},
        {
            'type': 'YOLOv5RandomAffine',
            'max_rotate_degree': 0.0,
            'max_shear_degree': 0.0,
            'border': (-48, -32),
            'min_area_ratio': 0.01,
        },
    ]
    pipeline = [
        *mosaic,
        {'type': 'YOLOv5MixUp', 'prob': 1.0, 'pre_transform': mosaic},
        *annotations,
        {'type': 'RandomFlip', 'prob': 0.5},
    ]
    pipeline = [TRANSFORMS.build(one) for one in pipeline]
    for seed in range(5):
        np.random.seed(seed)
        results = load(seed, kind)
        results['dataset'] = ListDataset([lambda i=i: load(i, kind) for i in range(len(SIZES))])
        for transform in pipeline:
            results = transform(results)
        assert_masks_fit(results, kind)
        assert results['img'].shape == (64, 96, 3)
        results = TRANSFORMS.build({'type': 'FilterAnnotations', 'by_mask': True, 'keep_empty': False})(results)
        packed = TRANSFORMS.build({'type': 'PackDetInputs', 'meta_keys': ('img_shape',)})(results)
        instances = packed['data_samples'].gt_instances
        assert len(instances.masks) == len(instances.bboxes)


def test_padding_of_bitmaps():
    results = load(0, 'bitmaps')
    results = TRANSFORMS.build({'type': 'LetterResize', 'scale': (120, 120), 'pad_val': {'img': 114, 'mask': 1}})(
        results
    )
    masks = results['gt_masks'].masks
    assert masks[:, :15].all() and masks[:, 105:].all() and not masks[:, 15:20, :10].any()


def test_copy_paste_names_what_it_needs():
    with pytest.raises(AssertionError, match='poly2mask=False'):
        TRANSFORMS.build({'type': 'YOLOv5CopyPaste', 'prob': 1.0})(load(0, 'bitmaps'))


def test_no_boxes_at_all():
    for name in NAMES:
        for kind, masks in (('polygons', PolygonMasks([], 90, 120)), ('bitmaps', BitmapMasks([], 90, 120))):

            def empty():
                results = load(0, kind, boxes=[])
                return dict(results, gt_bboxes=HorizontalBoxes(torch.zeros(0, 4)), gt_masks=masks)

            results = empty()
            if name in MIXED:
                results['dataset'] = ListDataset([empty])
            assert len(TRANSFORMS.build(transforms(name))(results)['gt_masks']) == 0
