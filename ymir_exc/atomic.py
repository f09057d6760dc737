"""The one way to write a file that someone else reads while we run.

The platform reads monitor.txt every 20 seconds, ends tasks with SIGKILL and then still packs what result.yaml names
(contract sections a.3 and d.1), so at every instant a file is either its old or its new self, whole. The new content
goes to a temporary file in the same directory, is flushed to the disk and takes the old file's name with one rename.
"""
import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import IO, Iterator, Union

PathLike = Union[str, 'os.PathLike[str]']

TEMPORARY_SUFFIX = '.tmp'

# Some network and FUSE file systems refuse to sync a directory; the rename is atomic there all the same.
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


@contextlib.contextmanager
def atomic_file(path: PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a stream whose content appears under ``path`` in one step when the block ends without an error.

    Missing parent directories are made. The file gets the permissions of any new file (0666 less the umask). Text is
    UTF-8, without newline translation; bytes of file names that are not UTF-8 survive (``surrogateescape``).

    Args:
        path: the file to make or to replace.
        mode: ``'w'`` for text, ``'wb'`` for bytes.

    Yields:
        The stream of a hidden temporary file beside ``path``; it is removed, and ``path`` left as it was, when the
        block raises.

    Raises:
        ValueError: another mode.
        OSError: the directory is not writable, the disk is full, ``path`` is a device or a pipe.
    """
    if mode not in ('w', 'wb'):
        raise ValueError(f"atomic_file writes whole files: mode is 'w' or 'wb', not {mode!r}")
    path = Path(path)
    # The rename would put a file in the place of /dev/null, or of /dev/stdout, which may be a link to a file.
    if path.exists() and not (path.is_file() or path.is_dir()) or path.parent.resolve() == Path('/dev'):
        raise OSError(errno.EINVAL, 'is a device or a pipe, which cannot be replaced by a file', str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # File names end at 255 bytes: 50 characters are at most 200 of them.
    temporary = path.parent / f'.{path.name[:50]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}'
    text_options = {} if mode == 'wb' else dict(encoding='utf-8', errors='surrogateescape', newline='')
    # os.open applies the umask, which tempfile's 0600 would not: the platform's process may run as another user.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, mode, **text_options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
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


def write_bytes_atomically(path: PathLike, data: bytes) -> None:
    """Replace ``path`` by ``data`` so that no reader ever sees a part of it.

    Args:
        path: the file to make or to replace.
        data: its whole new content.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    with atomic_file(path, 'wb') as stream:
        stream.write(data)
