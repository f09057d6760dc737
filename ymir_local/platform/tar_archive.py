"""Extracts tar files of unknown origin: regular files below one folder and nothing else, all faults in one sentence.

tarfile takes a header that is cut or broken for the end of the archive and reads no further than that, so what stands
behind goes unnoticed, a wrong checksum of gzip too. Here an archive ends as it should, and the file with it.
"""

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

MAX_MEMBERS = 10_000
MAX_HEADER = 1 << 20  # of the members that describe others
# Weights hardly shrink when they are packed. A file that grows by more than this, and to more than that, was made to
# fill a disk.
MAX_RATIO = 100
ALWAYS_ALLOWED = 1 << 30
_OPENERS = ((b'\x1f\x8b', gzip.open), (b'BZh', bz2.BZ2File), (b'\xfd7zXZ\0', lzma.LZMAFile))
_DAMAGE = (tarfile.TarError, EOFError, ValueError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, RecursionError)


class ArchiveError(Exception):
    """A file is not a tar file, or one that must not be extracted; the message says which and why."""


class _Member(tarfile.TarInfo):
    """A header of which nothing is overlooked."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError, tarfile.InvalidHeaderError) as error:
            if archive.offset == 0:
                raise  # tarfile says that it is not an archive at all
            words = 'a header in it is broken' if isinstance(error, tarfile.InvalidHeaderError) else 'it is cut off'
            raise tarfile.ReadError(f'{words} (at byte {archive.offset} of what is packed)') from None

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or not self.isreg() and self.size > MAX_HEADER:
            raise tarfile.ReadError(f'a header in it holds {self.size} bytes')
        return super()._proc_member(archive)


class _Bounded:
    """The bytes of a stream, and an error where there are more than allowed."""

    def __init__(self, file: Path, stream: IO[bytes], limit: int) -> None:
        self.file, self.stream, self.limit, self.count = file, stream, limit, 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.count += len(data)
        if self.count > self.limit:
            raise ArchiveError(
                f'{self.file} holds more than {self.limit} bytes when it is unpacked; models shrink little when they '
                'are packed, so this one seems made to fill a disk. `ymir unpack --max-gib N` allows more'
            )
        return data


def is_tar(file: Path) -> bool:
    """Return whether a file begins as a tar archive does, compressed or not; nothing that it describes is read.

    Args:
        file: of anyone.
    """
    try:
        with open(file, 'rb') as packed:
            tarfile.TarInfo.frombuf(_unpacked(packed).read(tarfile.BLOCKSIZE), 'utf-8', 'surrogateescape')
    except (OSError, *_DAMAGE):
        return False
    return True


def _unpacked(packed: IO[bytes]) -> IO[bytes]:
    start = packed.read(8)
    packed.seek(0)
    opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), None)
    return opener(packed) if opener else packed


def extract(file: Path, folder: Path, max_bytes: int | None = None) -> None:
    """Extract a tar file, compressed or not.

    Args:
        file: of anyone.
        folder: must exist and be empty; what was extracted before an error is left in it.
        max_bytes: of what is packed; default: 1 GiB, or 100 times the file where that is more.

    Raises:
        ArchiveError: it is not a tar file, is damaged, or holds what leads out of the folder or does not fit on the
            disk.
    """
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ArchiveError(f'{file} is not a model package: it is not a regular file')
        with open(file, 'rb') as packed:
            limit = max_bytes or max(ALWAYS_ALLOWED, MAX_RATIO * status.st_size)
            _extract_all(file, _Bounded(file, _unpacked(packed), limit), folder)
    except FileNotFoundError:
        raise ArchiveError(f'{file} does not exist') from None
    except OSError as error:
        raise ArchiveError(f'{file} is not a model package: {error.strerror or error}') from None


def _extract_all(file: Path, stream: _Bounded, folder: Path) -> None:
    try:
        archive = tarfile.open(fileobj=stream, mode='r|', tarinfo=_Member, bufsize=1 << 20)
    except _DAMAGE as error:
        why = (
            'this is a zip archive'
            if zipfile.is_zipfile(file)
            else f'this is something else, or damaged ({" ".join(str(error).split()) or type(error).__name__})'
        )
        raise ArchiveError(f'{file} is not a model package: a package is a tar file, {why}') from None
    free = shutil.disk_usage(folder).free
    try:
        with archive:
            for count, member in enumerate(archive, 1):
                if count > MAX_MEMBERS:
                    raise ArchiveError(f'{file} holds more than {MAX_MEMBERS} files')
                _check_member(file, member)
                free -= member.size
                if free < 0:
                    raise ArchiveError(f'{file}: {member.name} holds {member.size} bytes, more than are free')
                _extract_member(archive, member, folder)
            _read_to_the_end(file, archive)
    except FileExistsError as error:
        raise ArchiveError(f'{file}: {str(Path(error.filename).relative_to(folder))!r} stands in it twice') from None
    except _DAMAGE as error:
        raise ArchiveError(f'{file} is damaged: {" ".join(str(error).split())}') from None
    except OSError as error:
        raise ArchiveError(f'{file} cannot be unpacked: {error.strerror or error}') from None


def _read_to_the_end(file: Path, archive: tarfile.TarFile) -> None:
    """Read what follows the last member: zeros, and the checksum of the compression."""
    while True:
        rest = archive.fileobj.read(1 << 20)
        if not rest:
            return
        if rest.strip(b'\0'):
            raise ArchiveError(f'{file} is damaged: something stands behind its end')


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.extractfile(member) as source, open(target, 'xb') as stream:
        shutil.copyfileobj(source, stream, 1 << 20)


def _check_member(file: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or '..' in path.parts or '\\' in member.name or '\0' in member.name:
        raise ArchiveError(f'{file}: {member.name!r} would lie outside of the folder')
    if member.issparse() or not (member.isreg() or member.isdir()):
        kind = (
            'a link'
            if member.islnk() or member.issym()
            else 'a file with holes'
            if member.issparse()
            else 'a device or pipe'
        )
        raise ArchiveError(f'{file}: {member.name!r} is {kind}; a package holds regular files only')
