"""Pixels of a mosaic drawn straight to their places, against what public transforms and finer drawings give."""

import cv2
import numpy as np
import pytest

from mmyolo.datasets.transforms import Mosaic, YOLOv5RandomAffine
from mmyolo.datasets.transforms.draw_tiles import _inside, draw_tiles, flip_matrix
from mmyolo.datasets.transforms.drawing import Drawing
from mmyolo.datasets.transforms.masks import place
from mmyolo.datasets.transforms.resize_mosaic import REACH, TOLERANCE, _window, resize_mosaic, warp_mosaic
from mmyolo.datasets.transforms.tiles import Layout, resize_to

from .fast_data import AFFINE, SCALE, TURNED, photograph

SIZES = ((128, 60), (90, 96), (128, 96), (40, 96))  # width, height of images that fill a tile
FINER = 4


def drawn(seed, sizes=SIZES, affine=AFFINE, **kwargs):
    """Images, their layout and a warp."""
    np.random.seed(seed)
    images = [photograph(*size, number) for number, size in enumerate(sizes)]
    layout = Mosaic(SCALE).lay_out([image.shape[:2] for image in images])
    arguments = {key: value for key, value in {**affine, **kwargs}.items() if key != 'type'}
    return images, layout, YOLOv5RandomAffine(**arguments).draw(layout.shape)


def mosaic_of(images, layout):
    canvas = np.full((*layout.shape, 3), 114, np.uint8)
    for image, size, corner in zip(images, layout.sizes, layout.corners):
        place(canvas, resize_to(image, size), *corner)
    return canvas


def public(images, layout, warp):
    canvas = mosaic_of(images, layout)
    return cv2.warpAffine(canvas, warp.matrix[:2], dsize=warp.shape[::-1], borderValue=(114, 114, 114))


def difference(one, other):
    return np.abs(one.astype(float) - other).mean()


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('affine', [AFFINE, TURNED], ids=['upright', 'turned'])
def test_tiles_land_where_the_public_warp_puts_them(seed, affine):
    images, layout, warp = drawn(seed, affine=affine)
    image = draw_tiles(images, layout, warp.matrix, warp.shape, 114)
    expected = public(images, layout, warp)
    # Along the seams the public warp mixes both sides.
    assert difference(image, expected) < 1.5
    shifted = np.roll(expected, 1, axis=1)
    assert difference(image, expected) < 0.5 * difference(image, shifted)


@pytest.mark.parametrize('seed', range(12))
def test_a_whole_mosaic_is_resized_to_the_pixels_of_the_public_warp(seed):
    images, layout, warp = drawn(seed, scaling_ratio_range=(0.55, 1.5))
    image = resize_mosaic(images, layout, warp.matrix, warp.shape, 114)
    assert image is not None and image.shape == (96, 128, 3)
    assert difference(image, public(images, layout, warp)) < 0.6  # cv2 rounds places to 1/32 pixel


@pytest.mark.parametrize('seed', range(6))
def test_a_turned_mosaic_is_warped_to_the_pixels_of_the_public_warp(seed):
    images, layout, warp = drawn(seed, affine=TURNED, scaling_ratio_range=(0.6, 1.5))
    image = warp_mosaic(images, layout, warp.matrix, warp.shape, (114,) * 3)
    assert difference(image, public(images, layout, warp)) < 0.1  # but for rounding
    far = np.array([[1.0, 0.1, 999], [-0.1, 1, 999], [0, 0, 1]])
    assert (warp_mosaic(images, layout, far, (96, 128), (1, 2, 3)) == (1, 2, 3)).all()


@pytest.mark.parametrize('kwargs', [{'scaling_ratio_range': (0.2, 0.5)}, {'sizes': ((128, 96),) * 3 + ((60, 50),)}])
def test_what_has_to_be_resized_first_is_not_warped_as_a_whole(kwargs):
    images, layout, warp = drawn(0, affine=TURNED, **kwargs)
    assert warp_mosaic(images, layout, warp.matrix, warp.shape, (114,) * 3) is None


@pytest.mark.parametrize(
    'kwargs', [{'affine': TURNED}, {'scaling_ratio_range': (0.2, 0.5)}, {'sizes': ((128, 96),) * 3 + ((60, 50),)}]
)
def test_what_is_no_plain_resize_is_left(kwargs):
    images, layout, warp = drawn(0, **kwargs)
    assert resize_mosaic(images, layout, warp.matrix, warp.shape, 114) is None


def test_windows_cover_the_result_and_end_at_edges_of_pixels():
    generator = np.random.RandomState(0)
    found = 0
    for factor, shift in zip(generator.uniform(0.5, 1.5, 300), generator.uniform(-400, 100, 300)):
        window = _window(factor, shift, 640)
        if window is None:
            continue
        found += 1
        source, target = window
        assert target.start <= 0 and target.stop >= 640
        for edge, place_ in ((source.start, target.start), (source.stop, target.stop)):
            assert abs(factor * (edge - 0.5) + shift + 0.5 - place_) <= TOLERANCE + 1e-9
        assert source.stop - source.start <= 640 / factor + 2 * REACH + 2
    assert found > 280
    assert _window(1.0, 0.5, 640) is None  # every edge lies half a pixel beside


