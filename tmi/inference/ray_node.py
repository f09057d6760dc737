"""What a machine of a Ray cluster can see and run, compared with the one that the task was started on.

A `Lookout` is sent to a machine with its code, before anything of ours is known to be there, so this module imports
nothing but the standard library until it is called.
"""

import hashlib
import os
import platform
import socket
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ('tmi', 'mmyolo', 'vidt')
LIBRARIES = ('torch', 'numpy', 'opencv-python-headless', 'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection')
VISIBLE_SECONDS = 30  # within which shared storage shows a new file to all


def fingerprint(root: Path) -> dict[str, str]:
    """Return what predictions depend on besides models and images.

    Args:
        root: The folder of the packages.

    Returns:
        Name -> version, or the hash of our own code.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob('*.py')):
            if '.mim' in path.parts:  # links to configs and tools in a checkout, files in a wheel
                continue
            digest.update(path.relative_to(root).as_posix().encode() + b'\0' + path.read_bytes() + b'\0')
    found = {'this code': digest.hexdigest()[:12], 'Python': '.'.join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = 'missing'
    return found


def look(token: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Look at a machine, on it.

    Args:
        token: A new file on the storage that all share.
        sizes: Of files there that are read, in bytes.

    Returns:
        `host`, `files` (those that are missing or differ), `packages` (`fingerprint`), and `problem`, '' if the code
        can be imported.
    """
    found: dict[str, Any] = {'host': socket.gethostname(), 'files': [], 'packages': {}, 'problem': ''}
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not os.path.exists(token) and time.monotonic() < deadline:
        time.sleep(0.5)
    if not os.access(os.path.dirname(token), os.R_OK | os.W_OK | os.X_OK) or not os.path.exists(token):
        found['files'].append(os.path.dirname(token))
    for path, size in sizes.items():
        if not os.path.isfile(path) or os.path.getsize(path) != size:
            found['files'].append(path)
    try:
        from tmi.paths import PROJECT_ROOT

        found['packages'] = fingerprint(PROJECT_ROOT)
    except Exception as error:  # whatever keeps the code from being used there
        found['problem'] = f'{type(error).__name__}: {error}'
    return found


class Lookout:
    """Looks at the machine that it was sent to."""

    def look(self, token: str, sizes: Mapping[str, int]) -> dict[str, Any]:
        """See the function of this name."""
        return look(token, sizes)


def fault_of(found: Mapping[str, Any], packages: Mapping[str, str]) -> str:
    """Return what keeps a machine from predicting, '' if nothing does.

    Args:
        found: What `look` returned.
        packages: The `fingerprint` of the machine that the task was started on.
    """
    if found['problem']:
        return f'this code cannot be imported there ({found["problem"]})'
    if found['files']:
        return f'it does not see {", ".join(found["files"])} as this machine does'
    other = [
        f'{name} {found["packages"].get(name)} instead of {own}'
        for name, own in packages.items()
        if found['packages'].get(name) != own
    ]
    return f'it has {", ".join(other)}' if other else ''
