"""A file that is replaced keeps its owner and mode: the platform's user writes monitor.txt again after the task."""

import errno
import os
import stat

import pytest

from tests.other_user import ANOTHER, IS_ROOT, SOMEBODY, do_as, give_to_somebody
from ymir_exc import atomic
from ymir_exc.atomic import atomic_file, write_text_atomically
from ymir_exc.monitor import write_monitor_logger


def make(path, mode):
    path.write_text('the old content, which is longer')
    return give_to_somebody(path, mode)


def state_of(path):
    status = path.stat()
    return status.st_uid, stat.S_IMODE(status.st_mode), path.read_text()


@pytest.mark.parametrize('mode', [0o777, 0o666, 0o644, 0o640, 0o600, 0o200, 0o4755, 0o2775])
@pytest.mark.parametrize('umask', [0o022, 0o077, 0])
def test_owner_and_mode_stay(open_folder, mode, umask):
    path = make(open_folder / 'file', mode)
    before = path.stat()
    old = os.umask(umask)
    try:
        write_text_atomically(path, 'new')
    finally:
        os.umask(old)
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )
    assert path.stat().st_ino != before.st_ino and os.listdir(open_folder) == ['file']
    if mode & 0o400 or IS_ROOT:
        assert path.read_text() == 'new'


def test_what_is_written_is_never_more_open_than_the_old_file(open_folder):
    path = make(open_folder / 'file', 0o600)
    with atomic_file(path) as stream:
        stream.write('secret')
        stream.flush()
        (temporary,) = (other for other in open_folder.iterdir() if other != path)
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert state_of(path) == (SOMEBODY, 0o600, 'secret')


def test_a_mode_that_was_changed_meanwhile_counts(open_folder):
    path = make(open_folder / 'file', 0o600)
    with atomic_file(path) as stream:
        stream.write('new')
        path.chmod(0o777)
    assert state_of(path) == (SOMEBODY, 0o777, 'new')


@pytest.mark.parametrize(
    'mode, kept', [(0o777, 0o777), (0o666, 0o666), (0o664, 0o644), (0o660, 0o600), (0o606, 0o606), (0o4777, 0o777)]
)
def test_without_the_right_to_give_it_away_the_mode_stays_and_nothing_is_widened(open_folder, mode, kept):
    """The old group may be another's: what its members could do, the new group may not."""
    path = make(open_folder / 'file', mode)
    do_as(ANOTHER, lambda: write_text_atomically(path, 'new'))
    assert state_of(path) == (ANOTHER, kept if IS_ROOT else mode, 'new')


def test_the_group_stays_where_the_user_belongs_to_it(open_folder):
    path = make(open_folder / 'file', 0o664)
    before = path.stat().st_gid
    do_as(ANOTHER, lambda: write_text_atomically(path, 'new'), group=before)
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (before, 0o664)


@pytest.mark.parametrize('folder_mode', [0o755, 0o1777])
def test_a_file_that_may_be_written_in_a_folder_that_may_not(open_folder, folder_mode):
    """A folder of another user, and a sticky one, reject the new name."""
    path = make(open_folder / 'file', 0o666)
    inode = path.stat().st_ino
    open_folder.chmod(folder_mode)
    do_as(ANOTHER, lambda: write_text_atomically(path, 'new'))
    assert state_of(path) == (SOMEBODY, 0o666, 'new') and os.listdir(open_folder) == ['file']
    assert not IS_ROOT or path.stat().st_ino == inode


def test_a_mount_point_is_written_in_place(tmp_path, monkeypatch):
    """Docker run -v monitor.txt:/out/monitor.txt: the kernel does not rename over it."""
    path = make(tmp_path / 'file', 0o640)
    inode = path.stat().st_ino

    def busy(*names):
        raise OSError(errno.EBUSY, 'Device or resource busy')

    monkeypatch.setattr(atomic.os, 'replace', busy)
    write_text_atomically(path, 'new')
    assert (path.stat().st_ino, *state_of(path)) == (inode, SOMEBODY, 0o640, 'new')
    assert os.listdir(tmp_path) == ['file']
    with pytest.raises(OSError, match='busy'):
        write_text_atomically(tmp_path / 'other', 'new')
    assert os.listdir(tmp_path) == ['file']


def test_a_file_system_without_owners_and_modes(tmp_path, monkeypatch):
    path = make(tmp_path / 'file', 0o600)

    def reject(*args):
        raise OSError(errno.EPERM, 'Operation not permitted')

    for name in ('fchown', 'fchmod', 'listxattr'):
        monkeypatch.setattr(atomic.os, name, reject)
    write_text_atomically(path, 'new')
    assert path.read_text() == 'new'


def test_attributes_of_the_user_stay(tmp_path):
    path = make(tmp_path / 'file', 0o644)
    try:
        os.setxattr(path, 'user.origin', b'camera 3')
        expected = ['user.origin']
    except OSError:  # not on this file system
        expected = []
    write_text_atomically(path, 'new')
    assert [name for name in os.listxattr(path) if name.startswith('user.')] == expected


def test_a_link_of_the_platform_to_its_monitor_txt_is_followed(task, tmp_path):
    (tmp_path / 'status').mkdir()
    path = make(tmp_path / 'status/monitor.txt', 0o640)
    task.monitor_file.symlink_to('../status/monitor.txt')
    write_monitor_logger(0.5)
    assert task.monitor_file.is_symlink() and not path.is_symlink()
    assert (path.read_text().split('\t')[2], *state_of(path)[:2]) == ('0.50', SOMEBODY, 0o640)
    path.unlink()  # a link to nowhere is replaced: the file that it means may be on another machine
    write_monitor_logger(1)
    assert not task.monitor_file.is_symlink() and task.monitor_file.read_text().split('\t')[2] == '1.00'


def test_monitor_txt_can_be_written_by_both_in_turn(task, open_folder):
    """The platform makes it, the executor (root) replaces it many times, the platform writes it at last."""
    path = make(open_folder / 'monitor.txt', 0o777)
    task.write_env(output={'monitor_file': str(path), 'root_dir': str(open_folder)})
    for percent in (0, 0.5, 1):
        write_monitor_logger(percent)
        assert state_of(path)[:2] == (SOMEBODY, 0o777)
        assert path.read_text().split('\t')[2] == f'{percent:.2f}'
        do_as(SOMEBODY, lambda: path.open('a').write('the platform\n'))
        assert path.read_text().endswith('the platform\n')
