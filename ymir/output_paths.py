"""Whether a task can write all that it will write, found before hours of work.

An output folder that was used before, or was mounted wrongly, may hold a file where a folder is needed or the reverse,
be read-only or full. Imports neither torch nor mmengine, because `start.py` asks before it starts anything.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tmi.errors import SettingError, TaskError
from ymir_exc.atomic import TEMPORARY_SUFFIX, remove_temporary_files
from ymir_exc.env import EnvConfig, get_current_env
from ymir_exc.mining_summary import MINING_SUMMARY_FILE
from ymir_exc.preflight import PREFLIGHT_FILE
from ymir_exc.skipped_images import SKIPPED_IMAGES_FILE
from ymir_exc.training_summary import TRAINING_SUMMARY_FILE

PROBE_BYTES = 1 << 20  # less free space than this is none
FULL = (errno.ENOSPC, errno.EDQUOT)
ADVICE = 'move it away, or start with an empty output folder'

# Below root_dir and models_dir: what a task writes besides the files that env.yaml names.
TRAINING_FOLDERS = ('ymir_dataset', 'ymir_training')
TRAINING_FILES = (
    'ymir_dataset/ymir_train.json',
    'ymir_dataset/ymir_val.json',
    'ymir_training/train_split.json',
    'ymir_training/val_split.json',
    'ymir_training/run_config.py',
    'ymir_training/task.json',
    'ymir_training/initial_weights.pth',
    'ymir_training/done.json',
    'ymir_training/resume_weights.pth',
)
MODEL_FILES = ('resume.pth', 'resume_earlier.pth', 'last_checkpoint', 'run_config.py')
PREDICTIONS = 'predictions'
VALIDATIONS = 'ymir_training/validations'
EXPORT = 'ymir_training/onnx'
ATTACHMENTS = 'attachments/evaluation'  # below models_dir
TEMPORARY = 'ymir_temp'


def output_folder() -> str:
    """Return the task's output folder; '' where env.yaml gives no usable one, and `start.py` will say what is wrong."""
    try:
        env = get_current_env()
        check_places(env)
        return env.output.root_dir
    except (OSError, ValueError, TaskError):
        return ''


def temporary_folder(root: str) -> Path:
    """Return where temporary files go if the container has no folder of its own for them.

    Args:
        root: The task's output folder.

    Returns:
        The folder.
    """
    return Path(root) / TEMPORARY


@contextlib.contextmanager
def only_task(root: str) -> Iterator[None]:
    """Hold a lock on the output folder of a task, so that no other one writes to it; it ends with this process.

    Args:
        root: The folder.

    Raises:
        TaskError: SettingError if another task holds it.
    """
    folder = _lock(root)
    try:
        yield
    finally:
        if folder is not None:
            os.close(folder)


def _lock(root: str) -> int | None:
    """Return a file descriptor that holds the lock; None where no folder is named or made, as `begin` says."""
    if not root:
        return None
    try:
        os.makedirs(root, exist_ok=True)
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise _error(
            f'Another task that runs now writes to {root}: wait for its end or stop it, or give this one another '
            'output folder.'
        ) from error
    except OSError as error:  # some network file systems have no locks
        print(f'{root} cannot be locked ({error.strerror}): see that no other task writes to it.', flush=True)
    return folder


def remove_leftovers(env: EnvConfig) -> None:
    """Remove the temporary files of processes that were killed.

    Args:
        env: Of the run.
    """
    outputs = outputs_of(env)
    for folder in {*outputs.folders, *(os.path.dirname(path) for path in outputs.files)}:
        remove_temporary_files(folder)


def prediction_folder(root: str) -> Path:
    """Return where predictions wait until they are merged.

    Args:
        root: The task's output folder; what else lies in it is the platform's to delete.

    Returns:
        The folder.
    """
    return Path(root) / PREDICTIONS


class Outputs(NamedTuple):
    """What a task writes.

    Args:
        folders: Made if they are not there; a link to a folder is one.
        scratch: Folders that are deleted and made again, so none may be a link.
        files: Replaced whole.
        logs: Written by the platform alone; they need not be writable here.
    """

    folders: list[str]
    scratch: list[str]
    files: list[str]
    logs: list[str]


