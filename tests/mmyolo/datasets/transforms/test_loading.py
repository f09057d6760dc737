import cv2
import numpy as np
import pytest
from PIL import UnidentifiedImageError

from mmyolo.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmyolo.datasets.transforms.polygons import fill_polygons, merge_polygons, resample_polygon


def instance(label, ignore=0, **kwargs):
    return dict(bbox=[label, 1, label + 10, 20], bbox_label=label, ignore_flag=ignore, **kwargs)


def test_ignored_instances_are_not_loaded():
    results = LoadAnnotations(with_bbox=True)({'instances': [instance(1), instance(2, ignore=1), instance(3)]})
    assert results['gt_bboxes'].numpy().tolist() == [[1, 1, 11, 20], [3, 1, 13, 20]]
    assert results['gt_bboxes'].numpy().dtype == np.float32
    assert results['gt_bboxes_labels'].tolist() == [1, 3] and results['gt_bboxes_labels'].dtype == np.int64
    assert results['gt_ignore_flags'].tolist() == [False, False]


@pytest.mark.parametrize('results', [{}, {'instances': []}, {'instances': [instance(1, ignore=1)]}])
def test_no_instances(results):
    results = LoadAnnotations(with_mask=True, mask2bbox=True)(dict(results, ori_shape=(8, 9)))
    assert results['gt_bboxes'].numpy().shape == (0, 4)
    assert len(results['gt_bboxes_labels']) == len(results['gt_ignore_flags']) == len(results['gt_masks']) == 0
    plain = LoadAnnotations(box_type=None)({'instances': []})['gt_bboxes']
    assert plain.shape == (0, 4)


def test_boxes_from_polygons_and_invalid_polygons():
    square = [10, 10, 30, 10, 30, 25, 10, 25]
    results = {
        'ori_shape': (40, 50),
        'instances': [
            instance(0, mask=[square]),
            instance(1),  # no mask
            instance(2, mask=[[1, 2, 3, 4]]),  # two points
            instance(3, mask=[[1, 2, 3, 4, 5, 6, 7]]),  # odd
            instance(4, mask={'counts': 'x', 'size': [40, 50]}),  # run-length encoded
            instance(5, mask=[[1, 2], square]),
        ],
    }
    results = LoadAnnotations(with_bbox=True, with_mask=True, mask2bbox=True)(results)
    assert results['gt_bboxes'].numpy().tolist() == [[10, 10, 30, 25]] * 2
    assert results['gt_bboxes_labels'].tolist() == [0, 5]
    assert (results['gt_masks'].height, results['gt_masks'].width, len(results['gt_masks'])) == (40, 50, 2)


def test_masks_can_be_loaded_before_the_image():
    instances = [instance(0, mask=[[0, 0, 9, 0, 9, 9]])]
    results = LoadAnnotations(with_mask=True)({'height': 30, 'width': 40, 'instances': instances})
    assert (results['gt_masks'].height, results['gt_masks'].width) == (30, 40)


def test_bitmaps_are_rejected():
    with pytest.raises(AssertionError, match='poly2mask'):
        LoadAnnotations(with_mask=True, poly2mask=True)
    with pytest.raises(AssertionError, match='with_mask'):
        LoadAnnotations(mask2bbox=True)


def square(x, y, side=10):
    return np.array([x, y, x + side, y, x + side, y + side, x, y + side], dtype=np.float32)


@pytest.mark.parametrize(
    'parts',
    [
        [square(0, 0)],
        [square(0, 0), square(30, 5)],
        [square(0, 0), square(30, 5), square(60, 40)],
        [square(60, 40), square(0, 0)[::-1].reshape(-1, 2)[:, ::-1].reshape(-1), square(30, 5), square(0, 50)],
    ],
)
def test_merged_polygon_covers_its_parts(parts):
    """The bridges have no area, so by the shoelace formula and even-odd filling nothing but the parts is covered."""
    merged = merge_polygons(parts)
    mask = np.zeros((80, 90), np.uint8)
    cv2.fillPoly(mask, [merged.reshape(-1, 1, 2).astype(np.int32)], 1)
    expected = fill_polygons([parts], 80, 90)
    assert (mask >= expected).all()
    bridges = (mask > expected).sum()
    assert bridges <= 60 * (len(parts) - 1)  # one pixel wide
    points = set(map(tuple, merged.reshape(-1, 2).tolist()))
    assert points == {tuple(point) for part in parts for point in part.reshape(-1, 2).tolist()}


def test_resampling_closes_the_polygon_and_spreads_by_vertex():
    points = resample_polygon(np.array([0, 0, 8, 0, 8, 2], dtype=np.float32), 7)
    assert points.tolist() == [[0, 0], [4, 0], [8, 0], [8, 1], [8, 2], [4, 1], [0, 0]]


@pytest.mark.parametrize('content', [b'', b'not an image', b'\xff\xd8\xff\xe0 truncated'])
def test_an_unreadable_image_is_named(tmp_path, content):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    with pytest.raises(UnidentifiedImageError, match='broken.jpg.*not a readable image'):
        LoadImageFromFile()({'img_path': str(path)})
    with pytest.raises(FileNotFoundError, match='absent.jpg'):
        LoadImageFromFile()({'img_path': str(tmp_path / 'absent.jpg')})
