"""Sizes from headers are those that OpenCV loads, for every kind of odd and damaged image that it can load."""

import os
import signal
import time

import cv2
import numpy as np
import pytest

from tests.damaged_images import KINDS, READABLE, UNREADABLE, can_be_read, png_of_size, write_damaged
from ymir_exc.dataset_convert import image_size
from ymir_exc.dataset_convert.image_header import ImageProblem, read_image_header
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


@pytest.mark.parametrize('crash', [lambda path: os.kill(os.getpid(), signal.SIGSEGV), lambda path: time.sleep(600)])
def test_a_decoder_that_crashes_or_hangs_costs_the_image(tmp_path, monkeypatch, crash):
    monkeypatch.setattr(image_size, '_decode', crash)
    monkeypatch.setattr(image_size, 'DECODE_SECONDS', 0.5)
    for name, kind in (('cut_half.jpg', 'truncated image'), ('animated.png', 'unreadable image')):
        (tmp_path / name).write_bytes(KINDS[name])
        with any_image_size(), pytest.raises(ImageProblem) as caught:
            read_image_header(str(tmp_path / name))
        assert caught.value.kind == kind


@pytest.mark.parametrize(
    'position, value',
    [(26, b'x'), (33, b'x'), (34, b'\xff'), (36, b'\xff'), (40, b'\xff\xff'), (44, b'\xff'), (46, b'\xff')],
)
def test_odd_exif_data_turns_an_image_as_opencv_does(tmp_path, position, value):
    data = bytearray(KINDS['turned_6.jpg'])
    assert data[24:30] == b'Exif\0\0'
    data[position : position + len(value)] = value
    (tmp_path / 'a.jpg').write_bytes(data)
    with any_image_size():
        header = read_image_header(str(tmp_path / 'a.jpg'))
    assert header[:2] == cv2.imdecode(np.frombuffer(bytes(data), np.uint8), cv2.IMREAD_COLOR).shape[1::-1]


def test_a_file_of_nothing_but_segments_is_given_up(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8' + b'\xff' * 200_000)
    (tmp_path / 'a.png').write_bytes(KINDS['plain.png'][:33] + (b'\0\0\0\0tEXt' + b'crc!') * 20_000)
    for name in ('a.jpg', 'a.png'):
        with any_image_size(), pytest.raises(ImageProblem, match='more than 10000'):
            read_image_header(str(tmp_path / name))