def outputs_of(env: EnvConfig) -> Outputs:
    """List what the tasks of a run write.

    Args:
        env: Of the run.

    Returns:
        Absolute paths.
    """
    output = env.output
    found = Outputs(
        [output.root_dir],
        [],
        [output.monitor_file, os.path.join(output.root_dir, SKIPPED_IMAGES_FILE)],
        [output.executor_log_file],
    )
    found.scratch.extend(_below(output.root_dir, [PREDICTIONS]))
    if env.run_training:
        found.folders.extend([output.models_dir, output.tensorboard_dir, *_below(output.root_dir, TRAINING_FOLDERS)])
        found.scratch.extend(_below(output.root_dir, [EXPORT]))
        found.folders.extend([*_below(output.root_dir, [VALIDATIONS]), *_below(output.models_dir, [ATTACHMENTS])])
        found.files.extend(
            [
                output.training_result_file,
                os.path.join(output.root_dir, TRAINING_SUMMARY_FILE),
                os.path.join(output.root_dir, PREFLIGHT_FILE),
                *_below(output.root_dir, TRAINING_FILES),
                *_below(output.models_dir, MODEL_FILES),
            ]
        )
        return found
    if env.run_mining:
        found.files.extend([output.mining_result_file, os.path.join(output.root_dir, MINING_SUMMARY_FILE)])
    if env.run_infer:
        found.files.append(output.infer_result_file)
    return found


def _below(folder: str, names: Iterable[str]) -> Iterator[str]:
    return (os.path.join(folder, name) for name in names)


def lies_within(path: str, folder: str) -> bool:
    """Return whether an absolute path is a folder or lies below it, links left aside.

    Args:
        path: The path.
        folder: Absolute; the root of the file system holds nothing in this sense.
    """
    place, above = os.path.normpath(path), os.path.normpath(folder)
    return (
        os.path.isabs(path)
        and os.path.isabs(folder)
        and above != os.sep
        and f'{place}{os.sep}'.startswith(f'{above}{os.sep}')
    )


def may_write(path: str, root: str) -> bool:
    """Return whether a file may be written: it lies below the output folder, and so does what is written beside it.

    Args:
        path: Of the file.
        root: The output folder.
    """
    return os.path.isabs(path) and lies_within(os.path.dirname(os.path.normpath(path)), root)


def check_places(env: EnvConfig) -> None:
    """See that all that a run writes lies in its output folder, and that this is apart from the input.

    Args:
        env: Of the run.

    Raises:
        TaskError: 300001 naming the key of env.yaml.
    """
    root, inputs = env.output.root_dir, env.input.root_dir
    if not lies_within(root, root) or lies_within(root, inputs) or lies_within(inputs, root):
        raise _error(
            f'output.root_dir of env.yaml is {root!r}: it must be an absolute path, neither the root of the file '
            f'system nor a folder that holds or belongs to the input ({inputs}); correct env.yaml.'
        )
    outputs = outputs_of(env)
    for key, path in env.output.dict().items():
        is_inside = may_write(path, root) if path in outputs.files else lies_within(path, root)
        if path in (*outputs.folders, *outputs.files) and not is_inside:
            raise _error(
                f'output.{key} of env.yaml is {path!r}, which lies outside of the output folder {root}, and a task '
                'writes nowhere else; correct env.yaml.'
            )


def check_outputs(env: EnvConfig) -> None:
    """See that everything that a run writes can be written.

    Args:
        env: Of the run.

    Raises:
        TaskError: 300001 naming the path, what stands there, and what to do.
    """
    outputs = outputs_of(env)
    writable: set[Path] = set()
    for path in map(Path, [*outputs.folders, *outputs.scratch]):
        _check_folder(path)
        _check_writable(path, writable)
    for path in map(Path, outputs.scratch):
        if path.is_symlink():
            raise _error(f'{path} is a link, and the task makes a folder there: {ADVICE}.')
    for path in map(Path, outputs.files):
        _check_folder(path.parent)
        _check_file(path)
        _check_writable(path.parent, writable)
    for path in map(Path, outputs.logs):
        _check_file(path)


def _error(sentence: str) -> TaskError:
    return SettingError(sentence)


def _nearest(path: Path) -> Path:
    """Return the path itself or the first folder above it at which anything stands."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), path)


def _check_folder(path: Path) -> None:
    place = _nearest(path)
    if not place.is_dir():
        raise _error(f'{place} is {_kind(place)}, and the task needs a folder there: {ADVICE}.')


def _check_file(path: Path) -> None:
    if os.path.lexists(path) and not path.is_file() and not (path.is_symlink() and not path.exists()):
        raise _error(f'{path} is {_kind(path)}, and the task needs a file there: {ADVICE}.')


def _kind(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f'a link to {os.readlink(path)}, which does not exist'
    return 'a folder' if path.is_dir() else 'a file' if path.is_file() else 'a device or a pipe'


def _check_writable(path: Path, known: set[Path]) -> None:
    """Write a file to a folder, or to the one above in which it will be made, and delete it again."""
    folder = _nearest(path).resolve()
    if folder in known:
        return
    probe = folder / f'.probe.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}'
    try:
        try:
            probe.write_bytes(b'\0' * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise _error(
                f'No space is left in {folder}: free some, or give the task an output folder on another disk.'
            ) from error
        raise _error(
            f'{folder} cannot be written to ({error.strerror or error}): give user {os.getuid()} the right to write '
            'there, or mount the output folder without read-only.'
        ) from error
    known.add(folder)
