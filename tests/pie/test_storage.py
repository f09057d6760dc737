"""Fetching from a storage that fails: what is repeated, what is final, what is kept."""

import errno
import os
import time

import pytest

from pie import storage as module
from pie.storage import Storage, local_name, split_url
from pie.texts import PieError
from pie.weights import fetch_weights
from tests.pie.store import Fault, Store


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(module, 'FIRST_WAIT', 0.001)
    monkeypatch.setattr(module, 'LONGEST_WAIT', 0.01)


def opened(objects, patience=30.0, page=1000):
    store = Store(objects, page)
    return store, Storage(store, 'b', patience)


def contents(places):
    return {key: path.read_bytes() for key, path in places.items()}


def test_pages_prefixes_and_folder_markers():
    keys = [f'd/train/images/{index:03}.jpg' for index in range(25)]
    objects = dict.fromkeys((*keys, 'd/train/', 'd/train2/y.jpg'), b'x')
    _, storage = opened(objects, page=7)
    assert [one.key for one in storage.list('d/train/')] == keys


def test_what_is_there_is_not_fetched_again(tmp_path):
    objects = {f'd/{index}.jpg': bytes([index]) * 100 for index in range(20)}
    store, storage = opened(objects)
    assert contents(storage.fetch(storage.list('d/'), 'd/', tmp_path)) == objects
    assert sorted(store.gets) == sorted(objects)
    store.gets.clear()
    (tmp_path / '3.jpg').write_bytes(b'cut')  # by a disk, not by us
    (tmp_path / '4.jpg').unlink()
    store.objects['d/5.jpg'] = b'other'
    assert contents(storage.fetch(storage.list('d/'), 'd/', tmp_path)) == store.objects
    assert sorted(store.gets) == ['d/3.jpg', 'd/4.jpg', 'd/5.jpg']


def test_what_a_killed_training_left_half_fetched_is_removed(tmp_path):
    _, storage = opened({'d/a/x.jpg': b'1'})
    (tmp_path / 'a').mkdir()
    for name, age in (('.7-8.part', 7200), ('.7-9.part', 0)):
        (tmp_path / 'a' / name).write_bytes(b'half')
        os.utime(tmp_path / 'a' / name, (time.time() - age,) * 2)
    storage.fetch(storage.list('d/'), 'd/', tmp_path)
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == [
        '.7-9.part',
        'x.jpg',
    ]  # one that is being fetched


def test_a_cut_journal_is_read(tmp_path):
    store, storage = opened({'d/a': b'1', 'd/b': b'2'})
    storage.fetch(storage.list('d/'), 'd/', tmp_path)
    journal = tmp_path / module.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-3])
    store.gets.clear()
    storage.fetch(storage.list('d/'), 'd/', tmp_path)
    assert len(store.gets) == 1


@pytest.mark.parametrize(
    'fault',
    [
        lambda body: body[: len(body) // 2],
        lambda body: body[:-1] + b'!',
        lambda body: b'',
        Fault('InternalError', 500),
        Fault('SlowDown', 503),
        ConnectionResetError('reset'),
        TimeoutError('timed out'),
    ],
)
def test_a_passing_fault_is_repeated(fault, tmp_path):
    objects = {'d/a': b'content of a', 'd/b': b'content of b'}
    store, storage = opened(objects)
    store.faults = [lambda body: body, fault, fault]
    assert contents(storage.fetch(storage.list('d/'), 'd/', tmp_path, threads=1)) == objects
    assert store.gets == ['d/a', 'd/b', 'd/b', 'd/b']
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith('.')] == []  # no half file is left


def test_an_etag_that_is_another_hash(tmp_path):
    """Some servers give 32 hex digits that are no MD5: two equal transfers are believed."""
    store, storage = opened({'d/a': b'1', 'd/b': b'2'})
    store.etags = {'d/a': '0' * 32, 'd/b': '1' * 32}
    assert contents(storage.fetch(storage.list('d/'), 'd/', tmp_path, threads=1)) == {'d/a': b'1', 'd/b': b'2'}
    assert store.gets == ['d/a', 'd/a', 'd/b']


def test_a_part_by_part_etag_is_no_md5(tmp_path):
    store, storage = opened({'d/a': b'1'})
    store.etags = {'d/a': 'f' * 32 + '-2'}
    storage.fetch(storage.list('d/'), 'd/', tmp_path)
    assert store.gets == ['d/a']


