"""The platform's names of images."""

import hashlib

import pytest

from ymir_exc.threads import CHUNK, in_threads
from ymir_local.platform.image_hash import asset_id, asset_ids


def test_sha1_in_order_and_again_after_a_change(tmp_path):
    paths = [tmp_path / f'{number}' for number in range(3 * CHUNK + 1)]
    for number, path in enumerate(paths):
        path.write_bytes(b'x' * number)
    seen = []
    assert asset_ids(paths, lambda *counts: seen.append(counts)) == [
        hashlib.sha1(b'x' * number).hexdigest() for number in range(len(paths))
    ]
    assert seen == [(CHUNK, 193), (2 * CHUNK, 193), (3 * CHUNK, 193), (193, 193)]
    paths[0].write_bytes(b'other')
    assert asset_id(paths[0]) == hashlib.sha1(b'other').hexdigest()
    assert asset_ids([]) == []


def test_errors_reach_the_caller(tmp_path):
    with pytest.raises(FileNotFoundError):
        asset_ids([tmp_path / 'none'] * 200)
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 / number, [1, 0]))
