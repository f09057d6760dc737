import cv2
import numpy as np
import pytest

from mmyolo.datasets.transforms import FastImage, image_loader
from mmyolo.datasets.transforms.draw_tiles import paint_outside
from mmyolo.datasets.transforms.letterbox import pixel_of
from mmyolo.errors import ConfigConflictError

from .fast_data import (
    AFFINE,
    FLIP,
    HSV,
    LOAD,
    PACK,
    RANDOM_CROP,
    RANDOM_RESIZE,
    SCALE,
    TURNED,
    YOLOX_HSV,
    compare,
    loading,
    make_dataset,
    write_data,
)

KEEP_RATIO = {'type': 'YOLOv5KeepRatioResize', 'scale': SCALE}
LETTER = {'type': 'LetterResize', 'scale': SCALE, 'pad_val': {'img': 114}}
WHOLE = dict(AFFINE, border=(0, 0))
RESIZE = {'type': 'Resize', 'scale': SCALE, 'keep_ratio': True}
SQUARE = {'type': 'mmdet.Pad', 'pad_to_square': True, 'pad_val': {'img': (114.0, 114.0, 114.0)}}
PAD = {'type': 'mmdet.Pad', 'size': SCALE, 'pad_val': {'img': (114, 114, 114)}}
# What moves the image, the colour jitter, and what stands behind the flip.
RECIPES = {
    'yolov6': ([KEEP_RATIO, LETTER, WHOLE], HSV, []),
    # A lone float is the value of the first channel, so the padding is blue and the border grey.
    'yolov8': ([KEEP_RATIO, dict(LETTER, pad_val={'img': 114.0}), WHOLE], HSV, []),
    'letterbox alone': ([dict(LETTER, allow_scale_up=False)], HSV, []),
    'stretched': ([{'type': 'Resize', 'scale': SCALE, 'keep_ratio': False}, WHOLE], HSV, []),
    'turned': ([KEEP_RATIO, dict(LETTER, pad_val=[30, 60, 90]), dict(TURNED, border=(0, 0))], HSV, []),
    'small': ([KEEP_RATIO, LETTER, dict(WHOLE, scaling_ratio_range=(0.1, 0.5))], HSV, []),
    'yolox': ([RESIZE, SQUARE], YOLOX_HSV, []),
    'rtmdet': ([RANDOM_RESIZE, RANDOM_CROP], YOLOX_HSV, [PAD]),
    'rtmdet, small': ([dict(RANDOM_RESIZE, ratio_range=(0.1, 0.5)), RANDOM_CROP], YOLOX_HSV, [PAD]),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('photographs'))


def both(data, steps, hsv, later):
    """A data set by the public transforms, and the same by FastImage."""
    fast = {'type': 'FastImage', 'pre_transform': loading(), 'steps': steps, 'hsv': hsv, 'flip': FLIP}
    return (make_dataset(data, [*LOAD, *steps, hsv, FLIP, *later, PACK]), make_dataset(data, [fast, *later, PACK]))


@pytest.mark.parametrize('recipe', RECIPES.values(), ids=RECIPES)
def test_the_same_random_numbers_give_boxes_and_pixels_of_the_public_transforms(data, recipe):
    """Photographs interpolated by area and bilinearly differ by about 1 grey level."""
    differences, boxes = compare(*both(data, *recipe))
    assert boxes > 15
    assert np.mean(differences) < 1.5 and max(differences) < 5


def test_where_nothing_is_interpolated_the_pixels_are_those_of_the_public_transforms(tmp_path):
    """Images that fill the letterbox and a warp that only moves by whole pixels: also flipped and coloured."""
    path = write_data(tmp_path, sizes=(SCALE,))
    still = dict(WHOLE, scaling_ratio_range=(1.0, 1.0), max_translate_ratio=0.0)
    differences, _ = compare(*both(path, [KEEP_RATIO, LETTER, still], HSV, []))
    assert not differences.any()


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(data, monkeypatch):
    flags = []
    decode = image_loader.decode_image
    monkeypatch.setattr(image_loader, 'decode_image', lambda *args: flags.append(args[2]) or decode(*args))
    both(data, *RECIPES['yolov8'])[1][3]  # 512 x 384 pixels
    assert flags == [cv2.IMREAD_REDUCED_COLOR_4]


def test_no_boxes_in_the_crop_ask_for_another_image(data):
    """The first image has no boxes at all."""
    transform = FastImage(loading(), [RANDOM_RESIZE, RANDOM_CROP])
    assert transform(make_dataset(data, []).get_data_info(0)) is None
    kept = FastImage(loading(), [RANDOM_RESIZE, dict(RANDOM_CROP, allow_negative_crop=True)])
    assert kept(make_dataset(data, []).get_data_info(0))['img'].shape[2] == 3


@pytest.mark.parametrize('degrees', [0, 20])
def test_what_lies_beyond_the_canvas_gets_the_colour_of_the_border(degrees):
    turn = cv2.getRotationMatrix2D((20, 15), degrees, 0.6)
    matrix = np.vstack([turn, [0, 0, 1]])
    canvas = np.full((30, 40, 3), 7, np.uint8)
    paint_outside(canvas, (30, 40), matrix, (1, 2, 3))
    seen = cv2.warpAffine(np.ones((30, 40), np.uint8), turn, (40, 30), flags=cv2.INTER_NEAREST) == 1
    assert ((canvas == 7).all(axis=2) == seen).mean() > 0.97  # all but one pixel along the edges
    assert ((canvas == 7).all(axis=2) | (canvas == (1, 2, 3)).all(axis=2)).all()


def test_colours_are_those_that_opencv_makes_of_numbers():
    assert pixel_of(114) == (114, 0, 0)
    assert pixel_of([1, 2.0, 300]) == (1, 2, 255)


def test_other_transforms_are_an_error():
    with pytest.raises(ConfigConflictError, match='RandomFlip has no place'):
        FastImage(loading(), [KEEP_RATIO, FLIP])
