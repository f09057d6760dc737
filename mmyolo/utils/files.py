"""Files that are either the old one or the whole new one, whenever the process ends."""

import codecs
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_text(path: str | Path) -> str:
    """Read a text file: UTF-8 with or without mark, UTF-16 with one, or GB18030 as older Chinese Windows tools write.

    Args:
        path: The file.

    Raises:
        ValueError: If it is none of these.
    """
    data = Path(path).read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ('utf-16',) if wide else ('utf-8-sig', 'gb18030'):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f'{path} is not text in UTF-8, UTF-16 or GB18030; save it as UTF-8')


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give the name of a temporary file beside `path`, which takes its place if the block ends without an error.

    Args:
        path: The file to write. Its folder is made; the temporary file has the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}-', suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _set_owner_and_mode(temporary, path)
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _set_owner_and_mode(temporary: Path, path: Path) -> None:
    """As the file that is replaced has them, where the system allows it; those of a new file if there is none."""
    try:
        old = path.stat()
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp gives the file to its owner alone
        return
    mode = stat.S_IMODE(old.st_mode)
    try:
        os.chown(temporary, old.st_uid, old.st_gid)
    except OSError:  # the group is another one, which may do what all others could do before
        mode &= 0o707 | (mode & 0o007) << 3
    temporary.chmod(mode)


def write_json(path: str | Path, content: Any, **options: Any) -> None:
    """Write JSON as UTF-8.

    Args:
        path: The file.
        content: What to write.
        **options: Arguments of `json.dump`.

    Raises:
        ValueError: If it holds NaN or an infinite number, which JSON has not.
    """
    with replacing(path) as temporary, temporary.open('w', encoding='utf-8') as file:
        try:
            json.dump(content, file, ensure_ascii=False, allow_nan=False, **options)
        except ValueError as error:
            raise ValueError(f'{path} was not written: {error}') from error
