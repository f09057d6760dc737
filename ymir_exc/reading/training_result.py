"""result.yaml of a training, in its new form and its old one, within the platform's bounds (contract section d.2).

One fault rejects the whole result. A stage has the same form in a model package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from ..code import PlatformCode
from ..errors import ResultRejected
from ..scalars import MAX_INT32, is_integer, is_number
from ..stage_values import BOUNDED_METRICS, COUNTERS
from .document import Document, Fault, Report
from .text import PathLike

OLD_STAGE = 'default_best_stage'  # what the platform calls the one stage of the old form
REQUIRED = ('stage_name', 'files', 'timestamp')


@dataclass(frozen=True)
class StageResult:
    """One stage of a training result.

    Args:
        name: key of the stage, which is its folder too.
        files: names in result.yaml mapped to the files that they mean; None for one that is not there.
        timestamp: seconds.
        metrics: the platform's metrics and counters that the stage has.
        others: further numbers, which the platform ignores.
    """

    name: str
    files: dict[str, Path]
    timestamp: int
    metrics: dict[str, float]
    others: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """result.yaml as the platform understands it.

    Args:
        best: name of the best stage.
        stages: by name, in the order of the file.
        attachments: section to file names.
        evaluate_config: numbers by name.
    """

    best: str
    stages: dict[str, StageResult]
    attachments: dict[str, list[str]] = field(default_factory=dict)
    evaluate_config: dict[str, float] = field(default_factory=dict)


def parse_training_result(document: Mapping[str, Any], models_dir: PathLike, report: Report) -> TrainingResult:
    """Take a training result out of the content of result.yaml.

    Args:
        document: the content.
        models_dir: the folder that holds result.yaml and the files of the stages.
        report: called with each fault: form, old-model, old-map, best-stage, those of :func:`parse_stage`,
            file-relative, file-exists, file-regular, attachments, attachment-files, evaluate-config.

    Returns:
        What is right in it.
    """
    models_dir = Path(models_dir)
    if 'model' in document:  # the form of protocols below 1.0.0 wins
        best, stages = OLD_STAGE, {OLD_STAGE: _old_stage(document, models_dir, report)}
    else:
        best, stages = _new_stages(document, models_dir, report)
    attachments = _attachments(document, models_dir, report)
    return TrainingResult(best, stages, attachments, _evaluate_config(document, report))


def read_training_result(models_dir: PathLike) -> TrainingResult:
    """Read result.yaml with the platform's rules.

    Args:
        models_dir: folder `models` of the task's `out`.

    Raises:
        ResultRejected: the platform would reject it.
    """
    path = Path(models_dir) / 'result.yaml'
    document = Document.read(path).as_yaml()
    if document.problem:
        raise ResultRejected(f'{path} {document.reason}')
    if not isinstance(document.value, dict):
        raise ResultRejected(f'{path} holds no mapping')

    def reject(fault: Fault) -> None:
        raise ResultRejected(f'{path}: {fault.message}', fault.code)

    return parse_training_result(document.value, models_dir, reject)


def parse_stage(
    stage: Any, where: str, keys: tuple[Any, ...], report: Report
) -> tuple[list[str], int, dict[str, float]]:
    """Take a stage out of a training result or a model package.

    Args:
        stage: its content.
        where: words for it in a message.
        keys: the way to it from the root of the document.
        report: called with each fault: stage, stage-keys (what is missing), files, timestamp, metrics, counters.

    Returns:
        Names of files, timestamp in seconds, and metrics, as far as they are right.
    """

    def wrong(kind: str, words: str, value: Any, *more: Any) -> None:
        report(_fault(kind, f'{where} {words}', (*keys, *more), value))

    if not isinstance(stage, dict):
        wrong('stage', f'is {_short(stage)}, a mapping is needed', stage)
        return [], 0, {}
    missing = [key for key in REQUIRED if key not in stage]
    if missing:
        wrong('stage-keys', f'has no {" and no ".join(missing)}', ', '.join(missing))
    elif not isinstance(stage['stage_name'], (str, int, float)):
        wrong('stage', f'has the stage_name {_short(stage["stage_name"])}', stage['stage_name'], 'stage_name')
    files, timestamp = stage.get('files', []), stage.get('timestamp', 0)
    if not isinstance(files, list):
        wrong('files', f'files is {_short(files)}, a list is needed', files, 'files')
        files = []
    for index, file in enumerate(files):
        if not isinstance(file, (str, int, float)):
            wrong('files', f'names the file {_short(file)}', file, 'files', index)
    if not is_integer(timestamp):
        words = f'timestamp is {_short(timestamp)}; it counts seconds, not milliseconds'
        wrong('timestamp', words, timestamp, 'timestamp')
        timestamp = 0
    metrics: dict[str, float] = {}
    for names, kind, is_right, convert, allowed in (
        (BOUNDED_METRICS, 'metrics', lambda value: is_number(value, 0, 1), float, '0 to 1'),
        (COUNTERS, 'counters', lambda value: is_integer(value, 0), int, f'0 to {MAX_INT32}'),
    ):
        for name in names:
            if name in stage and is_right(stage[name]):
                metrics[name] = convert(stage[name])
            elif name in stage:
                needed = f'; the platform takes {allowed}' if is_number(stage[name]) else ', a number is needed'
                words = f'{name} is {_short(stage[name])}{needed}'
                wrong(kind, words, stage[name], name)
    return [str(file) for file in files if isinstance(file, (str, int, float))], int(timestamp), metrics


def locate_model_file(models_dir: PathLike, stage: str, file: str) -> Path | None:
    """Find a file that a stage names: in the stage's folder or in that of the models; None if it is in neither."""
    places = (Path(models_dir, stage, file), Path(models_dir, file))
    return next((path for path in places if os.path.lexists(path)), None)


