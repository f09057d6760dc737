"""result.yaml of a training (contract sections d.2 and e).

The platform rejects the whole result for one bad number or one missing file, and may read it at any moment, so
everything is checked before the file is replaced, and stages whose files have vanished are left out. Stages stand in
the file in the order in which they were written: between equal timestamps the later one is the newer.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Iterable, Mapping, Union

import yaml

from . import env
from .atomic import write_text_atomically
from .errors import ConfigError, ResultError
from .model_files import check_model_files, find_model_file
from .protocol import multiple_model_stages_supportable
from .reading import read_mapping
from .stage_values import clean_attachments, clean_evaluate_config, clean_metrics, clean_timestamp, main_metric

logger = logging.getLogger(__name__)

MAX_STAGES = 11
MAX_STAGE_NAME = 100  # characters, in the platform's data base

Files = Iterable[Union[str, Path]]


def _check_stage_name(stage_name: str) -> str:
    name = str(stage_name).replace('-', '_')
    if not name.isidentifier() or len(name) > MAX_STAGE_NAME:
        raise ResultError(
            f'stage name {stage_name!r}: letters, digits and underscores, no digit first, at most '
            f'{MAX_STAGE_NAME} characters; for example epoch_20'
        )
    return name


def _is_whole(models_dir: str, name: str, stage: Any) -> bool:
    """Return whether a stage that was written before still holds: its numbers are there, its files exist."""
    return (
        isinstance(stage, dict)
        and isinstance(stage.get('files'), list)
        and bool(stage['files'])
        and isinstance(stage.get('timestamp'), int)
        and isinstance(stage.get(main_metric(stage)), (int, float))
        and all(find_model_file(models_dir, name, str(file)) for file in stage['files'])
    )


def _read_result(path: str) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    try:
        return read_mapping(path)
    except ConfigError as error:
        logger.warning('the present result is not readable and is replaced: %s', error)
        return {}


def _read_stages(path: str, models_dir: str) -> dict[str, dict[str, Any]]:
    stages = _read_result(path).get('model_stages')
    whole = {}
    for name, stage in (stages if isinstance(stages, dict) else {}).items():
        if _is_whole(models_dir, name, stage):
            whole[name] = stage
        else:
            logger.warning(
                'stage %s is left out of %s: a file of it (%s) is gone or its entry is incomplete',
                name,
                path,
                stage.get('files') if isinstance(stage, dict) else stage,
            )
    return whole


def _best_stage(stages: dict[str, dict[str, Any]]) -> str:
    order = list(stages)
    return max(
        order, key=lambda name: (stages[name][main_metric(stages[name])], stages[name]['timestamp'], order.index(name))
    )


def _evict(stages: dict[str, dict[str, Any]]) -> None:
    """Take out the oldest stages that are not the best until the limit holds; the files are their author's and stay."""
    while len(stages) > MAX_STAGES:
        best = _best_stage(stages)
        oldest = min((name for name in stages if name != best), key=lambda name: stages[name]['timestamp'])
        logger.info('stage %s is older than the %d that the result keeps and is taken out of it', oldest, MAX_STAGES)
        del stages[oldest]


def _write_stages(path: str, stages: dict[str, dict[str, Any]], **extra: Any) -> None:
    best = _best_stage(stages)
    metric = main_metric(stages[best])
    result = {'best_stage_name': best, metric: stages[best][metric], 'model_stages': stages}
    result.update((key, value) for key, value in extra.items() if value)
    write_text_atomically(path, yaml.safe_dump(result, sort_keys=False))


def _write_single_model(path: str, models_dir: str, stage: dict[str, Any], replace_all: bool) -> None:
    """Write the form of protocols below 1.0.0, which holds one model: the best so far."""
    metric = stage[main_metric(stage)]
    present = {} if replace_all else _read_result(path)
    is_better = isinstance(present.get('map'), (int, float)) and present['map'] > metric
    if is_better and all(find_model_file(models_dir, '', str(file)) for file in present.get('model', [])):
        return
    # This form has no stage folders.
    files = [
        os.path.relpath(find_model_file(models_dir, stage['stage_name'], file), os.path.realpath(models_dir))
        for file in stage['files']
    ]
    write_text_atomically(path, yaml.safe_dump({'model': files, 'map': metric}, sort_keys=False))


