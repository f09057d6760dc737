"""Choosing which files become part of the model that the platform stores, and bringing them into place."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from typing import Any, Iterable, Mapping

from .attribute_dict import AttributeDict
from .errors import ModelFileError
from .log import warn_once
from .model_files import RESERVED_NAMES, copy_file
from .training_result import MAX_STAGE_NAME, write_model_stage

logger = logging.getLogger(__name__)


def _compile(pattern: str) -> re.Pattern[str] | None:
    """Read a pattern as a regular expression, or as a glob where it is none: ``*.yaml`` is what users write."""
    try:
        return re.compile(pattern)
    except re.error:
        try:
            return re.compile(fnmatch.translate(pattern))
        except re.error:
            logger.warning('ymir_saved_file_patterns: %r is neither a regular expression nor a glob; ignored', pattern)
            return None


def filter_saved_files(cfg: AttributeDict, files: Iterable[str]) -> list[str]:
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
        paths = sorted(
            name
            for name in os.listdir(models_dir)
            if not name.startswith('.')
            and name not in RESERVED_NAMES
            and os.path.isfile(os.path.join(models_dir, name))
        )
    words = [word.strip() for word in str(cfg.param.get('ymir_saved_file_patterns') or '').split(',')]
    patterns = [pattern for pattern in (_compile(word) for word in words if word) if pattern is not None]
    if not patterns:
        return paths
    return [path for path in paths if any(pattern.search(path) for pattern in patterns)]


def format_saved_files(cfg: AttributeDict, files: Iterable[str]) -> list[str]:
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
    sources: dict[str, str] = {}
    for file in [files] if isinstance(files, str) else files:
        path = os.path.join(models_dir, file)
        if not os.path.isfile(path):
            raise ModelFileError(f'{path} is to be saved with the model but is not a file')
        name = os.path.basename(path)
        if name in sources and not os.path.samefile(sources[name], path):
            raise ModelFileError(
                f'{sources[name]} and {path} are to be saved with the model under the same name; rename one'
            )
        sources.setdefault(name, path)
    for name, path in sources.items():
        copy_file(path, os.path.join(models_dir, name))
    return list(sources)


def write_ymir_training_result(
    cfg: AttributeDict,
    files: Iterable[str],
    id: int | str,
    map50: Any = None,
    evaluation_result: Mapping[str, Any] | None = None,
    evaluate_config: Mapping[str, Any] | None = None,
    attachments: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Filter files, bring them into the models directory and add them to result.yaml as a stage.

    Where ``ymir_saved_file_patterns`` leaves no file, no stage is written, with a warning.

    Args:
        cfg: what ``util.get_merged_config()`` gives.
        files: see :func:`filter_saved_files`.
        id: the name of the stage; a number ``n`` becomes ``stage_n``, what no name may hold an underscore.
        map50: the main metric of a detector.
        evaluation_result: see :func:`~ymir_exc.training_result.write_model_stage`.
        evaluate_config: see there.
        attachments: see there.

    Raises:
        ModelFileError: a file is missing, or two different ones have the same name.
        ResultError: ``id`` is empty, a metric is not a number.
    """
    saved = filter_saved_files(cfg, files)
    if not saved:
        warn_once(
            'no file',
            f'stage {id} and others like it are not written: no model file matches '
            f'ymir_saved_file_patterns {cfg.param.get("ymir_saved_file_patterns")!r}; change it or leave it empty '
            'to keep all',
        )
        return
    links = [
        file
        for file in saved
        if not file.startswith(os.pardir + os.sep) and os.path.islink(os.path.join(cfg.ymir.output.models_dir, file))
    ]
    names = format_saved_files(cfg, [file for file in saved if file not in links])
    copies = [os.path.join(os.path.abspath(cfg.ymir.output.models_dir), name) for name in names]
    write_model_stage(
        _stage_name(id),
        [*copies, *links],
        evaluation_result,
        mAP=map50,
        attachments=attachments,
        evaluate_config=evaluate_config,
    )


def _stage_name(id: int | str) -> str:
    """Make a name of what a trainer counts its checkpoints by: ``3``, ``epoch=3-step=20``, ``best model``."""
    letters = (letter if f'a{letter}'.isidentifier() else '_' for letter in str(id).strip())
    name = ''.join(letters)[: MAX_STAGE_NAME - len('stage_')]
    return f'stage_{name}' if name and not name.isidentifier() else name
