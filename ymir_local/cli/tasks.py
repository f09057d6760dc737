"""What a command prepares before a task runs: its folder, and the model that it starts from."""

import datetime
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..platform import package
from ..platform.prepare import ModelStage
from .output import UsageMistake

RUNS = Path('ymir_runs')


@dataclass(frozen=True)
class Wanted:
    """What a task is to do."""

    training: bool = False
    mining: bool = False
    infer: bool = False

    @property
    def name(self) -> str:
        """In file names and tables."""
        return 'training' if self.training else '+'.join(name for name in ('mining', 'infer') if getattr(self, name))


def new_folder(out: Path | None, task_name: str, model: Any, in_container: bool = False) -> Path:
    """Make the folder of a run, so that no other run can take it.

    Args:
        out: what the user named; it must not hold anything yet.
        task_name: the first part of the default name.
        model: path or name of the model, the last part of the default name.
        in_container: Docker will mount it, which it cannot if there is a colon in its path.
    """
    place = (out or RUNS).resolve()
    if in_container and ':' in str(place):
        raise UsageMistake(f'{place}: Docker cannot mount a folder with a colon in its path; name another with --out')
    if out:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageMistake(f'{out} exists already, and runs are never overwritten; name another folder with --out')
        out.mkdir(parents=True, exist_ok=True)
        return out
    words = re.sub(r'(\.tar|\.gz|\.tgz|\.pth|\.pt)+$', '', os.path.basename(str(model or '').rstrip('/')))
    words = re.sub(r'[^\w.@-]+', '_', words)[:40] or 'model'
    name = f'{datetime.datetime.now():%Y%m%d-%H%M%S}-{task_name}-{words}'
    folder, number = RUNS / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # of another run that began in this second
            number += 1
            folder = folder.with_name(f'{name}-{number}')


def read_model(source: str, folder: Path, class_names: list[str] | None = None, to_train: bool = False) -> ModelStage:
    """Read a model; a package is extracted beside the run.

    Args:
        source: package, folder of a run or weight file.
        folder: of the run.
        class_names: for a weight file that does not say which classes it knows.
        to_train: a training starts from it.
    """
    return package.read_package(Path(source), folder / 'model', class_names, to_train)


@contextmanager
def removed_on_error(folder: Path) -> Iterator[None]:
    """While a run is prepared: what cannot be is a mistake in what the user gave, and leaves no folder behind.

    One that another run has taken meanwhile is left to it.

    Args:
        folder: of the run, which `new_folder` gave.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            shutil.rmtree(folder, ignore_errors=True)
            if folder.parent == RUNS and not any(RUNS.iterdir()):
                RUNS.rmdir()
        if isinstance(error, ValueError):  # for example two classes of one name
            raise UsageMistake(str(error)) from None
        raise
