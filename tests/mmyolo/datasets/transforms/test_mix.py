import copy

import numpy as np
import pytest

from mmyolo.datasets.transforms import Mosaic, Mosaic9, YOLOv5MixUp, YOLOv5RandomAffine, YOLOXMixUp
from tests.mmyolo.datasets.samples import ListDataset, add_masks, make_results

SCALE = (128, 128)
MOSAIC_BOXES = [
    (16.667, 70.8, 70, 132.667),
    (11.333, 63.333, 38, 84.667),
    (145, 38, 194, 97),
    (139, 31, 164, 51),
    (21.36, 169.36, 82.8, 246.16),
    (12.4, 160.4, 44.4, 186),
    (145.886, 164.971, 188.857, 220.743),
    (138.571, 158.571, 161.429, 176.857),
]


def mosaic_results():
    return dict(make_results(0), mix_results=[make_results(i) for i in (1, 2, 3)])


def test_mosaic_matches_the_public_numbers():
    np.random.seed(3)
    results = Mosaic(SCALE).mix_img_transform(mosaic_results())
    assert results['img'].shape == results['img_shape'] == (256, 256, 3)
    assert results['img'].dtype == np.uint8
    assert results['img'].mean() == pytest.approx(121.35, abs=0.01)
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), MOSAIC_BOXES, atol=1e-3)
    assert results['gt_bboxes_labels'].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert results['gt_ignore_flags'].tolist() == [False] * 8


def test_affine_after_mosaic_matches_the_public_numbers():
    np.random.seed(3)
    results = Mosaic(SCALE).mix_img_transform(mosaic_results())
    np.random.seed(5)
    affine = YOLOv5RandomAffine(max_rotate_degree=0.0, max_shear_degree=0.0, border=(-64, -64))
    results = affine(results)
    assert results['img'].shape == results['img_shape'] == (128, 128, 3)
    np.testing.assert_allclose(
        results['gt_bboxes'].numpy(), [(87.006, 0, 128, 24.368), (78.194, 108.766, 109.525, 128)], atol=1e-3
    )
    assert results['gt_bboxes_labels'].tolist() == [1, 4]


def test_mosaic_moves_masks_with_the_boxes():
    np.random.seed(3)
    results = add_masks(make_results(0))
    results['mix_results'] = [add_masks(make_results(i)) for i in (1, 2, 3)]
    scale = (128, 160)
    results = Mosaic(scale).mix_img_transform(results)
    assert (results['gt_masks'].height, results['gt_masks'].width) == (320, 256)
    extents = results['gt_masks'].get_bboxes(dst_type='hbox').numpy()
    np.testing.assert_allclose(extents, results['gt_bboxes'].numpy(), atol=1.0)  # polygons follow the rounded size
    assert extents[:, 3].max() > 256


def test_mosaic_drops_boxes_outside_without_clipping():
    np.random.seed(3)
    results = mosaic_results()
    results['gt_bboxes'].tensor[0] = -500
    results = Mosaic(SCALE, bbox_clip_border=False).mix_img_transform(results)
    assert results['gt_bboxes_labels'].tolist() == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize('centre', [(0.0, 0.0), (2.0, 2.0)])
def test_mosaic_with_the_centre_in_a_corner_is_one_image(centre):
    results = Mosaic(SCALE, center_ratio_range=centre).mix_img_transform(mosaic_results())
    assert results['img'].shape == (256, 256, 3) and len(results['gt_bboxes']) == 8


def test_mosaic9_matches_the_public_numbers():
    results = dict(make_results(0), mix_results=[make_results(k % 4) for k in range(1, 9)])
    np.random.seed(6)
    results = Mosaic9(SCALE).mix_img_transform(results)
    assert results['img'].shape == (256, 256, 3) and results['img'].flags.c_contiguous
    np.testing.assert_allclose(
        results['gt_bboxes'].numpy()[[0, 1, 2, 3, 5]],
        [
            (24.667, 98.8, 78, 160.667),
            (19.333, 91.333, 46, 112.667),
            (25, 0, 74, 29),
            (19, 0, 44, 0),
            (116.4, 0, 148.4, 0),
        ],
        atol=1e-3,
    )
    assert len(results['gt_bboxes']) == 18


