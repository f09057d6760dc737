from collections import Counter

import numpy as np
import pytest

from mmyolo.datasets.transforms import FastMosaic, image_loader

from .fast_data import (
    AFFINE,
    FLIP,
    HSV,
    LOAD,
    MOSAIC,
    MOSAIC9,
    PACK,
    RANDOM_CROP,
    RANDOM_RESIZE,
    SCALE,
    TURNED,
    YOLOX_AFFINE,
    YOLOX_HSV,
    compare,
    loading,
    make_dataset,
    sample,
    write_data,
)

MASKS = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('photographs'), masks=True)


def both(data, mosaics, probs=None, mixup=None, load=LOAD[1], tail=(HSV, FLIP), later=()):
    """A data set by the public transforms, and the same by FastMosaic."""
    pre = [LOAD[0], load]
    kinds = [[dict(steps[0], pre_transform=pre), *steps[1:]] for steps in mosaics]
    middle = kinds[0] if len(kinds) == 1 else [{'type': 'RandomChoice', 'transforms': kinds, 'prob': probs}]
    scaled = mixup is not None and mixup['type'] == 'YOLOXMixUp'
    blend = [] if mixup is None else [dict(mixup, pre_transform=pre if scaled else [*pre, *middle])]
    fast = {
        'type': 'FastMosaic',
        'pre_transform': loading(annotations=load),
        'mosaics': mosaics,
        'probs': probs,
        'mixup': mixup,
        'hsv': tail[0] if len(tail) > 1 else None,
        'flip': tail[-1],
        'buffer_images': 0,
    }
    return make_dataset(data, [*pre, *middle, *blend, *tail, *later, PACK]), make_dataset(data, [fast, *later, PACK])


MIXUP = {'type': 'YOLOv5MixUp', 'prob': 0.5, 'alpha': 8.0, 'beta': 8.0}
YOLOX_MIXUP = {'type': 'YOLOXMixUp', 'img_scale': SCALE, 'ratio_range': (0.8, 1.6), 'prob': 0.8}
CACHED = [dict(MOSAIC, use_cached=True, max_cached_images=8), RANDOM_RESIZE, RANDOM_CROP]
PAD_IMAGE = {'type': 'mmdet.Pad', 'size': SCALE, 'pad_val': {'img': (114, 114, 114)}}
CACHED_MIXUP = {'type': 'YOLOv5MixUp', 'use_cached': True, 'max_cached_images': 6, 'prob': 0.5}
RECIPES = {
    'yolov5, yolov8': {'mosaics': [[MOSAIC, AFFINE]]},
    'with a second mosaic': {'mosaics': [[MOSAIC, dict(AFFINE, scaling_ratio_range=(0.1, 1.9))]], 'mixup': MIXUP},
    'yolov7': {'mosaics': [[MOSAIC, AFFINE], [MOSAIC9, AFFINE]], 'probs': [0.5, 0.5], 'mixup': MIXUP},
    'turned': {'mosaics': [[MOSAIC, TURNED]]},
    'yolox': {'mosaics': [[MOSAIC, YOLOX_AFFINE]], 'mixup': YOLOX_MIXUP, 'tail': (YOLOX_HSV, FLIP)},
    'rtmdet': {'mosaics': [CACHED], 'tail': (YOLOX_HSV, FLIP), 'later': [PAD_IMAGE, CACHED_MIXUP]},
    'colours of what is no image': {
        'mosaics': [[dict(MOSAIC, pad_val=[9, 60, 200]), dict(AFFINE, border_val=0, border=(0, 0))]]
    },
    'these, turned': {'mosaics': [[dict(MOSAIC, pad_val=50.0), dict(TURNED, border_val=(0, 1, 2), border=(0, 0))]]},
}


@pytest.mark.parametrize('recipe', RECIPES.values(), ids=RECIPES)
def test_the_same_random_numbers_give_boxes_and_pixels_of_the_public_transforms(data, recipe):
    """Photographs interpolated by area and bilinearly differ by about 1 grey level."""
    differences, boxes = compare(*both(data, **recipe))
    assert boxes > 40
    assert np.mean(differences) < 1.5 and max(differences) < 4


def test_the_same_random_numbers_give_the_masks_of_the_public_transforms(data):
    public, fast = both(data, [[MOSAIC, AFFINE]], load=MASKS)
    for seed in range(8):
        wanted, found = sample(public, seed, seed)[1], sample(fast, seed, seed)[1]
        masks, found_masks = (one.gt_instances.masks.masks for one in (wanted, found))
        assert len(masks) == len(found_masks)
        for mask, found_mask in zip(masks, found_masks):
            np.testing.assert_allclose(np.concatenate(found_mask), np.concatenate(mask), atol=1e-3)


def test_where_nothing_is_interpolated_the_pixels_are_those_of_the_public_transforms(tmp_path):
    """Images as large as a tile and a warp that only moves by whole pixels: also flipped, coloured and blended."""
    path = write_data(tmp_path, sizes=(SCALE,))
    still = dict(AFFINE, scaling_ratio_range=(1.0, 1.0), max_translate_ratio=0.0)
    public, fast = both(path, [[MOSAIC, still]], mixup=MIXUP)
    for seed in range(8):
        image, _, _ = sample(public, seed, seed)
        fast_image, _, _ = sample(fast, seed, seed)
        assert np.array_equal(image, fast_image)


def fast_config(**kwargs):
    return {'type': 'FastMosaic', 'pre_transform': loading(), 'mosaics': [[MOSAIC, AFFINE]], **kwargs}


def counting(monkeypatch):
    """Count how often each file is decoded."""
    decoded = Counter()
    decode = image_loader.decode_shrunk

    def count(data, max_size, path):
        decoded[path] += 1
        return decode(data, max_size, path)

    monkeypatch.setattr(image_loader, 'decode_shrunk', count)
    return decoded


