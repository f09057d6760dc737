"""Sizes from headers are those that OpenCV loads, for every kind of odd and damaged image that it can load."""

import cv2
import numpy as np
import pytest

from tests.damaged_images import KINDS, READABLE, UNREADABLE, can_be_read, png_of_size, write_damaged
from ymir_exc.dataset_convert.image_size import any_image_size, read_image_size


def test_what_opencv_loads_has_the_size_that_it_loads(tmp_path):
    names = write_damaged(tmp_path)
    for name in names:
        path = tmp_path / name
        if can_be_read(path):
            with any_image_size():
                loaded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
                assert read_image_size(str(path)) == loaded.shape[1::-1], name


@pytest.mark.parametrize('name', READABLE)
def test_common_images_can_be_read_here(tmp_path, name):
    (tmp_path / name).write_bytes(KINDS[name])
    assert can_be_read(tmp_path / name)


@pytest.mark.parametrize('name', sorted({*UNREADABLE} - {'cut_half.png', 'icon.png'}))
def test_what_no_build_can_load_is_rejected_by_its_header(tmp_path, name):
    (tmp_path / name).write_bytes(KINDS[name])
    assert not can_be_read(tmp_path / name)
    with any_image_size(), pytest.raises(OSError, match='the image (cannot be read|has no pixels|is too large)'):
        read_image_size(str(tmp_path / name))


@pytest.mark.parametrize(
    'width, height, fits',
    [
        (14000, 13000, True),
        (1 << 20, 1024, True),
        (1 << 20, 1025, False),
        ((1 << 20) + 1, 1, False),
        (1, (1 << 20) + 1, False),
    ],
)
def test_the_limits_are_those_of_opencv(tmp_path, width, height, fits):
    path = tmp_path / 'a.png'
    path.write_bytes(png_of_size(width, height))
    with any_image_size():
        if fits:
            assert read_image_size(str(path)) == (width, height)
        else:
            with pytest.raises(OSError, match=f'too large to be loaded .{width} x {height}'):
                read_image_size(str(path))
