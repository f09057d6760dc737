import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomFlip as MMDETRandomFlip
from mmdet.datasets.transforms import YOLOXHSVRandomAug as MMDETYOLOXHSVRandomAug
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import PolygonMasks

from mmyolo.datasets.transforms import (
    RandomFlip,
    RemoveDataElement,
    YOLOv5CopyPaste,
    YOLOv5HSVRandomAug,
    YOLOv5RandomAffine,
)
from mmyolo.datasets.transforms.hsv import YOLOXHSVRandomAug
from tests.mmyolo.datasets.samples import add_masks, make_image, make_results


def test_hsv_matches_the_public_numbers():
    results = {'img': make_image(96, 128)}
    before = results['img'].copy()
    given = results['img']
    np.random.seed(4)
    image = YOLOv5HSVRandomAug()(results)['img']
    assert image[0, 0].tolist() == [0, 9, 19]
    assert image[5, 7].tolist() == [43, 53, 64]
    assert (given == before).all()


def test_hsv_of_yolox_draws_and_gives_what_mmdet_does():
    own, mmdet = YOLOXHSVRandomAug(saturation_delta=200), MMDETYOLOXHSVRandomAug(saturation_delta=200)
    for seed in range(12):
        image = np.random.RandomState(seed).randint(0, 256, (20, 30, 3), dtype=np.uint8)
        np.random.seed(seed)
        expected, following = mmdet({'img': image.copy()})['img'], np.random.uniform()
        np.random.seed(seed)
        assert np.array_equal(own({'img': image})['img'], expected)
        assert np.random.uniform() == following


def test_affine_matrix_matches_the_public_numbers():
    affine = YOLOv5RandomAffine()
    np.random.seed(7)
    matrix, scale = affine._get_random_homography_matrix(100, 200)
    np.testing.assert_allclose(
        matrix, [[1.2667572, 0.18316251, 119.11958], [-0.16885453, 1.268889, 50.769917], [0, 0, 1]], rtol=1e-6
    )
    assert scale == pytest.approx(1.2799188, rel=1e-6)
    assert matrix.dtype == np.float32

    affine = YOLOv5RandomAffine(max_rotate_degree=0.0, max_shear_degree=0.0)
    np.random.seed(5)
    matrix, _ = affine._get_random_homography_matrix(128, 128)
    np.testing.assert_allclose(matrix, [[1.3707323, 0, 63.703327], [0, 1.3707323, 66.86064], [0, 0, 1]], rtol=1e-6)


@pytest.mark.parametrize('kwargs', [{'max_rotate_degree': 0.0, 'max_shear_degree': 0.0}, {}])
def test_affine_image_equals_a_perspective_warp_but_for_rounding(kwargs):
    image = cv2.GaussianBlur(np.random.RandomState(0).randint(0, 256, (300, 400, 3), dtype=np.uint8), (5, 5), 0)
    affine = YOLOv5RandomAffine(border=(-100, -75), **kwargs)
    results = dict(make_results(0, size=(300, 400)), img=image)
    np.random.seed(1)
    matrix, _ = affine._get_random_homography_matrix(150, 200)
    centre = np.array([[1, 0, -200], [0, 1, -150], [0, 0, 1]], dtype=np.float32)
    expected = cv2.warpPerspective(image, matrix @ centre, (200, 150), borderValue=(114, 114, 114))
    np.random.seed(1)
    difference = np.abs(affine(results)['img'].astype(int) - expected)
    assert (difference > 0).mean() < 0.02 and (difference > 1).mean() < 1e-3


def test_affine_drops_small_thin_and_cut_boxes():
    affine = YOLOv5RandomAffine(min_area_ratio=0.1, max_aspect_ratio=20)
    before = [[0.0, 0, 10, 10], [0, 0, 2, 10], [0, 0, 40, 2.5], [0, 0, 60, 2.5], [0, 0, 50, 50]]
    after = [*before[:4], [0, 0, 12, 20]]
    before, after = (HorizontalBoxes(torch.tensor(boxes)) for boxes in (before, after))
    assert affine.filter_gt_bboxes(before, after).tolist() == [True, False, True, False, False]


def test_mask_refine_fits_boxes_to_the_polygons():
    # A triangle that fills half of its box: after a rotation its extent is smaller than that of the rotated box.
    triangle = np.array([20, 20, 80, 20, 20, 80], dtype=np.float32)
    affine = YOLOv5RandomAffine(45.0, 0.0, scaling_ratio_range=(1.0, 1.0), max_shear_degree=0.0)
    results = {
        'img': make_image(100, 100),
        'gt_bboxes': HorizontalBoxes(torch.tensor([[20.0, 20, 80, 80]])),
        'gt_bboxes_labels': np.array([3]),
        'gt_ignore_flags': np.zeros(1, bool),
        'gt_masks': PolygonMasks([[triangle]], 100, 100),
    }
    np.random.seed(0)
    matrix = affine._get_random_homography_matrix(100, 100)[0] @ np.array([[1, 0, -50], [0, 1, -50], [0, 0, 1]])
    np.random.seed(0)
    results = affine(results)
    corners = np.concatenate((triangle.reshape(3, 2), np.ones((3, 1))), axis=1) @ matrix.T
    expected = [*corners[:, :2].min(axis=0), *corners[:, :2].max(axis=0)]
    np.testing.assert_allclose(results['gt_bboxes'].numpy()[0], expected, atol=0.1)
    np.testing.assert_allclose(results['gt_masks'].get_bboxes(dst_type='hbox').numpy()[0], expected, atol=0.1)
    assert results['gt_masks'].masks[0][0].shape == (2000,)