def test_yolox_mixup_matches_the_public_numbers():
    results = make_results(0, size=(128, 128), mix_results=[make_results(1, size=(90, 120))])
    before = results['img'].copy()
    np.random.seed(2)
    results = YOLOXMixUp(SCALE, ratio_range=(0.8, 1.6)).mix_img_transform(results)
    np.testing.assert_allclose(
        results['gt_bboxes'].numpy()[2:], [(0, 3.705, 55.523, 76.002), (0, 0, 18.761, 19.635)], atol=1e-3
    )
    assert results['gt_bboxes_labels'].tolist() == [0, 1, 1, 2]
    assert results['img'].dtype == np.uint8 and (results['img'] <= before / 2 + 127.5).all()


def test_yolox_mixup_ignores_an_image_without_boxes():
    other = make_results(1)
    other['gt_bboxes'] = other['gt_bboxes'][:0]
    results = make_results(0, mix_results=[other])
    image = results['img']
    assert YOLOXMixUp(SCALE).mix_img_transform(results)['img'] is image


def test_yolov5_mixup_blends_and_joins():
    results = add_masks(make_results(0))
    other = add_masks(make_results(1, size=(90, 120)))
    image, other_image = results['img'], other['img']
    np.random.seed(0)
    ratio = np.random.beta(32, 32)
    np.random.seed(0)
    results = YOLOv5MixUp().mix_img_transform(dict(results, mix_results=[other]))
    assert (results['img'] == (image * ratio + other_image * (1 - ratio)).astype(np.uint8)).all()
    assert results['gt_bboxes'].numpy()[:, 0].tolist() == [10, 5, 11, 5]
    assert results['gt_bboxes_labels'].tolist() == [0, 1, 1, 2]
    assert len(results['gt_masks']) == len(results['gt_ignore_flags']) == 4
    with pytest.raises(AssertionError, match='one size'):
        YOLOv5MixUp().mix_img_transform(make_results(0, mix_results=[make_results(1)]))


def test_draws_come_in_the_documented_order():
    """Probability, three indexes, centre: the state of the generator afterwards tells."""
    dataset = ListDataset([lambda i=i: make_results(i) for i in range(4)])
    np.random.seed(11)
    np.random.uniform(0, 1)
    indexes = [np.random.randint(0, 4) for _ in range(3)]
    centre = [np.random.uniform(0.5, 1.5) for _ in range(2)]
    following = np.random.uniform()

    np.random.seed(11)
    mosaic = Mosaic(SCALE)
    results = mosaic(make_results(0, dataset=dataset))
    assert np.random.uniform() == following
    assert results['dataset'] is dataset and 'mix_results' not in results
    assert results['gt_bboxes_labels'].tolist() == [0, 1] + [label for i in indexes for label in (i, i + 1)]
    # The lower right corner of image 0, scaled to 128 x 96, is at the centre; its box is clipped to the canvas.
    np.testing.assert_allclose(
        results['gt_bboxes'].numpy()[0, 2:],
        [int(centre[0] * 128) - 64, int(centre[1] * 128) - 96 + 70 * 128 / 120],
        atol=1e-3,
    )


def test_prob_zero_leaves_the_results_alone():
    results = make_results(0, dataset=object())
    image = results['img']
    assert YOLOv5MixUp(prob=0.0)(results)['img'] is image


def test_mixing_needs_the_dataset():
    with pytest.raises(AssertionError, match='use_cached'):
        Mosaic(SCALE)(make_results(0))


