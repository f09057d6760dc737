"""How the platform judges a task that has ended: the code it shows and why (contract sections a.6, d.1 to d.5).

Success is exit code 0 together with result files that the platform can read. Everything else gets the code that the
platform would show, so that a failure here and there are the same failure.
"""

import json
import math
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ymir_exc.yaml_text import load_yaml

from .run import DOCKER_FAILED, MonitorReading

CONTAINER_ERROR = 160004
RESULT_REJECTED = 160011
INTERNAL_ERROR = 169999
MONITOR_UNREADABLE = 150404

OLD_STAGE = 'default_best_stage'
METRICS = ('mAP', 'mAR', 'mIoU', 'mAcc', 'maskAP', 'boxAP')
COUNTERS = ('tp', 'fp', 'fn')
INT32 = 2**31
# What reading a YAML file raises; ValueError: no UTF-8, or a date such as 2024-99-99.
UNREADABLE_YAML = (OSError, ValueError, RecursionError, yaml.YAMLError)


class ResultRejected(Exception):
    """The platform would not accept a result file.

    Args:
        reason: what is wrong, with the file.
        code: what the platform shows.
    """

    def __init__(self, reason: str, code: int = RESULT_REJECTED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class StageResult:
    """One stage of a training result.

    Args:
        name: key of the stage, which is its folder too.
        files: names in result.yaml mapped to the files that they mean.
        timestamp: seconds.
        metrics: the platform's metrics and counters that the stage has.
    """

    name: str
    files: dict[str, Path]
    timestamp: int
    metrics: dict[str, float]


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


@dataclass(frozen=True)
class Verdict:
    """What the platform would say of a task.

    Args:
        ok: the task succeeded.
        code: 0, or the code that the platform would show.
        reason: why, one sentence; empty if all is well.
    """

    ok: bool
    code: int = 0
    reason: str = ''


def judge(
    exit_code: int,
    monitor: MonitorReading,
    out_dir: Path,
    training: bool = False,
    mining: bool = False,
    infer: bool = False,
) -> Verdict:
    """Return whether a task succeeded.

    Args:
        exit_code: of the process or container.
        monitor: what was seen of monitor.txt.
        out_dir: the task's `out`.
        training: the task was to train.
        mining: the task was to mine.
        infer: the task was to infer.
    """
    if exit_code:
        if monitor.problem:
            return Verdict(False, INTERNAL_ERROR, f'{describe_exit(exit_code)}, and {monitor.problem}')
        code = monitor.last.code or CONTAINER_ERROR
        return Verdict(False, code, monitor.last.message or describe_exit(exit_code))
    if monitor.error is not None:
        reason = monitor.error.message or 'monitor.txt had state 4 (error), which is final, whatever the exit code'
        return Verdict(False, monitor.error.code, reason)
    if monitor.problem:
        return Verdict(False, MONITOR_UNREADABLE, monitor.problem)
    try:
        if training:
            read_training_result(Path(out_dir) / 'models')
        if mining:
            read_mining_result(Path(out_dir) / 'result.tsv')
        if infer:
            read_infer_result(Path(out_dir) / 'infer-result.json')
    except ResultRejected as error:
        return Verdict(False, error.code, error.reason)
    return Verdict(True)


def describe_exit(exit_code: int) -> str:
    """Return what an exit code tells beyond its number.

    Args:
        exit_code: of a process (negative: minus the signal that ended it), a shell or `docker run`.
    """
    text = f'exit code {exit_code}'
    if exit_code == DOCKER_FAILED:
        return f'{text}: Docker started no container or lost it; what it says ends the log'
    if exit_code in (126, 127):
        return f'{text}: the command to run ' + ('cannot be executed' if exit_code == 126 else 'does not exist')
    try:
        name = signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return text
    if name == 'SIGKILL':
        return f'{text}: killed (SIGKILL), as the system does when memory runs out, and `docker rm -f` or `kill -9`'
    return f'{text}: ended by {name}'


def read_training_result(models_dir: Path) -> TrainingResult:
    """Read result.yaml with the platform's rules.

    Args:
        models_dir: folder `models` of the task's `out`.

    Raises:
        ResultRejected: the platform would reject it.
    """
    models_dir = Path(models_dir)
    path = models_dir / 'result.yaml'
    try:
        document = load_yaml(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ResultRejected(f'{path} does not exist') from None
    except UNREADABLE_YAML as error:
        raise ResultRejected(f'{path} cannot be read: {" ".join(str(error).split())}') from None
    if not isinstance(document, dict):
        raise ResultRejected(f'{path} holds no mapping')
    if 'model' in document:  # the form of protocols below 1.0.0 wins
        stages = {
            OLD_STAGE: {
                'stage_name': OLD_STAGE,
                'files': document['model'],
                'timestamp': 0,
                'mAP': document.get('map', 0),
            }
        }
        best = OLD_STAGE
    else:
        stages, best = document.get('model_stages'), document.get('best_stage_name')
    if not isinstance(stages, dict) or not stages:
        raise ResultRejected(f'{path} holds no stage under model_stages')
    if best not in list(stages):  # it may be of a type that no mapping can look up
        raise ResultRejected(f'{path}: best_stage_name is {best!r}, the stages are {", ".join(map(str, stages))}')
    read = {str(name): _read_stage(path, models_dir, str(name), stage) for name, stage in stages.items()}
    return TrainingResult(
        str(best), read, _read_attachments(path, models_dir, document), _read_evaluate_config(path, document)
    )


def _read_stage(path: Path, models_dir: Path, name: str, stage: Any) -> StageResult:
    where = f'{path}: stage {name}'
    names, timestamp, metrics = read_stage(where, stage)
    return StageResult(name, {file: _find_file(where, models_dir, name, file) for file in names}, timestamp, metrics)


def read_stage(where: str, stage: Any) -> tuple[list[str], int, dict[str, float]]:
    """Read a stage of a training result or of a model package, within the platform's bounds.

    Args:
        where: file and stage, for messages.
        stage: its content.

    Returns:
        Names of files, timestamp in seconds, and metrics.

    Raises:
        ResultRejected: the platform would reject it.
    """
    if not isinstance(stage, dict):
        raise ResultRejected(f'{where} is no mapping')
    missing = [key for key in ('stage_name', 'files', 'timestamp') if key not in stage]
    if missing:
        raise ResultRejected(f'{where} has no {" and no ".join(missing)}')
    if not isinstance(stage['files'], list):
        raise ResultRejected(f'{where}: files is {stage["files"]!r}, a list is needed')
    timestamp = _number(where, 'timestamp', stage['timestamp'])
    if not -INT32 <= timestamp < INT32:
        raise ResultRejected(f'{where}: timestamp is {stage["timestamp"]!r}; it counts seconds, not milliseconds')
    metrics: dict[str, float] = {}
    for key in METRICS:
        if key in stage:
            metrics[key] = _number(where, key, stage[key])
            if not 0 <= metrics[key] <= 1:
                raise ResultRejected(f'{where}: {key} is {stage[key]!r}; the platform takes 0 to 1')
    for key in COUNTERS:
        if key in stage:
            metrics[key] = int(_number(where, key, stage[key]))
            if not 0 <= metrics[key] < INT32:
                raise ResultRejected(f'{where}: {key} is {stage[key]!r}; the platform takes 0 to {INT32 - 1}')
    return [str(file) for file in stage['files']], int(timestamp), metrics


def _number(where: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ResultRejected(f'{where}: {key} is {value!r}, a number is needed') from None
    if not math.isfinite(number):
        raise ResultRejected(f'{where}: {key} is {value!r}, a finite number is needed')
    return number


def _find_file(where: str, models_dir: Path, stage: str, file: str) -> Path:
    path = next((p for p in (models_dir / stage / file, models_dir / file) if os.path.lexists(p)), None)
    if os.path.isabs(file) or path is None or not os.path.isfile(path):
        raise ResultRejected(f'{where}: {file} is not a regular file in {models_dir}')
    return path


def _read_attachments(path: Path, models_dir: Path, document: Mapping[str, Any]) -> dict[str, list[str]]:
    attachments = document.get('attachments', {})
    if not isinstance(attachments, dict):
        raise ResultRejected(f'{path}: attachments is {attachments!r}, a mapping is needed')
    for section, files in attachments.items():
        if not isinstance(files, list):
            raise ResultRejected(f'{path}: attachments.{section} is {files!r}, a list of file names is needed')
        for file in files:
            if not os.path.isfile(models_dir / 'attachments' / str(section) / str(file)):
                raise ResultRejected(f'{path}: the attachment {section}/{file} does not exist')
    return {str(section): [str(file) for file in files] for section, files in attachments.items()}


def _read_evaluate_config(path: Path, document: Mapping[str, Any]) -> dict[str, float]:
    config = document.get('evaluate_config', {})
    if not isinstance(config, dict):
        raise ResultRejected(f'{path}: evaluate_config is {config!r}, a mapping of numbers is needed')
    return {str(key): _number(f'{path}: evaluate_config', str(key), value) for key, value in config.items()}


def read_mining_result(path: Path) -> list[tuple[str, str]]:
    """Read result.tsv: paths with the text of their scores, best first.

    Args:
        path: of result.tsv.

    Raises:
        ResultRejected: the file is missing.
    """
    try:
        # Names that are no UTF-8 pass; a name may hold what str.splitlines() takes for the end of a line.
        lines = Path(path).read_text(encoding='utf-8', errors='surrogateescape').split('\n')
    except FileNotFoundError:
        raise ResultRejected(f'{path} does not exist') from None
    except OSError as error:
        raise ResultRejected(f'{path} cannot be read: {error}', INTERNAL_ERROR) from None
    rows = [line.split('\t') for line in lines if line.strip()]
    return [(row[0], row[1] if len(row) > 1 else '') for row in rows]


def read_infer_result(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read infer-result.json of detection: image name to the objects that the platform would store.

    Args:
        path: of infer-result.json.

    Raises:
        ResultRejected: the platform would reject it.
    """
    try:
        document = json.loads(Path(path).read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ResultRejected(f'{path} does not exist', INTERNAL_ERROR) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultRejected(f'{path} is no JSON: {error}', INTERNAL_ERROR) from None
    if isinstance(document, dict) and 'detection' not in document and 'annotations' in document:
        return _read_segmentation(path, document)
    if not isinstance(document, dict) or not isinstance(document.get('detection'), dict):
        raise ResultRejected(f'{path} has no mapping under detection')
    found: dict[str, list[dict[str, Any]]] = {}
    for name, entry in document['detection'].items():
        if not isinstance(entry, dict):
            raise ResultRejected(f'{path}: {name} is {entry!r}, a mapping is needed', INTERNAL_ERROR)
        objects = entry.get('boxes') or entry.get('annotations') or []
        if not isinstance(objects, list):
            raise ResultRejected(f'{path}: the objects of {name} are {objects!r}, a list is needed', INTERNAL_ERROR)
        found[os.path.basename(name)] = [
            item for k, item in enumerate(objects) if _is_kept(f'{path}: {name}, object {k}', item)
        ]
    return found


def _is_kept(where: str, item: Any) -> bool:
    if not isinstance(item, dict):
        raise ResultRejected(f'{where} is {item!r}, a mapping is needed', INTERNAL_ERROR)
    if item.get('score') is None:
        return False  # the platform drops it without a word
    name, box = item.get('class_name'), item.get('box')
    if not isinstance(name, str) or not name.strip():
        raise ResultRejected(f'{where}: class_name is {name!r}', INTERNAL_ERROR)
    if not isinstance(box, dict):
        raise ResultRejected(f'{where}: box is {box!r}, a mapping of x, y, w, h is needed', INTERNAL_ERROR)
    try:
        float(item['score'])
        for key, value in box.items():
            if key == 'rotate_angle':
                float(value)
            elif (
                key not in ('x', 'y', 'w', 'h')
                or isinstance(value, bool)
                or float(value) != int(float(value))
                or not -INT32 <= float(value) < INT32
            ):
                raise ValueError(f'{key} is {value!r}')
    except (TypeError, ValueError, OverflowError) as error:
        raise ResultRejected(f'{where}: {error}; whole numbers x, y, w, h are needed', INTERNAL_ERROR) from None
    return True


def _read_segmentation(path: Path, document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the coco form of object types 3 and 4: image name to the annotations, with class names and scores."""
    try:
        names = {image['id']: image['file_name'] for image in document['images']}
        classes = {category['id']: category['name'] for category in document['categories']}
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
        for item in document['annotations']:
            if item['image_id'] in names and item['category_id'] in classes:
                found[names[item['image_id']]].append(
                    dict(item, class_name=str(classes[item['category_id']]), score=float(item.get('confidence', -1.0)))
                )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ResultRejected(f'{path}: {type(error).__name__}: {error}', INTERNAL_ERROR) from None
    return found