def test_mask_refine_clips_to_height_and_width_and_drops_what_left():
    affine = YOLOv5RandomAffine(0.0, 0.0, scaling_ratio_range=(2.0, 2.0), max_shear_degree=0.0, min_area_ratio=0.01)
    results = add_masks(make_results(0, size=(60, 200)))
    results['gt_bboxes'] = HorizontalBoxes(torch.tensor([[80.0, 20, 190, 58], [0, 0, 20, 10]]))
    results = affine(add_masks(results))
    assert results['gt_bboxes_labels'].tolist() == [0]
    # Scaled about the centre (100, 30): x to 60, y to 10; points beyond the right and the lower edge do not count.
    np.testing.assert_allclose(results['gt_bboxes'].numpy()[0], [60, 10, 200, 60], atol=1.0)
    polygon = results['gt_masks'].masks[0][0].reshape(-1, 2)
    assert polygon.max(axis=0).tolist() == [200, 60]
    assert (results['gt_masks'].height, results['gt_masks'].width) == (60, 200)


def test_affine_without_instances_keeps_an_empty_mask():
    results = add_masks(make_results(0))
    results['gt_masks'] = results['gt_masks'][[]]
    results['gt_bboxes'] = results['gt_bboxes'][:0]
    results = YOLOv5RandomAffine(border=(-10, -20))(results)
    assert len(results['gt_masks']) == 0
    assert (results['gt_masks'].height, results['gt_masks'].width) == results['img'].shape[:2] == (50, 100)


def test_copy_paste_mirrors_objects():
    image = make_image(40, 100)
    results = add_masks(make_results(0, size=(40, 100)))
    results['img'] = image.copy()
    given = results['img']
    results['gt_bboxes'] = HorizontalBoxes(torch.tensor([[5.0, 5, 25, 25], [60, 5, 80, 35]]))
    np.random.seed(0)
    results = YOLOv5CopyPaste(prob=1.0)(add_masks(results))
    # The mirror of the second box is 20..40 and covers a quarter of the first box; that of the first, 75..95, a sixth.
    assert sorted(results['gt_bboxes'].numpy()[2:].tolist()) == [[20, 5, 40, 35], [75, 5, 95, 25]]
    assert len(results['gt_masks']) == 4 and sorted(results['gt_bboxes_labels'].tolist()) == [0, 0, 1, 1]
    mirrored = image[:, ::-1]
    assert (results['img'][5:36, 20:41] == mirrored[5:36, 20:41]).all()
    assert (results['img'][:, 41:75] == image[:, 41:75]).all()
    assert (given == image).all()


def test_copy_paste_leaves_objects_in_the_middle():
    results = add_masks(make_results(0, size=(40, 100)))
    results['gt_bboxes'] = HorizontalBoxes(torch.tensor([[40.0, 5, 60, 25], [41, 5, 60, 25]]))
    assert len(YOLOv5CopyPaste(prob=1.0)(add_masks(results))['gt_bboxes']) == 2
    assert len(YOLOv5CopyPaste(prob=1.0)(make_results(0))['gt_bboxes']) == 2


@pytest.mark.parametrize(
    'direction, box',
    [('horizontal', [60, 12, 110, 70]), ('vertical', [10, 20, 60, 78]), ('diagonal', [60, 20, 110, 78])],
)
def test_flip(direction, box):
    results = make_results(0)
    axes = {'horizontal': (1,), 'vertical': (0,), 'diagonal': (0, 1)}[direction]
    expected = np.flip(results['img'], axes)
    results = RandomFlip(prob=1.0, direction=direction)(results)
    assert (results['img'] == expected).all() and results['img'].flags.c_contiguous
    assert results['gt_bboxes'].numpy()[0].tolist() == box
    assert results['flip'] is True and results['flip_direction'] == direction


def test_flip_draws_as_mmdet_does():
    def flips(transform):
        np.random.seed(3)
        return [transform(make_results(0))['flip'] for _ in range(8)]

    drawn = flips(RandomFlip(prob=0.5))
    assert drawn == flips(MMDETRandomFlip(prob=0.5)) and set(drawn) == {True, False}


def test_remove_data_element():
    assert RemoveDataElement('b')({'a': 1, 'b': 2}) == {'a': 1}
    assert RemoveDataElement(['a', 'c'])({'a': 1, 'b': 2}) == {'b': 2}