def test_every_image_is_a_first_tile_once_an_epoch_and_decoded_about_once(tmp_path, monkeypatch):
    path = write_data(tmp_path, count=60, sizes=((64, 48),))
    dataset = make_dataset(path, [fast_config(buffer_images=10), PACK])
    np.random.seed(0)
    orders = [np.random.permutation(60) for _ in range(3)]
    seen = []
    for index in orders[0]:
        seen.append(dataset[int(index)]['data_samples'].img_path)
    assert len(set(seen)) == 60
    decoded = counting(monkeypatch)
    for order in orders[1:]:
        for index in order:
            dataset[int(index)]
    assert sum(decoded.values()) <= 120  # one for each sample, less those still there from the epoch before
    assert max(decoded.values()) <= 2


def test_further_images_are_as_frequent_as_from_the_whole_data_set(tmp_path):
    """How often each of 60 images is a further tile in 40 epochs, and which images meet."""
    path = write_data(tmp_path, count=60, sizes=((16, 12),))
    dataset = make_dataset(path, [])
    transform = FastMosaic(**{key: value for key, value in fast_config(buffer_images=15).items() if key != 'type'})
    np.random.seed(0)
    uses, meetings = Counter(), set()
    for epoch in range(40):
        for index in np.random.permutation(60):
            first = transform._load_first(dataset, dataset.get_data_info(int(index)))
            tiles = [tile['sample_idx'] for tile in transform._draw_images(dataset, transform.kinds[0].mosaic)]
            if epoch:
                uses.update(tiles)
                meetings.update((first['sample_idx'], other) for other in tiles)
    expected = 39 * 3
    assert sum(uses.values()) == 60 * expected
    deviation = np.std([uses[index] for index in range(60)])
    assert len(uses) == 60 and deviation < 2 * np.sqrt(expected)  # draws from the whole set: its square root
    # Of 60 * 60 ordered pairs, 7,020 draws from the whole set would give 86 %.
    assert len(meetings) > 0.75 * 60 * 60


def test_a_small_data_set_is_drawn_from_as_a_whole(data):
    whole = make_dataset(data, [fast_config(buffer_images=0), PACK])
    buffered = make_dataset(data, [fast_config(buffer_images=12), PACK])
    for seed in range(30):
        image, _, _ = sample(whole, seed % 12, seed)
        other, _, _ = sample(buffered, seed % 12, seed)
        assert np.array_equal(image, other)


def test_the_buffer_is_left_as_it_was_loaded(data):
    dataset = make_dataset(data, [fast_config(buffer_images=12, flip=FLIP, hsv=HSV), PACK])
    transform = dataset.pipeline.transforms[0]
    for seed in range(12):
        sample(dataset, seed, seed)
    kept = {key: transform.buffer.get(key) for key in transform.buffer.keys()}
    before = {key: (one['img'].copy(), one['gt_bboxes'].numpy().copy()) for key, one in kept.items()}
    for seed in range(24):
        sample(dataset, seed % 12, seed)
    for key, (image, boxes) in before.items():
        assert transform.buffer.get(key) is kept[key]
        assert np.array_equal(kept[key]['img'], image) and np.array_equal(kept[key]['gt_bboxes'].numpy(), boxes)


def test_the_buffer_is_bounded_in_bytes(data):
    dataset = make_dataset(data, [fast_config(buffer_images=12, buffer_bytes=100_000), PACK])
    transform = dataset.pipeline.transforms[0]
    for index in range(12):
        dataset[index]
        assert sum(transform.buffer.get(key)['img'].nbytes for key in transform.buffer.keys()) <= 100_000
    assert 1 <= len(transform.buffer) < 12 and transform.buffer.full


def test_unreadable_images_are_skipped(tmp_path):
    path = write_data(tmp_path, count=6)
    (tmp_path / '2.jpg').write_bytes(b'no image')
    dataset = make_dataset(path, [fast_config(), PACK])
    np.random.seed(0)
    paths = {dataset[index]['data_samples'].img_path for index in range(6) for _ in range(3)}
    assert str(tmp_path / '2.jpg') not in paths and len(paths) == 5


def test_a_border_that_leaves_no_pixel_asks_for_another_image(data):
    narrow = dict(AFFINE, border=(-SCALE[0], -SCALE[1]))
    transform = FastMosaic(loading(), [[MOSAIC, narrow]])
    dataset = make_dataset(data, [])
    with pytest.warns(UserWarning, match='leaves 0x0 of it'):
        assert transform({**dataset.get_data_info(0), 'dataset': dataset}) is None


def test_the_cache_of_a_mosaic_keeps_what_was_loaded(data):
    """As public Mosaic does with `use_cached`, but without copies of the pixels."""
    dataset = make_dataset(data, [fast_config(mosaics=[CACHED], buffer_images=0), PACK])
    (geometry,) = dataset.pipeline.transforms[0].kinds
    for seed in range(8):
        sample(dataset, seed % 12, seed)
    kept = geometry.mosaic.results_cache
    before = [(one['sample_idx'], one['img'].copy(), one['gt_bboxes'].numpy().copy()) for one in kept[-3:]]
    for seed in range(5):
        sample(dataset, seed, seed)
    after = {one['sample_idx']: one for one in kept}
    for index, image, boxes in before:
        if index in after:
            assert np.array_equal(after[index]['img'], image)
            assert np.array_equal(after[index]['gt_bboxes'].numpy(), boxes)
    assert len(kept) == 8


def test_the_data_set_is_needed():
    with pytest.raises(AssertionError, match='YOLOv5'):
        FastMosaic(loading(), [[MOSAIC, AFFINE]])({'img_path': 'a.jpg'})