def write_model_stage(
    stage_name: str,
    files: Files,
    evaluation_result: Mapping[str, Any] | None = None,
    mAP: Any = None,
    timestamp: Any = None,
    attachments: Mapping[str, Iterable[str]] | None = None,
    evaluate_config: Mapping[str, Any] | None = None,
    tp: Any = None,
    fp: Any = None,
    fn: Any = None,
    replace_all: bool = False,
) -> None:
    """Add a model stage to result.yaml, or replace the one of that name.

    At most 11 stages are kept; the oldest that is not the best goes first, its files stay. The best stage has the
    highest main metric, the newest among equals. A platform below protocol 1.0.0 gets the one model with the highest
    metric. Numbers may be of Python, numpy, torch or text. A number that the platform would reject is left out, or
    written as 0 if it is the main metric, with a warning: see :mod:`ymir_exc.stage_values`.

    Args:
        stage_name: an identifier of at most 100 characters; ``-`` becomes ``_``.
        files: existing files, relative to the models directory or to its folder ``stage_name``. A link is named by its
            target, or by a copy in the folder of the stage where that lies outside.
        evaluation_result: metrics, among them ``maskAP``, ``mIoU`` or ``mAP`` (the first of these decides which stage
            is best), each from 0 to 1; further keys are written for the reader's information.
        mAP: the same as ``evaluation_result['mAP']``, which it overrides.
        timestamp: seconds since 1970; None is now.
        attachments: section -> file names; the files lie in ``attachments/<section>/`` of the models directory. They
            stand for the whole result: a later call without them drops them.
        evaluate_config: name -> number, for example ``conf_thr`` and ``iou_thr``; also for the whole result.
        tp: number of true positives.
        fp: number of false positives.
        fn: number of false negatives.
        replace_all: this stage takes the place of all others in one step, as the first one of a new training does where
            an earlier training left its result.

    Raises:
        ResultError: a bad name, a metric that is not a number; result.yaml stays as it was.
        ModelFileError: no file, or one that the platform could not store; result.yaml stays as it was.
    """
    current_env = env.get_current_env()
    path, models_dir = current_env.output.training_result_file, current_env.output.models_dir

    name = _check_stage_name(stage_name)
    given = dict(evaluation_result or {})
    given.update((key, value) for key, value in {'mAP': mAP, 'tp': tp, 'fp': fp, 'fn': fn}.items() if value is not None)
    stage = dict(
        stage_name=name,
        files=check_model_files(models_dir, name, files),
        timestamp=clean_timestamp(timestamp),
        **clean_metrics(given),
    )
    kept_attachments = clean_attachments(models_dir, attachments or {})
    numbers = clean_evaluate_config(evaluate_config or {})

    if not multiple_model_stages_supportable():
        _write_single_model(path, models_dir, stage, replace_all)
        return
    stages = {} if replace_all else _read_stages(path, models_dir)
    stages.pop(name, None)
    stages[name] = stage
    _evict(stages)
    _write_stages(path, stages, evaluate_config=numbers, attachments=kept_attachments)


def write_training_result(
    stage_name: str,
    files: Files,
    evaluation_result: Mapping[str, Any] | None = None,
    timestamp: Any = None,
    attachments: Mapping[str, Iterable[str]] | None = None,
    evaluate_config: Mapping[str, Any] | None = None,
) -> None:
    """Add a model stage to result.yaml; the name under which older executors call :func:`write_model_stage`."""
    write_model_stage(
        stage_name,
        files,
        evaluation_result,
        timestamp=timestamp,
        attachments=attachments,
        evaluate_config=evaluate_config,
    )


def remove_model_stages(stage_names: Iterable[str]) -> None:
    """Take stages out of result.yaml, as must be done before their files are deleted.

    The files stay. Names that are not there are ignored; without any stage left, result.yaml is deleted.

    Args:
        stage_names: as given to :func:`write_model_stage`.
    """
    current_env = env.get_current_env()
    path = current_env.output.training_result_file
    removed = {_check_stage_name(name) for name in stage_names}
    present = _read_result(path)
    if not removed & set(present.get('model_stages') or {}):
        return
    stages = {
        name: stage for name, stage in _read_stages(path, current_env.output.models_dir).items() if name not in removed
    }
    if not stages:
        os.unlink(path)
        return
    _write_stages(path, stages, evaluate_config=present.get('evaluate_config'), attachments=present.get('attachments'))


def add_model_file(name: str, beside: str) -> list[str]:
    """Name a further file in every stage of result.yaml that names another one, such as the weights that it belongs to.

    Args:
        name: the file, relative to the models directory.
        beside: the file that those stages name.

    Returns:
        The stages that have it now; in the form of protocols below 1.0.0 the one model is called ``''``.

    Raises:
        ModelFileError: it is not a file that the platform could store; result.yaml stays as it was.
    """
    current_env = env.get_current_env()
    path, models_dir = current_env.output.training_result_file, current_env.output.models_dir
    result = _read_result(path)
    stages = result.get('model_stages')
    lists = {str(key): stage for key, stage in (stages or {}).items() if isinstance(stage, dict)}
    places = [(key, stage, 'files') for key, stage in lists.items()] or [('', result, 'model')]
    found = [place for place in places if beside in (place[1].get(place[2]) or ())]
    for stage_name, holder, key in found:
        holder[key] = check_model_files(models_dir, stage_name, [*holder[key], name])
    if found:
        write_text_atomically(path, yaml.safe_dump(result, sort_keys=False))
    return [stage_name for stage_name, _, _ in found]


def write_attachments(section: str, names: Iterable[str]) -> list[str]:
    """Name the attachments of a section in result.yaml, in the place of those that it had; all else stays.

    They are stored with the model whatever its stages; the next :func:`write_model_stage` drops them, as they belong to
    the stages that there are now. The form of protocols below 1.0.0 has no attachments.

    Args:
        section: folder below ``attachments`` of the models directory.
        names: of the files there.

    Returns:
        Those that are named now.
    """
    current_env = env.get_current_env()
    path, models_dir = current_env.output.training_result_file, current_env.output.models_dir
    result = _read_result(path)
    if not isinstance(result.get('model_stages'), dict):
        return []
    present = result.get('attachments')
    sections = {**(present if isinstance(present, dict) else {}), section: list(names)}
    kept = clean_attachments(models_dir, sections)
    result.pop('attachments', None)
    if kept:
        result['attachments'] = kept
    write_text_atomically(path, yaml.safe_dump(result, sort_keys=False))
    return kept.get(section, [])