def _new_stages(document: Mapping[str, Any], models_dir: Path, report: Report) -> tuple[str, dict[str, StageResult]]:
    stages, best = document.get('model_stages'), document.get('best_stage_name')
    if not isinstance(stages, dict) or not stages:
        words = f'model_stages is {_short(stages)}, a mapping with a stage is needed'
        report(_fault('form', words, ('model_stages',), stages))
        return '', {}
    if best not in list(stages):  # it may be of a type that no mapping can look up
        words = f'best_stage_name is {_short(best)}, the stages are {", ".join(map(str, stages))}'
        report(_fault('best-stage', words, ('best_stage_name',), best))
    found = {}
    for key, stage in stages.items():
        name, keys = str(key), ('model_stages', key)
        names, timestamp, metrics = parse_stage(stage, f'stage {name}:', keys, report)
        if not isinstance(stage, dict):
            continue
        others = {
            str(other): float(value)
            for other, value in stage.items()
            if other not in (*REQUIRED, *BOUNDED_METRICS, *COUNTERS) and type(value) in (int, float)
        }
        given = stage['files'] if names else []
        places = [index for index, file in enumerate(given) if isinstance(file, (str, int, float))]
        files = _files(models_dir, name, names, [(*keys, 'files', index) for index in places], report)
        found[name] = StageResult(name, files, timestamp, metrics, others)
    return str(best), found


def _old_stage(document: Mapping[str, Any], models_dir: Path, report: Report) -> StageResult:
    names, value = document['model'], document.get('map')
    if not isinstance(names, list):
        report(_fault('old-model', f'model is {_short(names)}, a list of file names is needed', ('model',), names))
        names = []
    metrics = {}
    if is_number(value, 0, 1):
        metrics['mAP'] = float(value)
    else:
        report(_fault('old-map', f'map is {_short(value)}; the platform takes 0 to 1', ('map',), value))
    names = [str(name) for name in names]
    files = _files(models_dir, OLD_STAGE, names, [('model', index) for index in range(len(names))], report)
    return StageResult(OLD_STAGE, files, 0, metrics)


def _files(
    models_dir: Path, stage: str, names: list[str], places: list[tuple[Any, ...]], report: Report
) -> dict[str, Path]:
    files: dict[str, Any] = {}
    for name, keys in zip(names, places):
        path = None if os.path.isabs(name) else locate_model_file(models_dir, stage, name)
        if os.path.isabs(name):
            kind = 'file-relative'
        else:
            kind = 'file-exists' if path is None else '' if os.path.isfile(path) else 'file-regular'
        if kind:
            words = f'stage {stage}: {name:.200} is not a regular file in {models_dir}'
            report(_fault(kind, words, keys, name))
        files[name] = None if kind else path
    return files


def _attachments(document: Mapping[str, Any], models_dir: Path, report: Report) -> dict[str, list[str]]:
    attachments = document.get('attachments', {})
    if not isinstance(attachments, dict):
        words = f'attachments is {_short(attachments)}, a mapping is needed'
        report(_fault('attachments', words, ('attachments',), attachments))
        return {}
    found = {}
    for section, files in attachments.items():
        if not isinstance(files, list):
            words = f'attachments.{section} is {_short(files)}, a list of file names is needed'
            report(_fault('attachments', words, ('attachments', section), files))
            continue
        found[str(section)] = [str(file) for file in files]
        for index, file in enumerate(found[str(section)]):
            if not os.path.isfile(models_dir / 'attachments' / str(section) / file):
                words = f'the attachment {section}/{_short(file)} does not exist'
                report(_fault('attachment-files', words, ('attachments', section, index), file))
    return found


def _evaluate_config(document: Mapping[str, Any], report: Report) -> dict[str, float]:
    config = document.get('evaluate_config', {})
    if not isinstance(config, dict):
        words = f'evaluate_config is {_short(config)}, a mapping of numbers is needed'
        report(_fault('evaluate-config', words, ('evaluate_config',), config))
        return {}
    found = {}
    for key, value in config.items():
        try:
            found[str(key)] = float(value)
        except (TypeError, ValueError, OverflowError):
            words = f'evaluate_config: {key} is {_short(value)}, a number is needed'
            report(_fault('evaluate-config', words, ('evaluate_config', key), value))
    return found


def _fault(kind: str, message: str, keys: tuple[Any, ...], value: Any) -> Fault:
    return Fault(kind, message, keys, value, PlatformCode.RESULT_REJECTED)


def _short(value: Any) -> str:
    return f'{value!r:.200}'
