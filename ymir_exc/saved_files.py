"""Choosing which files become part of the model that the platform stores, and bringing them into place."""
import fnmatch
import logging
import os
import re
import shutil
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from .atomic import atomic_file
from .attribute_dict import AttributeDict
from .errors import ModelFileError
from .model_files import RESERVED_NAMES
from .training_result import write_model_stage

logger = logging.getLogger(__name__)


def _compile(pattern: str) -> Optional['re.Pattern[str]']:
    """Read a pattern as a regular expression, or as a glob where it is none: ``*.yaml`` is what users write."""
    try:
        return re.compile(pattern)
    except re.error:
        try:
            return re.compile(fnmatch.translate(pattern))
        except re.error:
            logger.warning('ymir_saved_file_patterns: %r is neither a regular expression nor a glob; ignored', pattern)
            return None


def filter_saved_files(cfg: AttributeDict, files: Iterable[str]) -> List[str]:
    """Keep the files that the hyper-parameter ``ymir_saved_file_patterns`` asks for.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        files: paths, absolute or relative to the models directory; empty: every plain file in the models directory
            that is not hidden and not the platform's own.

    Returns:
        Paths relative to the models directory, in the given order. A file stays if any of the comma-separated
        patterns (regular expressions searched in that path; globs are understood) is found; without patterns, all.
    """
    models_dir = cfg.ymir.output.models_dir
    if isinstance(files, str):
        files = [files]
    paths = [os.path.relpath(os.path.join(models_dir, file), models_dir) for file in files]
    if not paths:
        paths = sorted(name for name in os.listdir(models_dir) if not name.startswith('.')
                       and name not in RESERVED_NAMES and os.path.isfile(os.path.join(models_dir, name)))
    words = [word.strip() for word in str(cfg.param.get('ymir_saved_file_patterns') or '').split(',')]
    patterns = [pattern for pattern in (_compile(word) for word in words if word) if pattern is not None]
    if not patterns:
        return paths
    return [path for path in paths if any(pattern.search(path) for pattern in patterns)]


def _copy(source: str, target: str) -> None:
    status = os.stat(source)
    if os.path.isfile(target) and not os.path.islink(target):
        present = os.stat(target)
        if os.path.samestat(status, present) or \
                (status.st_size, status.st_mtime_ns) == (present.st_size, present.st_mtime_ns):
            return
    with open(source, 'rb') as stream, atomic_file(target, 'wb') as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def format_saved_files(cfg: AttributeDict, files: Iterable[str]) -> List[str]:
    """Bring files into the root of the models directory, as regular files.

    A file that lies elsewhere, or a link, is copied, unless an equal copy (size and time) is there already.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        files: paths, absolute or relative to the models directory.

    Returns:
        Their names, in the given order, each once.

    Raises:
        ModelFileError: a file is missing, or two different ones have the same name; nothing is copied then.
    """
    models_dir = cfg.ymir.output.models_dir
    sources: Dict[str, str] = {}
    for file in ([files] if isinstance(files, str) else files):
        path = os.path.join(models_dir, file)
        if not os.path.isfile(path):
            raise ModelFileError(f'{path} is to be saved with the model but is no file')
        name = os.path.basename(path)
        if name in sources and not os.path.samefile(sources[name], path):
            raise ModelFileError(f'{sources[name]} and {path} are to be saved with the model under the same name; '
                                 'rename one')
        sources.setdefault(name, path)
    for name, path in sources.items():
        _copy(path, os.path.join(models_dir, name))
    return list(sources)


def write_ymir_training_result(cfg: AttributeDict,
                               files: Iterable[str],
                               id: Union[int, str],
                               map50: Any = None,
                               evaluation_result: Optional[Mapping[str, Any]] = None,
                               evaluate_config: Optional[Mapping[str, Any]] = None,
                               attachments: Optional[Mapping[str, Iterable[str]]] = None) -> None:
    """Filter files, bring them into the models directory and add them to result.yaml as a stage.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        files: see :func:`filter_saved_files`.
        id: the name of the stage; a number ``n`` becomes ``stage_n``.
        map50: the main metric of a detector.
        evaluation_result, evaluate_config, attachments: see :func:`~ymir_exc.training_result.write_model_stage`.

    Raises:
        ModelFileError: no file is left by ``ymir_saved_file_patterns``, or a file is missing.
        ResultError: a metric is missing or out of range.
    """
    saved = filter_saved_files(cfg, files)
    if not saved:
        raise ModelFileError('no model file matches ymir_saved_file_patterns '
                             f'{cfg.param.get("ymir_saved_file_patterns")!r}; change it or leave it empty to keep all')
    name = f'stage_{id}' if str(id).isdigit() else str(id)
    write_model_stage(name, format_saved_files(cfg, saved), evaluation_result, mAP=map50, attachments=attachments,
                      evaluate_config=evaluate_config)
