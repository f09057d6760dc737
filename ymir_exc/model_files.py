"""Which files of /out/models a result may name (contract section d.2).

The platform looks for ``<models>/<stage>/<file>``, then ``<models>/<file>``, resolves the path on the host and stores
links as links, so a result must name relative paths of regular files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterable

from .atomic import atomic_file
from .errors import ModelFileError

# The platform writes these itself.
RESERVED_NAMES = frozenset({'result.yaml', 'ymir-info.yaml', 'model.tar.gz'})


def find_model_file(models_dir: str, folder: str, file: str) -> Path | None:
    """Find a file as the platform does.

    Args:
        models_dir: /out/models.
        folder: the stage's name.
        file: a path relative to the stage's folder or to ``models_dir``.

    Returns:
        Its path; None if there is not a regular file or a link leads to it.
    """
    path = _existing(Path(os.path.realpath(models_dir)), folder, file)
    return path if path is not None and Path(os.path.realpath(path)) == path else None


def _existing(root: Path, folder: str, file: str) -> Path | None:
    return next((path for path in (root / folder / file, root / file) if path.is_file()), None)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file with its time, unless an equal one (size and time) is there; a link at ``target`` is replaced."""
    status = os.stat(source)
    if os.path.isfile(target) and not os.path.islink(target):
        present = os.stat(target)
        if os.path.samestat(status, present) or (status.st_size, status.st_mtime_ns) == (
            present.st_size,
            present.st_mtime_ns,
        ):
            return
    with open(source, 'rb') as stream, atomic_file(target, 'wb') as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _without_links(root: Path, folder: str, path: Path) -> str:
    """Return the name of the regular file that a path with a link in it leads to.

    If that lies outside ``root``, it is copied into the stage's folder, where the platform looks first; the link is
    its author's, who may write through it again, and stays.
    """
    real = Path(os.path.realpath(path))
    if root in real.parents:
        return os.path.relpath(real, root)
    try:
        copy_file(real, root / folder / path.name)
    except (FileExistsError, NotADirectoryError) as error:
        raise ModelFileError(
            f'stage {folder}: {path} is a link out of {root}, and its copy needs the folder '
            f'{root / folder}, where a file stands; rename one'
        ) from error
    return path.name


def check_model_files(models_dir: str, stage_name: str, files: Iterable[str | Path]) -> list[str]:
    """Bring the files of a stage into the form of result.yaml and see that each can be stored.

    Args:
        models_dir: /out/models.
        stage_name: the stage that they belong to.
        files: relative to ``models_dir`` or to its folder ``stage_name``, or absolute and inside ``models_dir``. A link
            is named by its target; where that lies outside, a copy is put into the folder of the stage. An absolute
            path takes the place of another file of its name in that folder, where the platform looks first.

    Returns:
        Relative paths in the given order, each once.

    Raises:
        ModelFileError: there is none, or one is missing, a folder, outside, or has a name of the platform's.
    """
    if isinstance(files, (str, Path)):
        raise ModelFileError(f'stage {stage_name}: files must be a list of paths, not {files!r}')
    root = Path(os.path.realpath(models_dir))
    checked: list[str] = []
    for file in map(str, files):
        relative = os.path.relpath(file, models_dir) if os.path.isabs(file) else os.path.normpath(file)
        if relative.split(os.sep)[0] == os.pardir:
            raise ModelFileError(f'stage {stage_name}: {file} lies outside {models_dir}; copy it there first')
        if relative in RESERVED_NAMES:
            raise ModelFileError(f'stage {stage_name}: {file} has a name that belongs to the platform; rename it')
        path = _existing(root, stage_name, relative)
        if path is None:
            raise ModelFileError(
                f'stage {stage_name}: {os.path.join(models_dir, relative)} is not a regular file '
                '(missing or a folder); write the file before naming it in the result'
            )
        if Path(os.path.realpath(path)) != path:
            relative = _without_links(root, stage_name, path)
            if relative in RESERVED_NAMES:
                raise ModelFileError(f'stage {stage_name}: {file} leads to {relative}, which belongs to the platform')
        elif os.path.isabs(file) and os.path.isfile(file) and not os.path.samefile(file, path):
            copy_file(file, path)  # which an earlier run left in the stage's folder, and the platform would store
        if relative not in checked:
            checked.append(relative)
    if not checked:
        raise ModelFileError(f'stage {stage_name}: files is empty; name at least one model file')
    return checked
