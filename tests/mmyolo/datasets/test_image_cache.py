import os
import signal

import numpy as np
import pytest

from mmyolo.datasets.image_cache import FILE_NAME, ImageCache, _open, available_memory, image_key, open_image_cache


@pytest.fixture
def open_log(tmp_path):

    def open_it(capacity=10_000):
        return ImageCache(os.open(tmp_path / FILE_NAME, os.O_RDWR | os.O_CREAT), capacity)

    return open_it


def image(value, height=10, width=8):
    return np.full((height, width, 3), value, np.uint8)


def key(number):
    return bytes([number]) * 16


def test_gives_back_what_was_put(open_log):
    cache = open_log()
    assert cache.get(key(1)) is None
    assert cache.put(key(1), image(7), (100, 80)) and cache.put(key(2), image(9, 3, 5), (3, 5))
    pixels, ori_shape = cache.get(key(1))
    assert (pixels == image(7)).all() and ori_shape == (100, 80)
    assert (cache.get(key(2))[0] == image(9, 3, 5)).all()
    assert len(cache) == 2


def test_two_openers_see_each_other(open_log):
    first, second = open_log(), open_log()
    first.put(key(1), image(7), (10, 8))
    assert (second.get(key(1))[0] == 7).all()
    second.put(key(2), image(8), (10, 8))
    second.put(key(1), image(99), (10, 8))  # there already: not stored twice
    assert (first.get(key(2))[0] == 8).all() and (first.get(key(1))[0] == 7).all()
    assert len(first) == len(second) == 2


def test_a_full_cache_rejects_and_a_larger_one_goes_on(open_log):
    small = open_log(capacity=16 + 32 + 240)
    assert small.put(key(1), image(1), (10, 8))
    assert not small.put(key(2), image(2), (10, 8))
    large = open_log(capacity=10_000)
    assert large.put(key(2), image(2), (10, 8)) and large.put(key(3), image(3), (10, 8))
    assert small.get(key(2)) is None and small.get(key(3)) is None and not small.put(key(4), image(4), (10, 8))
    assert [int(large.get(key(n))[0][0, 0, 0]) for n in (1, 2, 3)] == [1, 2, 3]


def test_a_record_of_a_killed_writer_does_not_count(open_log, monkeypatch):
    cache = open_log()
    cache.put(key(1), image(1), (10, 8))
    child = os.fork()
    if child == 0:
        write = os.pwrite

        def die_after_pixels(fd, data, offset):
            if offset == 0:  # the end of the log is about to move
                os.kill(os.getpid(), signal.SIGKILL)
            return write(fd, data, offset)

        os.pwrite = die_after_pixels
        cache.put(key(2), image(2), (10, 8))
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert cache.get(key(2)) is None
    assert cache.put(key(3), image(3), (10, 8))
    assert (cache.get(key(3))[0] == 3).all() and len(open_log()) == 2


def test_a_file_of_another_kind_is_overwritten(tmp_path, open_log):
    (tmp_path / FILE_NAME).write_bytes(b'something else, long enough to hold a header')
    cache = open_log()
    assert len(cache) == 0 and cache.put(key(1), image(1), (10, 8))


def test_a_full_disk_is_no_error(open_log, monkeypatch, caplog):
    cache = open_log()

    def full(*args):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'pwrite', full)
        assert not cache.put(key(1), image(1), (10, 8))
    assert not cache.put(key(1), image(1), (10, 8))
    assert cache.get(key(1)) is None


def test_memory_is_divided_between_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    assert open_image_cache(4096 * 4).capacity == 4096
    monkeypatch.setattr('mmyolo.datasets.image_cache.available_memory', lambda: 8192)
    assert open_image_cache(4096 * 5).capacity == 1024
    _open.cache_clear()


def test_key_follows_path_size_and_state(tmp_path):
    path = tmp_path / 'a'
    path.write_text('x')
    keys = [image_key(str(path), 100), image_key(str(path), 200)]
    path.write_text('longer')
    keys += [image_key(str(path), 100), image_key('s3://absent', 100)]
    assert len(set(keys)) == 4 and image_key(str(path), 100) == keys[2] and {len(key) for key in keys} == {16}


def test_available_memory_is_plausible():
    assert 2**20 < available_memory() < 2**50
