"""The files that the stages of result.yaml name, whoever wrote them, and names for new ones beside them.

No file that result.yaml names is written over by one for other weights. What is made after the weights, such as the
statistics for mining, is written whole before result.yaml names it beside them, and goes when they go.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from tmi.mining.stats import MINING_STATS_FILE
from tmi.zoo.weights import CHECKPOINT_SUFFIXES
from ymir_exc.atomic import atomic_file
from ymir_exc.env import get_current_env
from ymir_exc.errors import ConfigError
from ymir_exc.label_check import LABELS_TO_CHECK_FILE
from ymir_exc.model_files import find_model_file
from ymir_exc.reading import read_mapping, read_training_result
from ymir_exc.training_result import add_model_file
from ymir_exc.util import filter_saved_files, get_merged_config

ONNX_FILE = 'model.onnx'
LATER_FILES = (
    MINING_STATS_FILE,
    LABELS_TO_CHECK_FILE,
    ONNX_FILE,
)  # made after the weights; numbered if the name is taken


def read_result() -> dict[str, Any]:
    """Read result.yaml; one that cannot be read is as good as none."""
    try:
        return read_mapping(get_current_env().output.training_result_file)
    except ConfigError:
        return {}


def stage_files() -> Iterator[tuple[str, list[str]]]:
    """Yield stage and names of files, in the form of result.yaml for any protocol version and whoever wrote it."""
    result = read_result()
    stages = result.get('model_stages')
    named = [('', result.get('model'))]
    named += [
        (str(name), stage.get('files') if isinstance(stage, dict) else None)
        for name, stage in (stages.items() if isinstance(stages, dict) else ())
    ]
    yield from ((name, list(map(str, files))) for name, files in named if isinstance(files, list))


def named_paths(models_dir: Path) -> set[Path]:
    """Return every file that result.yaml names."""
    paths = {find_model_file(str(models_dir), name, file) for name, files in stage_files() for file in files}
    return {path for path in paths if path is not None}


def stands_in_a_folder(models_dir: Path, name: str) -> bool:
    """Return whether a folder below the models directory, as that of a stage, holds something of this name."""
    return any(os.path.lexists(folder / name) for folder in models_dir.iterdir() if folder.is_dir())


def unused_name(models_dir: Path, name: str, content: str | None = None) -> str:
    """Return a name for a new file of a stage, under which no file of a model that is there is written over or found
    instead.

    The platform takes `<stage>/<file>` before `<file>`, so a name that stands in a folder is used, too.

    Args:
        models_dir: /out/models.
        name: The name that is wanted.
        content: What will be written, if a file of the same content may stay.

    Returns:
        `name`, or the first of `<stem>_2<suffix>`, `<stem>_3<suffix>` ... that is free.
    """
    named = named_paths(models_dir)
    wanted = Path(name)
    for number in itertools.count(1):
        candidate = name if number == 1 else f'{wanted.stem}_{number}{wanted.suffix}'
        path = models_dir / candidate
        if stands_in_a_folder(models_dir, candidate) or os.path.lexists(path) and not path.is_file():
            continue
        if path.resolve() not in named or content is not None and path.read_bytes() == content.encode():
            return candidate
    raise AssertionError('unreachable')


def _is_numbered(file: str, name: str) -> bool:
    """Return whether a file has a name that `unused_name` gives for another."""
    wanted = Path(name)
    return bool(re.fullmatch(rf'{re.escape(wanted.stem)}(_[0-9]+)?{re.escape(wanted.suffix)}', file))


def is_later_file(file: str) -> bool:
    """Return whether a file belongs to the weights of one stage and was made after them."""
    return any(_is_numbered(file, name) for name in LATER_FILES)


class BestStage(NamedTuple):
    """The best stage of a training.

    Args:
        weights: Its weight file, as result.yaml names it.
        files: All files of it.
    """

    weights: str
    files: list[Path]


def best_stage() -> BestStage:
    """Return the best stage of result.yaml.

    Raises:
        ResultRejected: There is no valid result.
        StopIteration: It has no weights.
    """
    result = read_training_result(get_current_env().output.models_dir)
    files = result.stages[result.best].files
    weights = next(name for name in files if Path(name).suffix in CHECKPOINT_SUFFIXES)
    return BestStage(weights, list(files.values()))


def write_later_file(name: str, weights: str, write: Callable[[IO[bytes]], object]) -> Path | None:
    """Write a file that belongs to weights, and name it in every stage that names them.

    Args:
        name: One of `LATER_FILES`.
        weights: The weight file as result.yaml names it.
        write: Writes the content to a stream of bytes.

    Returns:
        The file; None if `ymir_saved_file_patterns` leaves it out.
    """
    if not filter_saved_files(get_merged_config(), [name]):
        return None
    models_dir = Path(get_current_env().output.models_dir)
    # Of the same weights, from before this training was resumed: the new one takes its place.
    earlier = [file for _, files in stage_files() if weights in files for file in files if _is_numbered(file, name)]
    path = models_dir / (earlier[0] if earlier else unused_name(models_dir, name))
    with atomic_file(path, 'wb') as stream:
        write(stream)
    add_model_file(path.name, weights)
    return path
