import gc
import os
import resource
import signal

import numpy as np
import pytest

from mmyolo.utils import image_cache
from mmyolo.utils.image_cache import ImageCache, _open, cache_size, image_key, open_image_cache

IMAGE_BYTES = 10 * 8 * 3


@pytest.fixture(params=['memory', 'disk'])
def make(request, tmp_path):
    def make_it(num_images=10, pixel_bytes=10_000):
        folder = tmp_path if request.param == 'disk' else None
        return ImageCache.create(cache_size(num_images, pixel_bytes), num_images, folder)

    yield make_it
    assert not list(tmp_path.iterdir())  # a file on a disk has no name


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr(image_cache, 'say', lambda text, level: messages.append(text))
    return messages


def image(value, height=10, width=8):
    return np.full((height, width, 3), value, np.uint8)


def key(number):
    return bytes([number]) * 16


def start(function):
    """Runs a function in a fork; it gives a number below 255."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(function())
        finally:
            os._exit(255)
    return child


def end_of(child):
    """What the function gave, or minus the signal that ended it."""
    status = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def test_gives_back_what_was_put(make):
    cache = make()
    assert cache.get(key(1)) is None
    cache.put(key(1), image(7), (100, 80))
    cache.put(key(2), image(9, 3, 5), (3, 5))
    pixels, ori_shape = cache.get(key(1))
    assert (pixels == image(7)).all() and ori_shape == (100, 80) and not pixels.flags.writeable
    assert (cache.get(key(2))[0] == image(9, 3, 5)).all()
    assert cache.num_images == 2


def test_keys_that_begin_alike_do_not_mix(make):
    cache = make()
    for number in range(10):
        cache.put(bytes(15) + bytes([number]), image(number), (10, 8))
    assert [int(cache.get(bytes(15) + bytes([number]))[0][0, 0, 0]) for number in range(10)] == list(range(10))
    assert cache.get(bytes(15) + b'x') is None


def test_other_processes_share_it(make):
    """One that has inherited nothing opens it by its path, as the ranks of a training do."""
    reading, writing = os.pipe()

    def open_and_add():
        os.close(writing)  # so that reading ends when this test fails before it writes
        other = ImageCache.open(os.read(reading, 100).decode())
        assert (other.get(key(1))[0] == 7).all()
        other.put(key(2), image(9), (5, 6))
        return 42

    child = start(open_and_add)
    cache = make()
    cache.put(key(1), image(7), (10, 8))
    os.write(writing, cache.path.encode())
    assert end_of(child) == 42
    pixels, ori_shape = cache.get(key(2))
    assert (pixels == 9).all() and ori_shape == (5, 6)


def test_two_openers_store_an_image_once(make):
    first = make()
    second = ImageCache.open(first.path)
    first.put(key(1), image(7), (10, 8))
    second.put(key(1), image(99), (10, 8))
    assert (second.get(key(1))[0] == 7).all() and first.num_images == 1
    assert first.used == second.used == cache_size(10, IMAGE_BYTES)


def test_it_is_gone_with_the_last_that_has_it(make):
    cache = make()
    path = cache.path
    other = ImageCache.open(path)
    other.put(key(1), image(1), (10, 8))
    del cache
    gc.collect()
    assert not os.path.exists(path) and (other.get(key(1))[0] == 1).all()


def test_a_full_cache_ends_with_one_sentence(make, said):
    cache = make(pixel_bytes=2 * IMAGE_BYTES)
    for number in range(5):
        cache.put(key(number), image(number), (10, 8))
    assert cache.num_images == 2 and cache.closed and cache.get(key(2)) is None
    assert said == ['The image cache ends at 2 images and 0 MB, as it is full: further images are decoded each time.']


def test_a_full_table_ends_it(make, said):
    cache = make(num_images=3)
    for number in range(5):
        cache.put(key(number), image(number), (10, 8))
    assert cache.num_images == 3 and cache.closed and len(said) == 1
    assert cache.get(key(4)) is None


@pytest.mark.parametrize('instant', ['the place is reserved', 'some pixels are written', 'all pixels are written'])
def test_a_killed_writer_leaves_it_whole(make, instant):
    cache = make()
    cache.put(key(1), image(1), (10, 8))

    def die():
        write = os.pwrite

        def die_at(fd, data, offset):
            if len(data) == IMAGE_BYTES:
                if instant != 'the place is reserved':
                    write(fd, data[: 100 if instant.startswith('some') else None], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return write(fd, data, offset)

        os.pwrite = die_at
        cache.put(key(2), image(2), (10, 8))
        return 0

    assert end_of(start(die)) == -signal.SIGKILL
    assert cache.get(key(2)) is None
    cache.put(key(3), image(3), (10, 8))
    assert (cache.get(key(3))[0] == 3).all() and (cache.get(key(1))[0] == 1).all()


def test_a_limit_of_file_sizes_ends_it(make, said):
    """As a full disk does: what is stored can be read, the rest is decoded, nobody is killed."""
    cache = make(pixel_bytes=10 * IMAGE_BYTES)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (cache_size(10, 3 * IMAGE_BYTES),) * 2)
        for number in range(6):
            cache.put(key(number), image(number), (10, 8))
        stored = [cache.get(key(number)) for number in range(6)]
        assert all((found[0] == number).all() for number, found in enumerate(stored[:3]))
        assert stored[3:] == [None] * 3 and cache.closed and len(said) == 1 and 'File too large' in said[0]
        return 42

    assert end_of(start(fill)) == 42
    assert cache.closed  # for all processes


def test_a_file_that_cannot_be_written_at_all_is_no_error_of_an_image(make, monkeypatch):
    cache = make()

    def fail(*arguments):
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(os, 'pwrite', fail)  # also what would end the cache
    cache.put(key(1), image(1), (10, 8))
    assert cache.get(key(1)) is None


def test_it_takes_no_more_than_what_is_left(make, said, monkeypatch):
    monkeypatch.setattr(image_cache, 'CHECK_EVERY', IMAGE_BYTES)
    cache = make(pixel_bytes=9 * IMAGE_BYTES)
    free = cache_size(10, 4 * IMAGE_BYTES)
    monkeypatch.setattr(image_cache, 'available_memory', lambda: free)
    status = type('Status', (), {'f_bavail': free, 'f_frsize': 1})
    monkeypatch.setattr(os, 'fstatvfs', lambda fd: status)
    for number in range(8):
        cache.put(key(number), image(number), (10, 8))
    assert cache.num_images == 4 and len(said) == 1 and 'only 0 MB of' in said[0]


def test_what_cannot_be_made_or_opened_is_no_cache(tmp_path, said):
    foreign = tmp_path / 'labels.json'
    foreign.write_bytes(b'something else, long enough to hold a header' * 9)
    os.mkfifo(tmp_path / 'pipe')
    for path in (foreign, tmp_path / 'pipe', tmp_path / 'absent'):
        assert open_image_cache(4096, str(path)) is None
    assert foreign.read_bytes().startswith(b'something else') and len(said) == 3
    assert all('every image is decoded each time' in text for text in said)
    assert open_image_cache(0) is None
    made = ImageCache.create(4096, 1)
    assert open_image_cache(0, made.path).capacity == 4096
    _open.cache_clear()


def test_too_few_addresses_are_no_error(said):
    """RLIMIT_AS: the cache cannot be mapped."""
    cache = ImageCache.create(2**40, 10)

    def open_it():
        resource.setrlimit(resource.RLIMIT_AS, (2**39, 2**39))
        assert open_image_cache(2**40, cache.path) is None and 'Cannot allocate memory' in said[0]
        return 42

    assert end_of(start(open_it)) == 42


def test_memory_is_divided_between_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    assert open_image_cache(4096 * 4).capacity == 4096
    monkeypatch.setattr(image_cache, 'available_memory', lambda: 8192)
    assert open_image_cache(4096 * 5).capacity == 1024
    _open.cache_clear()


def test_key_follows_path_and_size():
    keys = [image_key('/in/a.jpg', 100), image_key('/in/a.jpg', 200), image_key('/in/b\udcff.jpg', 100)]
    assert len(set(keys)) == 3 and image_key('/in/a.jpg', 100) == keys[0] and {len(key) for key in keys} == {16}
