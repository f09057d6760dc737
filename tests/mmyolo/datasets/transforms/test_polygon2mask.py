"""Drawing polygons into training masks."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmyolo.datasets import yolov5_collate
from mmyolo.datasets.transforms import PackDetInputs, Polygon2Mask

SIZE = 32


def square(x1, y1, x2, y2):
    return [np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=np.float32)]


def results(*squares):
    boxes = np.array(squares, dtype=np.float32).reshape(-1, 4)
    return {
        'img': np.zeros((SIZE, SIZE, 3), np.uint8),
        'img_shape': (SIZE, SIZE, 3),
        'gt_masks': PolygonMasks([square(*box) for box in squares], SIZE, SIZE),
        'gt_bboxes': HorizontalBoxes(torch.from_numpy(boxes)),
        'gt_bboxes_labels': np.arange(len(squares)),
        'gt_ignore_flags': np.zeros(len(squares), bool),
    }


def test_smaller_objects_lie_on_top():
    small, large = (8, 8, 15, 15), (0, 0, 23, 23)
    out = Polygon2Mask().transform(results(small, large))
    assert 'gt_masks' not in out
    numbers = out['gt_panoptic_seg']
    expected = torch.zeros(1, 8, 8, dtype=torch.uint8)
    expected[0, :6, :6] = 1
    expected[0, 2:4, 2:4] = 2
    assert torch.equal(numbers, expected)
    # boxes and labels follow: the large one is number 1
    assert out['gt_bboxes'].tensor.tolist() == [list(large), list(small)]
    assert out['gt_bboxes_labels'].tolist() == [1, 0]


def test_maps_of_their_own():
    out = Polygon2Mask(mask_overlap=False).transform(results((8, 8, 15, 15), (0, 0, 23, 23)))
    assert out['gt_masks'].shape == (2, 8, 8)
    assert out['gt_masks'].flatten(1).sum(1).tolist() == [4, 36]
    assert out['gt_bboxes_labels'].tolist() == [0, 1]


def test_no_object():
    out = Polygon2Mask().transform(results())
    assert torch.equal(out['gt_panoptic_seg'], torch.zeros(1, 8, 8, dtype=torch.uint8))
    assert Polygon2Mask(mask_overlap=False).transform(results())['gt_masks'].shape == (0, 8, 8)


def test_more_objects_than_a_byte_counts():
    out = Polygon2Mask(downsample_ratio=1).transform(results(*[(0, 0, 31, 31)] * 299, (4, 4, 8, 8)))
    assert out['gt_panoptic_seg'].dtype == torch.int32
    assert out['gt_panoptic_seg'].unique().tolist() == [299, 300]


def test_parts_of_different_lengths():
    given = results((0, 0, 31, 31))
    parts = square(0, 0, 7, 7) + [np.array([16, 16, 31, 16, 31, 31], dtype=np.float32)]
    given['gt_masks'] = PolygonMasks([parts], SIZE, SIZE)
    mask = Polygon2Mask(downsample_ratio=1, mask_overlap=False).transform(given)['gt_masks'][0]
    assert mask[:8, :8].all() and mask[17, 30] and not mask[30, 17] and not mask[12, 12]


def test_bitmaps_are_rejected():
    given = dict(results(), gt_masks=BitmapMasks(np.zeros((0, SIZE, SIZE), np.uint8), SIZE, SIZE))
    with pytest.raises(TypeError, match='poly2mask=False'):
        Polygon2Mask().transform(given)


@pytest.mark.parametrize('overlap, shape', [(True, (3, 8, 8)), (False, (3, 8, 8))])
def test_batches_carry_the_masks(overlap, shape):
    pack = PackDetInputs(meta_keys=())
    transform = Polygon2Mask(mask_overlap=overlap)
    samples = [results((8, 8, 15, 15), (0, 0, 23, 23)), results(), results((0, 0, 23, 23))]
    batch = yolov5_collate([pack(transform(sample)) for sample in samples])['data_samples']
    assert batch['masks'].shape == shape
    assert batch['bboxes_labels'][:, 0].tolist() == [0, 0, 2]
    if overlap:
        assert batch['bboxes_labels'][:, 1].tolist() == [1, 0, 0]  # the large one first
        assert batch['masks'].flatten(1).amax(1).tolist() == [2, 0, 1]
    else:
        assert batch['masks'].flatten(1).sum(1).tolist() == [4, 36, 36]
