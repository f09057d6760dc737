"""Which files of /out/models a result may name (contract section d.2).

The platform looks for ``<models>/<stage>/<file>``, then ``<models>/<file>``, resolves the path on the host and stores
links as links, so a file must be a relative path to a regular file that is no link.
"""
import os
from pathlib import Path
from typing import Iterable, List, Optional, Union

from .errors import ModelFileError

# The platform writes these itself.
RESERVED_NAMES = frozenset({'result.yaml', 'ymir-info.yaml', 'model.tar.gz'})


def find_model_file(models_dir: str, folder: str, file: str) -> Optional[Path]:
    """Find a file as the platform does.

    Args:
        models_dir: /out/models.
        folder: the stage's name.
        file: a path relative to the stage's folder or to ``models_dir``.

    Returns:
        Its path; None if there is no regular file or a link leads to it.
    """
    root = Path(os.path.realpath(models_dir))
    for path in (root / folder / file, root / file):
        if path.is_file():
            return path if Path(os.path.realpath(path)) == path else None
    return None


def check_model_files(models_dir: str, stage_name: str, files: Iterable[Union[str, Path]]) -> List[str]:
    """Bring the files of a stage into the form of result.yaml and see that each can be stored.

    Args:
        models_dir: /out/models.
        stage_name: the stage that they belong to.
        files: relative to ``models_dir`` or to its folder ``stage_name``, or absolute and inside ``models_dir``.

    Returns:
        Relative paths in the given order, each once.

    Raises:
        ModelFileError: there is none, or one is missing, a folder, a link, outside, or a name of the platform's.
    """
    if isinstance(files, (str, Path)):
        raise ModelFileError(f'stage {stage_name}: files must be a list of paths, not {files!r}')
    checked: List[str] = []
    for file in map(str, files):
        relative = os.path.relpath(file, models_dir) if os.path.isabs(file) else os.path.normpath(file)
        if relative.split(os.sep)[0] == os.pardir:
            raise ModelFileError(f'stage {stage_name}: {file} lies outside {models_dir}; copy it there first')
        if relative in RESERVED_NAMES:
            raise ModelFileError(f'stage {stage_name}: {file} has a name that belongs to the platform; rename it')
        if find_model_file(models_dir, stage_name, relative) is None:
            raise ModelFileError(f'stage {stage_name}: {os.path.join(models_dir, relative)} is not a regular file '
                                 '(missing, a folder or a link); write the file before naming it in the result')
        if relative not in checked:
            checked.append(relative)
    if not checked:
        raise ModelFileError(f'stage {stage_name}: files is empty; name at least one model file')
    return checked
