"""Extracts tar files of unknown origin: regular files below one folder and nothing else, all faults in one sentence."""
import shutil
import tarfile
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path, PurePosixPath


class ArchiveError(Exception):
    """A file is no tar file, or one that must not be extracted; the message says which and why."""


def extract(file: Path, folder: Path) -> None:
    """Extracts a tar file, compressed or not.

    Args:
        file: of anyone.
        folder: must exist and be empty; what was extracted before an error is left in it.

    Raises:
        ArchiveError: it is no tar file, is damaged, or holds what leads out of the folder or does not fit on the disk.
    """
    try:
        archive = tarfile.open(file)
    except FileNotFoundError:
        raise ArchiveError(f'{file} does not exist') from None
    except (tarfile.TarError, EOFError, ValueError, zlib.error, LZMAError, OSError) as error:
        why = 'this is a zip archive' if zipfile.is_zipfile(file) else 'this is something else, or damaged'
        why = getattr(error, 'strerror', '') or f'a package is a tar file, {why}'
        raise ArchiveError(f'{file} is no model package: {why}') from None
    free = shutil.disk_usage(folder).free
    try:
        with archive:
            for member in archive:
                _check_member(file, member)
                free -= member.size
                if free < 0:
                    raise ArchiveError(f'{file}: {member.name} holds {member.size} bytes, more than are free')
                _extract_member(archive, member, folder)
    except FileExistsError as error:
        raise ArchiveError(f'{file}: {Path(error.filename).relative_to(folder)} stands in it twice') from None
    except OSError as error:
        raise ArchiveError(f'{file} cannot be unpacked: {error.strerror or error}') from None
    except (tarfile.TarError, EOFError, ValueError, zlib.error, LZMAError) as error:
        raise ArchiveError(f'{file} is damaged: {error}') from None


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
    if not (member.isreg() or member.isdir()):
        kind = 'a link' if member.islnk() or member.issym() else 'a device or pipe'
        raise ArchiveError(f'{file}: {member.name!r} is {kind}; a package holds regular files only')
