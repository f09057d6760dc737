"""The one way to write a file that someone else reads while we run.

The platform reads monitor.txt every 20 seconds, ends tasks with SIGKILL and then still packs what result.yaml names
(contract sections a.3 and d.1), so at every instant a file is either its old or its new self, whole. The new content
goes to a temporary file in the same directory, is flushed to the disk and takes the old file's name with one rename.

The platform also makes monitor.txt before the task starts and writes it again at the end, perhaps as another user, so
the new file keeps the mode and, where the system allows it, the owner and the group of the file that it replaces. Where
the name cannot be replaced but the file can be written (a folder of somebody else, a file that is a mount point), its
content is exchanged in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO, Iterator, Union

PathLike = Union[str, 'os.PathLike[str]']

TEMPORARY_SUFFIX = '.tmp'
_TEMPORARY_NAME = re.compile(rf'\..+\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}', re.DOTALL)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
BLOCK = 4096  # bytes that a file which is not empty has to itself on most file systems

# The system may reject a new name in a folder, or in the place of a file, that may itself be written: a folder of
# another user, a sticky one, a file that is a mount point.
_NAME_REJECTED = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS, errno.EXDEV}
_ACCESS_LIST = 'system.posix_acl_access'

# Some network and FUSE file systems cannot sync a directory; the rename is atomic there all the same.
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


def _sync_directory(directory: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _NO_DIRECTORY_SYNC:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def _copy_attributes(path: PathLike, descriptor: int) -> None:
    """Copy the access list and the user's own attributes of a file, where the file system has them."""
    try:
        names = os.listxattr(path)
        if _ACCESS_LIST not in names and _ACCESS_LIST in os.listxattr(descriptor):  # the folder's, which may allow more
            os.removexattr(descriptor, _ACCESS_LIST)
        for name in names:
            if name == _ACCESS_LIST or name.startswith('user.'):
                os.setxattr(descriptor, name, os.getxattr(path, name))
    except (OSError, AttributeError):  # not on this file system, not on this operating system
        pass


def _keep_owner_and_mode(path: PathLike, old: os.stat_result, descriptor: int) -> None:
    """Give the new file owner, group and mode of the old one as far as the system allows; widen nothing."""
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner, group)
        new = os.fstat(descriptor)
    mode = stat.S_IMODE(old.st_mode)
    if new.st_gid != old.st_gid:  # the new group may do what all others could do before, no more
        mode &= ~0o070 | (mode & 0o007) << 3
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        mode &= 0o777
    if mode != stat.S_IMODE(new.st_mode):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, mode)
    if new.st_gid == old.st_gid:
        _copy_attributes(path, descriptor)


def _status(path: PathLike) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _open_temporary(path: Path, old: os.stat_result | None) -> tuple[int, Path | None]:
    """Open a temporary file; without a name, somewhere else, if there can be none beside a file that can be written."""
    # File names end at 255 bytes: 50 characters are at most 200 of them.
    temporary = path.parent / f'.{path.name[:50]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}'
    # os.open applies the umask, which tempfile's 0600 would not: the platform's process may run as another user. What
    # replaces a file may be as secret as that file.
    mode = 0o666 if old is None else 0o600
    try:
        return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), temporary
    except OSError as error:
        if error.errno not in _NAME_REJECTED or old is None or not os.access(path, os.W_OK):
            raise
        with tempfile.TemporaryFile() as elsewhere:
            return os.dup(elsewhere.fileno()), None


def _exchange_content(descriptor: int, path: Path) -> None:
    """Write over a file whose name cannot be replaced."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, 'rb', closefd=False) as source, open(path, 'r+b') as target:
        shutil.copyfileobj(source, target)
        target.truncate()
        target.flush()
        os.fsync(target.fileno())


def _take_name(descriptor: int, temporary: Path | None, path: Path) -> None:
    if temporary is not None:
        try:
            os.replace(temporary, path)
            return
        except OSError as error:
            if error.errno not in _NAME_REJECTED or not path.is_file() or not os.access(path, os.W_OK):
                raise
    _exchange_content(descriptor, path)
    if temporary is not None:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_file(path: PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a stream whose content appears under ``path`` in one step when the block ends without an error.

    Missing parent directories are made. A file that is replaced hands on its mode and, as far as the system allows,
    its owner and group; a new one gets the permissions of any new file (0666 less the umask). A link is replaced, what
    it leads to is not touched. Text is UTF-8, without newline translation; bytes of file names that are not UTF-8
    survive (``surrogateescape``).

    Args:
        path: the file to make or to replace.
        mode: ``'w'`` for text, ``'wb'`` for bytes.

    Yields:
        The stream of a hidden temporary file beside ``path``; it is removed, and ``path`` left as it was, when the
        block raises.

    Raises:
        ValueError: another mode.
        OSError: neither the directory nor the file is writable, the disk is full, ``path`` is a folder, a device or a
            pipe.
    """
    if mode not in ('w', 'wb'):
        raise ValueError(f"atomic_file writes whole files: mode is 'w' or 'wb', not {mode!r}")
    path = Path(path)
    # The rename would put a file in the place of /dev/null, or of /dev/stdout, which may be a link to a file.
    if path.exists() and not (path.is_file() or path.is_dir()) or path.parent.resolve() == Path('/dev'):
        raise OSError(errno.EINVAL, 'is a device or a pipe, which cannot be replaced by a file', str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _status(path)
    descriptor, temporary = _open_temporary(path, old)
    text_options = {} if mode == 'wb' else {'encoding': 'utf-8', 'errors': 'surrogateescape', 'newline': ''}
    try:
        with open(descriptor, mode, **text_options) as stream:
            yield stream
            stream.flush()
            old = _status(path) or old  # another process may have changed it meanwhile
            if temporary is not None and old is not None:
                _keep_owner_and_mode(path, old, descriptor)
            os.fsync(descriptor)
            _take_name(descriptor, temporary, path)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_text_atomically(path: PathLike, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8) so that no reader ever sees a part of it.

    Args:
        path: the file to make or to replace.
        text: its whole new content.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    with atomic_file(path, 'w') as stream:
        stream.write(text)


def overwrite_text(path: PathLike, text: str) -> None:
    """Write over the beginning of a file, in the place that it has on the disk: what is left where the disk is full.

    What does not fit into the file's block is cut off at a line end, or within the first line.

    Args:
        path: a file that is not empty.
        text: what it is to hold.

    Raises:
        OSError: it cannot be written to either.
    """
    data = text.encode('utf-8')
    if len(data) > BLOCK:
        data = data[: data.rfind(b'\n', 0, BLOCK) + 1 or BLOCK]
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        # First line first: a reader in between sees it whole, and behind it the end of what was there.
        os.ftruncate(descriptor, os.pwrite(descriptor, data, 0))
        with contextlib.suppress(OSError):  # the content is there, if not yet on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: PathLike) -> int:
    """Remove what writers of :func:`atomic_file` left half written when they were killed.

    Args:
        folder: where they wrote; need not exist.

    Returns:
        How many files there were.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if _TEMPORARY_NAME.fullmatch(name):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
                    removed += 1
    return removed