def test_a_dropped_image_is_drawn_again():
    seen = []

    def drop_first_two(results):
        seen.append(results)
        return None if len(seen) <= 2 else results

    dataset = ListDataset([lambda: make_results(0)])
    results = YOLOv5MixUp(pre_transform=[drop_first_two])(make_results(0, dataset=dataset))
    assert len(seen) == 3 and len(results['gt_bboxes']) == 4
    assert all('dataset' in item or item is seen[-1] for item in seen)
    with pytest.raises(RuntimeError, match='in each of 15 draws'):
        YOLOv5MixUp(pre_transform=[lambda results: None])(make_results(0, dataset=dataset))


def test_cache_warms_up_keeps_the_dataset_and_stays_unchanged():
    mosaic = Mosaic(SCALE, use_cached=True, max_cached_images=5, random_pop=False)
    dataset = object()
    for count in range(1, 8):
        results = mosaic(make_results(count % 4, dataset=dataset))
        assert results['dataset'] is dataset
        assert len(results['gt_bboxes']) == (2 if count <= 4 else 8)
        assert len(mosaic.results_cache) == min(count, 5)
    for item in mosaic.results_cache:
        assert 'dataset' not in item
        assert item['gt_bboxes'].numpy()[1].tolist() == [5, 5, 30, 25]


def test_random_pop_never_drops_the_newest():
    np.random.seed(0)
    mixup = YOLOv5MixUp(use_cached=True, max_cached_images=5)
    for count in range(20):
        mixup(make_results(0, marker=count))
        assert mixup.results_cache[-1]['marker'] == count


@pytest.mark.parametrize(
    'make',
    [
        lambda: Mosaic([640, 640]),
        lambda: Mosaic(prob=1.5),
        lambda: Mosaic(use_cached=True, max_cached_images=3),
        lambda: Mosaic9(640),
        lambda: Mosaic9(use_cached=True, max_cached_images=8),
        lambda: YOLOv5MixUp(use_cached=True, max_cached_images=1),
        lambda: YOLOXMixUp(img_scale=[640, 640]),
    ],
)
def test_wrong_arguments_are_rejected(make):
    with pytest.raises(AssertionError):
        make()


def test_images_without_boxes_mix():
    empty = make_results(0)
    empty['gt_bboxes'] = empty['gt_bboxes'][:0]
    empty['gt_bboxes_labels'] = empty['gt_bboxes_labels'][:0]
    empty['gt_ignore_flags'] = empty['gt_ignore_flags'][:0]
    others = [copy.deepcopy(empty) for _ in range(3)]
    results = Mosaic(SCALE).mix_img_transform(dict(empty, mix_results=others))
    assert results['gt_bboxes'].numpy().shape == (0, 4)
    results = YOLOv5RandomAffine(border=(-64, -64))(results)
    assert results['gt_bboxes'].numpy().shape == (0, 4) and results['img'].shape == (128, 128, 3)


@pytest.mark.parametrize('use_cached', [True, False])
def test_a_mosaic_that_draws_more_images_and_chooses_among_them(use_cached):

    class Choosy(Mosaic):
        def get_indexes(self, dataset):
            return [index % len(dataset) for index in (0, 1, 2, 3, 0)]

        def mix_img_transform(self, results):
            assert len(results['mix_results']) == 5
            results['mix_results'] = results['mix_results'][1:4]
            return super().mix_img_transform(results)

    transform = Choosy(img_scale=(128, 128), use_cached=use_cached, random_pop=False)
    plain = Mosaic(img_scale=(128, 128))
    dataset = ListDataset([lambda index=index: make_results(index) for index in range(4)])
    for index in range(4) if use_cached else ():
        transform(make_results(index, dataset=dataset))
    np.random.seed(0)
    found = transform(make_results(0, dataset=dataset))
    results = make_results(0, mix_results=[make_results(index) for index in (1, 2, 3)])
    np.random.seed(0)
    np.random.uniform(0, 1)
    expected = plain.mix_img_transform(results)
    assert np.array_equal(found['img'], expected['img'])
    assert found['gt_bboxes_labels'].tolist() == expected['gt_bboxes_labels'].tolist()
