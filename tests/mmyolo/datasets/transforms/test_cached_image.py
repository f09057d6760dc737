import multiprocessing

import cv2
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from mmyolo.datasets.transforms import LoadAnnotations, LoadCachedImage, LoadImageFromFile, image_loader
from mmyolo.datasets.transforms.image_loader import decode_shrunk
from mmyolo.datasets.transforms.tiles import fit_size, resize_to
from mmyolo.utils.image_cache import _open, open_image_cache

MEGABYTE = 1024**2


@pytest.fixture
def photo(tmp_path):
    """Writes a smooth image of the given (h, w) and gives its path."""

    def write(height, width, name='photo.jpg', **kwargs):
        coarse = np.random.RandomState(0).randint(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
        image.save(tmp_path / name, **kwargs)
        return str(tmp_path / name)

    return write


@pytest.fixture(autouse=True)
def cache_of_this_test():
    yield
    _open.cache_clear()


def load(path, max_size=100, **kwargs):
    return LoadCachedImage(max_size, **{'cache_bytes': MEGABYTE, **kwargs})({'img_path': path})


@pytest.mark.parametrize(
    'size, name, shape',
    [
        ((80, 60), 'small.jpg', (80, 60)),
        ((100, 80), 'exact.png', (100, 80)),
        ((150, 120), 'photo.png', (100, 80)),
        ((451, 300), 'quarter.jpg', (100, 66)),
        ((401, 901), 'eighth.jpg', (44, 100)),
        ((1000, 8), 'thin.jpg', (100, 1)),
    ],
)
def test_loads_what_loading_and_resizing_give(photo, size, name, shape):
    path = photo(*size, name)
    results = load(path)
    assert results['img'].shape == (*shape, 3) and results['img'].dtype == np.uint8
    assert results['img_shape'] == shape and results['ori_shape'] == size
    assert results['scale_factor'] == (shape[1] / size[1], shape[0] / size[0])

    expected = LoadImageFromFile()({'img_path': path})['img']
    if shape != size:
        by_area = max(size) >= 2 * max(shape)
        expected = cv2.resize(expected, shape[::-1], interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)
    difference = np.abs(results['img'].astype(int) - expected).mean()
    assert difference <= (1.5 if max(size) >= 200 else 0)  # a quarter is not quite the mean of 4 x 4 pixels


@pytest.mark.parametrize('size', [(160, 120), (150, 101), (198, 100), (100, 37), (101, 100)])
def test_has_the_size_and_pixels_of_a_tile_of_a_mosaic(photo, size):
    path = photo(*size)
    image = LoadImageFromFile()({'img_path': path})['img']
    results = load(path)
    assert np.array_equal(results['img'], resize_to(image, fit_size(size, (100, 100))[0]))


@pytest.mark.parametrize('size', [(600, 400), (604, 400), (401, 203)])
def test_shrinking_by_more_than_two_is_by_area(photo, size):
    path = photo(*size, 'large.png')
    image = LoadImageFromFile()({'img_path': path})['img']
    loaded = load(path)['img']
    expected = cv2.resize(image, loaded.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(loaded.astype(int) - expected).mean() < 0.5


@pytest.mark.parametrize('size', [(60, 80), (250, 300), (401, 850), (408, 848)])
@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_exif_turns_the_image_and_its_sizes(photo, size, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo(*size, exif=exif)
    plain = LoadImageFromFile()({'img_path': path})['img']
    assert plain.shape[:2] == (size if orientation == 3 else size[::-1])
    results = load(path)
    assert results['ori_shape'] == plain.shape[:2]
    expected = cv2.resize(plain, results['img_shape'][::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(results['img'].astype(int) - expected).mean() <= 1.5


def test_annotations_are_scaled_to_what_was_loaded(photo):
    polygon = [20, 40, 100, 40, 100, 200]
    results = {
        'img_path': photo(400, 200),
        'height': 400,
        'width': 200,
        'instances': [{'bbox': [20, 40, 100, 200], 'bbox_label': 0, 'ignore_flag': 0, 'mask': [polygon]}],
    }
    results = LoadAnnotations(with_bbox=True, with_mask=True)(results)
    results = LoadCachedImage(100, cache_bytes=MEGABYTE)(results)
    assert results['img_shape'] == (100, 50)
    assert results['gt_bboxes'].numpy().tolist() == [[5, 10, 25, 50]]
    assert results['gt_masks'].masks[0][0].tolist() == [5, 10, 25, 10, 25, 50]
    assert (results['gt_masks'].height, results['gt_masks'].width) == (100, 50)


def test_keypoints_are_scaled_to_what_was_loaded(photo):
    results = {
        'img_path': photo(400, 200),
        'bbox': [[20, 40, 100, 200]],
        'category_id': [1],
        'keypoints': [[[20, 40], [60, 80]]],
        'keypoints_visible': [[1, 1]],
        'flip_indices': [1, 0],
    }
    results = LoadAnnotations(with_keypoints=True)(results)
    results = LoadCachedImage(100, cache_bytes=MEGABYTE)(results)
    assert results['gt_keypoints'].keypoints.tolist() == [[[5, 10], [15, 20]]]
    assert results['gt_bboxes'].numpy().tolist() == [[5, 10, 25, 50]]


def test_the_wrong_order_is_rejected(photo):
    with pytest.raises(ValueError, match='LoadAnnotations before'):
        LoadCachedImage(100, MEGABYTE)({'img_path': photo(10, 10), 'instances': []})


def test_the_second_load_decodes_nothing(photo, monkeypatch):
    path = photo(300, 200)
    first = load(path)
    monkeypatch.setattr(image_loader, 'decode_shrunk', None)
    second = load(path)
    assert (first['img'] == second['img']).all()
    assert {key: first[key] for key in first if key != 'img'} == {key: second[key] for key in second if key != 'img'}
    for results in (first, second):
        with pytest.raises(ValueError, match='read-only'):
            results['img'][0] = 0


def test_sizes_do_not_mix(photo):
    path = photo(300, 200)
    assert [load(path, size)['img_shape'][0] for size in (100, 150, 100)] == [100, 150, 100]


@pytest.mark.parametrize('cache_bytes', [0, 100])
def test_without_room_every_load_decodes_the_same(photo, cache_bytes):
    path = photo(300, 200)
    images = [load(path, cache_bytes=cache_bytes)['img'] for _ in range(2)]
    assert (images[0] == images[1]).all()
    cache = open_image_cache(cache_bytes)
    assert cache is None if cache_bytes == 0 else cache.num_images == 0


def test_forked_processes_share_the_memory(photo):
    paths = [photo(200 + i, 150, f'{i}.jpg') for i in range(4)]
    transform = LoadCachedImage(100, cache_bytes=3 * MEGABYTE)
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=lambda p=p: transform({'img_path': p})) for p in paths[:3]]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    cache = open_image_cache(3 * MEGABYTE)
    assert cache.num_images == 3
    for path in paths[:3]:
        expected = decode_shrunk(open(path, 'rb').read(), 100, path)[0]
        assert (transform({'img_path': path})['img'] == expected).all()


@pytest.mark.parametrize('content', [b'', b'not an image', b'\xff\xd8\xff\xe0 truncated'])
def test_an_unreadable_image_is_named(tmp_path, content):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    with pytest.raises(UnidentifiedImageError, match='broken.jpg'):
        load(str(path))


def test_max_size_is_positive():
    with pytest.raises(ValueError, match='max_size'):
        LoadCachedImage(0)
