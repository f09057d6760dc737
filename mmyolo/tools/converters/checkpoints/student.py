"""Takes the student out of a checkpoint of distillation by mmrazor."""

from pathlib import Path

from .convert import save
from .reading import plain, read_torch

STUDENT = 'architecture.'


def extract_student(checkpoint: str | Path, out_path: str | None = None, inplace: bool = False) -> Path:
    """Write the student's weights and the meta information.

    Args:
        checkpoint: The file of the distillation.
        out_path: Folder of the new file, by default that of the checkpoint.
        inplace: Whether to write into the checkpoint itself.

    Returns:
        The file that was written: <name of the checkpoint>_student.pth, unless `inplace`.

    Raises:
        ValueError: If there is no student in the file.
    """
    source = Path(checkpoint)
    if not source.is_file():
        raise ValueError(f'There is no file {source}')
    content = read_torch(source)
    state = content.get('state_dict') if isinstance(content, dict) else None
    student = {key[len(STUDENT) :]: value for key, value in (state or {}).items() if key.startswith(STUDENT)}
    if not student:
        raise ValueError(f'{source} has no weights that start with {STUDENT}; it is not a checkpoint of a distillation')
    target = source if inplace else Path(out_path or source.parent) / f'{source.stem}_student.pth'
    save(target, student, plain(content.get('meta') or {}))
    return target