@pytest.mark.parametrize('shape', [(1, 1), (1, 400), (3, 4000)])
def test_a_pixel_that_fills_the_result_needs_no_more_memory_than_that(shape, monkeypatch):
    canvases = []
    resize = cv2.resize
    monkeypatch.setattr(
        cv2, 'resize', lambda image, size, **kwargs: canvases.append(size) or resize(image, size, **kwargs)
    )
    size = (int(640 * shape[0] / max(shape)) or 1, int(640 * shape[1] / max(shape)))
    for scale in (0.5, 1.0, 1.77):
        layout = Layout((640, 640), [1], [size], [(0, 0)])
        matrix = np.array([[scale, 0, 3.3], [0, scale, 7.7], [0, 0, 1]])
        image = Drawing([np.full((*shape, 3), 7, np.uint8)], layout, matrix, (640, 640), (1, 1, 1), (1, 1, 1)).draw()
        assert image.shape == (640, 640, 3) and image.min() >= 1 and image.max() <= 7
    assert all(max(size) < 640 + 2 * (REACH + 640) for size in canvases)


def test_pixels_from_within_are_those_whose_centres_are():
    generator = np.random.RandomState(0)
    column, row = np.meshgrid(np.arange(3, 40), np.arange(5, 33))
    for turn in (0, 90, 180, 270, *generator.uniform(0, 360, 20)):
        matrix = np.vstack([cv2.getRotationMatrix2D((16, 20), turn, generator.uniform(0.4, 2)), [0, 0, 1]])
        low, high = generator.uniform(0, 15, 2), generator.uniform(15, 40, 2)
        inverse = np.linalg.inv(matrix)
        x, y = (inverse[axis, 0] * column + inverse[axis, 1] * row + inverse[axis, 2] for axis in (0, 1))
        expected = (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1])
        assert np.array_equal(_inside(matrix, low, high, np.array([3, 5]), np.array([40, 33])), expected)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal', None])
def test_a_flip_within_the_matrix_flips_the_result(direction):
    images, layout, warp = drawn(3)
    plain = draw_tiles(images, layout, warp.matrix, warp.shape, 114)
    flipped = draw_tiles(images, layout, flip_matrix(direction, warp.shape) @ warp.matrix, warp.shape, 114)
    code = {'horizontal': 1, 'vertical': 0, 'diagonal': -1}
    assert difference(flipped, plain if direction is None else cv2.flip(plain, code[direction])) < 0.5


@pytest.mark.parametrize('seed', range(6))
def test_every_pixel_belongs_to_one_tile(seed):
    """Tiles of one value each: no gap between them and no value of two."""
    images, layout, warp = drawn(seed, sizes=((128, 96),) * 4, scaling_ratio_range=(0.6, 1.4))
    images = [np.full_like(image, 10 * (number + 1)) for number, image in enumerate(images)]
    image = draw_tiles(images, layout, warp.matrix, warp.shape, 200)
    assert set(np.unique(image)) <= {10, 20, 30, 40, 200}
    expected = cv2.warpAffine(
        mosaic_of(images, layout), warp.matrix[:2], warp.shape[::-1], flags=cv2.INTER_NEAREST, borderValue=(114,) * 3
    )
    same = (image == np.where(expected == 114, 200, expected)).all(axis=2)
    assert same.mean() > 0.97  # all but one pixel along the edges


def test_strong_shrinking_does_not_alias():
    """A fine chequerboard is grey from far away; bilinear sampling of it is not."""
    chequers = np.indices((96, 128)).sum(axis=0) % 2 * 255
    images = [np.repeat(chequers[..., None], 3, axis=2).astype(np.uint8)] * 4
    _, layout, warp = drawn(0, sizes=((128, 96),) * 4, scaling_ratio_range=(0.3, 0.3))
    image = draw_tiles(images, layout, warp.matrix, warp.shape, 127)
    assert image.std() < 0.5 * public(images, layout, warp).std()


@pytest.mark.parametrize('sizes', [SIZES, ((250, 190), (60, 90), (128, 96), (300, 300))], ids=['whole', 'resized'])
def test_no_farther_from_a_finer_drawing_than_the_public_transforms(sizes):
    """The reference is drawn at 4 times the size from the images as they are, cubic, and averaged.

    Where tiles meet, the public transforms mix both; here a pixel is of one of them, which is the tenth allowed.
    """
    errors = []
    for seed in range(5):
        images, layout, warp = drawn(seed, sizes=sizes)
        finer = np.diag([FINER, FINER, 1.0])
        finer[:2, 2] = (FINER - 1) / 2
        shape = tuple(side * FINER for side in warp.shape)
        canvas = np.full((*shape, 3), 114, np.uint8)
        inverse = np.linalg.inv(finer @ warp.matrix)
        column, row = np.arange(shape[1])[None], np.arange(shape[0])[:, None]
        x = inverse[0, 0] * column + inverse[0, 2] + 0 * row
        y = inverse[1, 1] * row + inverse[1, 2] + 0 * column
        for image, size, corner in zip(images, layout.sizes, layout.corners):
            inside = (x >= max(corner[0], 0) - 0.5) & (x < min(corner[0] + size[1], layout.shape[1]) - 0.5)
            inside &= (y >= max(corner[1], 0) - 0.5) & (y < min(corner[1] + size[0], layout.shape[0]) - 0.5)
            source_x = (x - corner[0] + 0.5) * image.shape[1] / size[1] - 0.5
            source_y = (y - corner[1] + 0.5) * image.shape[0] / size[0] - 0.5
            part = cv2.remap(
                image, source_x.astype('f4'), source_y.astype('f4'), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            canvas[inside] = part[inside]
        reference = cv2.resize(canvas, warp.shape[::-1], interpolation=cv2.INTER_AREA)
        fast = resize_mosaic(images, layout, warp.matrix, warp.shape, 114)
        if fast is None:
            fast = draw_tiles(images, layout, warp.matrix, warp.shape, 114)
        errors.append((difference(fast, reference), difference(public(images, layout, warp), reference)))
    fast_error, public_error = np.mean(errors, axis=0)
    assert fast_error <= 1.1 * public_error