@pytest.mark.parametrize(
    'fault, words',
    [
        (Fault('AccessDenied', 403), 'The storage denies s3://b/d/a .AccessDenied'),
        (Fault('SignatureDoesNotMatch', 403), 'SignatureDoesNotMatch'),
        (Fault('403', 403), 'denies'),
        (Fault('NoSuchKey', 404), 'The storage has no s3://b/d/a'),
    ],
)
def test_a_final_fault(fault, words, tmp_path):
    store, storage = opened({'d/a': b'1'})
    store.faults = [fault]
    with pytest.raises(PieError, match=words) as caught:
        storage.fetch(storage.list('d/'), 'd/', tmp_path)
    assert '存储' in caught.value.chinese and len(store.gets) == 1


def test_a_storage_that_is_gone_for_good(tmp_path):
    objects = {f'd/{index}': b'1' for index in range(4)}
    store, storage = opened(objects, patience=0.1)
    listed = storage.list('d/')
    store.faults = [ConnectionRefusedError('refused')] * 10000
    with pytest.raises(
        PieError, match=r'has not answered for .* s: s3://b/d/\d .no connection .ConnectionRefusedError'
    ):
        storage.fetch(listed, 'd/', tmp_path)


def test_a_storage_that_is_away_for_a_while(tmp_path):
    """Longer than the patience of one attempt, shorter than that of the whole: it goes on, and loses nothing."""
    objects = {f'd/{index}': b'1' for index in range(40)}
    store, storage = opened(objects)
    store.faults = [lambda body: body] * 10 + [ConnectionRefusedError('refused')] * 100
    assert contents(storage.fetch(storage.list('d/'), 'd/', tmp_path)) == objects


def test_a_full_disk_is_no_fault_of_the_storage(tmp_path):
    store, storage = opened({'d/a/b': b'1', 'd/c': b'2'})
    store.faults = [OSError(errno.ENOSPC, 'No space left on device')] * 2
    files = storage.list('d/')
    with pytest.raises(OSError, match='No space left'):
        storage.fetch(files[1:], 'd/', tmp_path)
    assert store.gets == ['d/c']  # once
    (tmp_path / 'a').write_text('a file where a folder is needed')
    with pytest.raises(FileExistsError):
        storage.fetch(files[:1], 'd/', tmp_path)


@pytest.mark.parametrize('key', ['d/../../etc/x', 'd/..', 'd/a\\b', 'd/' + 'n' * 300, 'd/a\0b'])
def test_a_key_cannot_leave_the_folder(key):
    with pytest.raises(PieError, match='cannot be a file name'):
        local_name(key, 'd/')


def test_urls():
    assert split_url('s3://other/a/b/', 'b') == ('other', 'a/b/')
    assert split_url('/a/b', 'b') == ('b', 'a/b')


@pytest.mark.parametrize(
    'path, wanted',
    [
        ('s3://b/runs/1/', b'named'),
        ('s3://b/runs/1', b'named'),
        ('runs/1', b'named'),
        ('s3://b/runs/1/yolov4.th', b'named'),
        ('s3://b/runs/2/', b'only'),
        ('s3://b/runs/2/x.pth', b'only'),
    ],
)
def test_weights_to_start_from(path, wanted, tmp_path):
    objects = {'runs/1/yolov4.th': b'named', 'runs/1/a.th': b'', 'runs/11/yolov4.th': b'', 'runs/2/x.pth': b'only'}
    _, storage = opened({**objects, 'runs/2/deep/y.th': b''})
    assert fetch_weights(storage, path, 'yolov4', tmp_path).read_bytes() == wanted


@pytest.mark.parametrize(
    'path, words',
    [
        ('s3://b/runs/3/', 'tried, weight files in the folder: 0'),
        ('s3://b/runs/1/', 's3://b/runs/1/m.th was tried, weight files in the folder: a.th, b.th'),
        ('s3://b/runs/1/m.th', 's3://b/runs/1/m.th was tried'),
    ],
)
def test_no_weights(path, words, tmp_path):
    _, storage = opened({'runs/1/a.th': b'', 'runs/1/b.th': b''})
    with pytest.raises(PieError, match=words):
        fetch_weights(storage, path, 'm', tmp_path)
