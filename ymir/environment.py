"""An environment in which the libraries work for any user id (contract section a.3).

The platform starts the container with `--user uid:gid` of a user that the image does not know: HOME is `/` and not
writable, and `getpass.getuser()`, which torch calls, raises. So every cache gets a writable place before these
libraries are imported, here and, through the environment, in all child processes.
"""

import getpass
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from tmi import log
from tmi.errors import SETTINGS_FILE_VARIABLE, SettingError
from tmi.paths import PROJECT_ROOT

LEAST_ROOM = 4096  # bytes that must be free for temporary files

# Variable to the folder below the cache root.
CACHE_FOLDERS = {
    'TORCH_HOME': 'torch',
    'MPLCONFIGDIR': 'matplotlib',
    'XDG_CACHE_HOME': 'xdg',
    'TORCHINDUCTOR_CACHE_DIR': 'inductor',
    'TRITON_CACHE_DIR': 'triton',
    'NUMBA_CACHE_DIR': 'numba',
}


def find_temporary_folder(fallback: Path) -> None:
    """See that this process and all below it have a folder for temporary files.

    Args:
        fallback: Made and used where none of the usual ones can be written to.

    Raises:
        TaskError: SettingError if there is none at all.
    """
    try:
        tempfile.gettempdir()
        return
    except FileNotFoundError as error:
        usual = str(error.strerror).partition('[')[2].rstrip(']').replace("'", '')
    try:
        fallback.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=fallback) as file:
            file.write(b'\0' * LEAST_ROOM)
    except OSError as error:
        raise SettingError(
            f'No folder for temporary files can be written to, neither of {usual} nor {fallback} '
            f'({error.strerror or error}): give the container a writable /tmp or output folder with free space.'
        ) from error
    os.environ['TMPDIR'] = tempfile.tempdir = str(fallback)


def _is_writable_folder(path: str) -> bool:
    return bool(path) and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def _cache_root() -> Path:
    """Return a temporary folder that only this user writes to, the same one for all processes of a task."""
    root = Path(tempfile.gettempdir()) / f'ymir-{os.getuid()}'
    try:
        root.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        return Path(tempfile.mkdtemp(prefix='ymir-'))
    if root.is_symlink() or root.stat().st_uid != os.getuid() or not os.access(root, os.W_OK):
        return Path(tempfile.mkdtemp(prefix='ymir-'))
    return root


def prepare_environment(environ: MutableMapping[str, str] = os.environ) -> None:
    """Make HOME, the user's name, the caches and the import path usable; what already works is not changed.

    Args:
        environ: The environment to change.
    """
    environ[SETTINGS_FILE_VARIABLE] = 'config.yaml'
    root = _cache_root()
    folders = {name: environ.get(name, '') for name in CACHE_FOLDERS}
    if not _is_writable_folder(environ.get('HOME', '')):
        environ['HOME'] = str(root)
    for name, current in folders.items():
        if not _is_writable_folder(current):
            folder = root / CACHE_FOLDERS[name]
            folder.mkdir(exist_ok=True)
            environ[name] = str(folder)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        environ.setdefault('USER', 'ymir')
        environ.setdefault('LOGNAME', 'ymir')
    paths = [path for path in environ.get('PYTHONPATH', '').split(os.pathsep) if path and path != str(PROJECT_ROOT)]
    environ['PYTHONPATH'] = os.pathsep.join([str(PROJECT_ROOT), *paths])
    environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')  # what it says of a broken image names none; the executor does
    environ.setdefault('PYTHONUNBUFFERED', '1')  # what a killed process said stands in the log
    # What libraries will change some day is for their users, not for those of the platform.
    environ.setdefault('PYTHONWARNINGS', 'ignore::FutureWarning,ignore::DeprecationWarning')


def configure_logging(level: str = 'info') -> None:
    """Send the messages of core, adapter and SDK to the log that the platform keeps.

    Args:
        level: 'debug', 'info', 'warning' or 'error'.
    """
    log.configure_logging(level, ('tmi', 'ymir', 'ymir_exc'))
