"""A file is replaced as a whole or not at all."""

import json
import os

import pytest

from mmyolo.utils.files import replacing, write_json
from tests.other_user import SOMEBODY, do_as, give_to_somebody


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_json_is_written_into_a_new_folder_for_everybody_to_read(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    write_json(path, {'名': [1]}, indent=1)
    assert json.loads(path.read_text(encoding='utf-8')) == {'名': [1]} and '名' in path.read_text(encoding='utf-8')
    (tmp_path / 'plain').touch()
    assert path.stat().st_mode == (tmp_path / 'plain').stat().st_mode
    assert list(path.parent.iterdir()) == [path]


def test_what_is_replaced_keeps_owner_and_mode(open_folder):
    path = open_folder / 'a.json'
    path.touch()
    give_to_somebody(path, 0o666)
    write_json(path, [1])
    status = path.stat()
    assert (status.st_uid, oct(status.st_mode & 0o7777)) == (SOMEBODY, oct(0o666))
    os.chown(path, os.getuid(), os.getgid())
    do_as(SOMEBODY, lambda: write_json(path, [2]))  # may not give it away
    assert oct(path.stat().st_mode & 0o7777) == oct(0o666) and json.loads(path.read_text()) == [2]
