"""The platform's own rules for what an executor writes, as functions that return lists of violations.

Written from contract sections d.1 to d.5 alone; imports nothing of the project, so that a mistake there cannot hide
here. Where the verifier (section l) asks for more than the platform, its rule is applied when ``candidates`` is given.
"""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

INT32 = 2**31
METRICS = ('mAP', 'mAR', 'mIoU', 'mAcc', 'maskAP', 'boxAP')
COUNTERS = ('tp', 'fp', 'fn')
OLD_STAGE = 'default_best_stage'


def _converts(kind: type, value: Any) -> bool:
    try:
        kind(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def monitor_violations(text: str, task_id: str | None = None) -> list[str]:
    """Section d.1: what is wrong with the content of monitor.txt.

    Args:
        text: the content.
        task_id: the id that column 1 must have.
    """
    lines = text.splitlines()
    if not lines:
        return ['empty file']
    columns = lines[0].strip().split('\t')
    if len(columns) < 4:
        return [f'{len(columns)} columns instead of at least 4']
    found = []
    if len(columns) > 6:
        found.append(f'{len(columns)} columns instead of at most 6')
    if task_id is not None and columns[0] != task_id:
        found.append(f'task id {columns[0]!r} instead of {task_id!r}')
    if not _converts(float, columns[1]):
        found.append(f'timestamp {columns[1]!r}')
    if not _converts(float, columns[2]) or not 0 <= float(columns[2]) <= 1:
        found.append(f'percent {columns[2]!r}')
    if not _converts(int, columns[3]) or int(columns[3]) not in range(5):
        found.append(f'state {columns[3]!r}')
    if len(columns) > 4 and not _converts(int, columns[4]):
        found.append(f'code {columns[4]!r}')
    if len(lines) > 100:
        found.append(f'{len(lines)} lines instead of at most 100')
    return found


def _file_violations(models_dir: Path, stage: str, file: Any) -> list[str]:
    file = str(file)
    if os.path.isabs(file):
        return [f'{stage}: absolute path {file}']
    for path in (models_dir / stage / file, models_dir / file):
        if path.exists():
            if path.is_symlink():
                return [f'{stage}: {file} is a link']
            return [] if path.is_file() else [f'{stage}: {file} is not a regular file']
    return [f'{stage}: {file} does not exist']


def _stage_violations(models_dir: Path, key: str, stage: Any) -> list[str]:
    if not isinstance(stage, dict):
        return [f'{key}: no mapping']
    found = [f'{key}: no {field}' for field in ('stage_name', 'files', 'timestamp') if field not in stage]
    files = stage.get('files', [])
    if not isinstance(files, list):
        found.append(f'{key}: files is {files!r}')
        files = []
    for file in files:
        found += _file_violations(models_dir, key, file)
    timestamp = stage.get('timestamp', 0)
    if isinstance(timestamp, bool) or not _converts(int, timestamp) or not -INT32 <= int(timestamp) < INT32:
        found.append(f'{key}: timestamp {timestamp!r}')
    for metric in METRICS:
        value = stage.get(metric, 0)
        if not _converts(float, value) or not 0 <= float(value) <= 1:
            found.append(f'{key}: {metric} is {value!r}')
    for counter in COUNTERS:
        value = stage.get(counter, 0)
        if not _converts(int, value) or not 0 <= int(value) < INT32:
            found.append(f'{key}: {counter} is {value!r}')
    if '@' in key or len(key) > 100:
        found.append(f'{key}: stage name')
    return found


def result_yaml_violations(path: Path, models_dir: Path | None = None) -> list[str]:
    """Section d.2: why the platform would reject a training result.

    Args:
        path: result.yaml.
        models_dir: where the files lie; None is the folder of ``path``.
    """
    models_dir = Path(models_dir or path.parent)
    try:
        result = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [f'unreadable: {error}']
    if not isinstance(result, dict):
        return [f'no mapping: {result!r}']
    if 'model' in result:
        if not isinstance(result['model'], list) or not result['model']:
            return [f'model is {result["model"]!r}']
        if 'map' not in result:
            return ['old form without map']
        return _stage_violations(
            models_dir,
            OLD_STAGE,
            {'stage_name': OLD_STAGE, 'files': result['model'], 'timestamp': 0, 'mAP': result['map']},
        )
    stages = result.get('model_stages')
    if not isinstance(stages, dict) or not stages:
        return [f'model_stages is {stages!r}']
    found = []
    if result.get('best_stage_name') not in stages:
        found.append(f'best_stage_name is {result.get("best_stage_name")!r}')
    for key, stage in stages.items():
        found += _stage_violations(models_dir, str(key), stage)
    for key, value in result.get('evaluate_config', {}).items():
        if not isinstance(key, str) or not _converts(float, value):
            found.append(f'evaluate_config[{key!r}] is {value!r}')
    for section, files in result.get('attachments', {}).items():
        if not isinstance(files, list):
            found.append(f'attachments[{section!r}] is {files!r}')
            continue
        found += [
            f'attachment {section}/{file} does not exist'
            for file in files
            if not (models_dir / 'attachments' / section / str(file)).is_file()
        ]
    return found


def _reject_constant(word: str) -> None:
    raise ValueError(f'{word} is not JSON')


def _load_json(text: str) -> Any:
    def unique(pairs: list[Any]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ValueError(f'a key occurs twice among {[key for key, _ in pairs]}')
        return mapping

    return json.loads(text, parse_constant=_reject_constant, object_pairs_hook=unique)


def _box_violations(where: str, box: Any) -> list[str]:
    if not isinstance(box, dict):
        return [f'{where}: box is {box!r}']
    found = [f'{where}: unknown key {key} in box' for key in box if key not in ('x', 'y', 'w', 'h', 'rotate_angle')]
    for key in 'xywh':
        value = box.get(key, 0)
        if (
            isinstance(value, bool)
            or not _converts(float, value)
            or float(value) != int(float(value))
            or not -INT32 <= int(float(value)) < INT32
        ):
            found.append(f'{where}: {key} is {value!r}')
    if not math.isfinite(float(box.get('rotate_angle', 0))):
        found.append(f'{where}: rotate_angle')
    return found


def infer_result_violations(text: str, candidates: Iterable[str] | None = None, list_key: str = 'boxes') -> list[str]:
    """Section d.3: what is wrong with infer-result.json of detection.

    Args:
        text: the content.
        candidates: paths of all candidate images; their basenames must be exactly the keys (the verifier's rule).
        list_key: under which key the objects stand.
    """
    try:
        result = _load_json(text)
    except ValueError as error:
        return [f'no JSON: {error}']
    if not isinstance(result, dict) or not isinstance(result.get('detection'), dict):
        return ['no dict under detection']
    found = []
    names = [os.path.basename(key) for key in result['detection']]
    if len(set(names)) < len(names):
        found.append('two images have the same basename')
    if candidates is not None and sorted(names) != sorted(os.path.basename(path) for path in candidates):
        found.append('the keys are not the basenames of the candidates')
    for image, value in result['detection'].items():
        if not isinstance(value, dict) or not isinstance(value.get(list_key), list):
            found.append(f'{image}: no list under {list_key}')
            continue
        for index, item in enumerate(value[list_key]):
            where = f'{image}[{index}]'
            if not isinstance(item.get('class_name'), str) or not item['class_name'].strip():
                found.append(f'{where}: class_name is {item.get("class_name")!r}')
            if not _converts(float, item.get('score')) or not math.isfinite(float(item['score'])):
                found.append(f'{where}: score is {item.get("score")!r}')
            found += _box_violations(where, item.get('box'))
    return found


def _segmentation_violations(where: str, annotation: dict[str, Any]) -> list[str]:
    segmentation = annotation.get('segmentation')
    if isinstance(segmentation, dict):
        return [] if isinstance(segmentation.get('counts'), str) else [f'{where}: counts is not text']
    if isinstance(segmentation, list):
        return [] if len(segmentation) == 1 else [f'{where}: {len(segmentation)} polygons']
    return [] if 'segmentation' not in annotation else [f'{where}: segmentation is {segmentation!r}']


def segmentation_result_violations(text: str) -> list[str]:
    """Section d.4: what crashes the platform or gets lost in infer-result.json of segmentation."""
    try:
        result = _load_json(text)
    except ValueError as error:
        return [f'no JSON: {error}']
    found = [f'no {key}' for key in ('images', 'categories', 'annotations') if not isinstance(result.get(key), list)]
    if found:
        return found
    for key in ('images', 'categories'):
        ids = [entry.get('id') for entry in result[key]]
        if len(set(ids)) < len(ids) or None in ids:
            found.append(f'{key}: ids {ids}')
    for image in result['images']:
        if image.get('file_name') != os.path.basename(image.get('file_name', '/')):
            found.append(f'file_name {image.get("file_name")!r}')
    for index, annotation in enumerate(result['annotations']):
        where = f'annotations[{index}]'
        for key, entries in (('image_id', 'images'), ('category_id', 'categories')):
            if annotation.get(key) not in [entry.get('id') for entry in result[entries]]:
                found.append(f'{where}: {key} {annotation.get(key)!r}')
        bbox = annotation.get('bbox')
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(_converts(int, value) for value in bbox):
            found.append(f'{where}: bbox {bbox!r}')
        if not _converts(int, annotation.get('area')):
            found.append(f'{where}: area {annotation.get("area")!r}')
        if not _converts(float, annotation.get('confidence', -1)):
            found.append(f'{where}: confidence')
        if 'meta' in annotation and annotation['meta'] is None:
            found.append(f'{where}: meta is null')
        found += _segmentation_violations(where, annotation)
    return found


def mining_result_violations(text: str, candidates: Iterable[str] | None = None) -> list[str]:
    """Section d.5: what is wrong with result.tsv.

    Args:
        text: the content.
        candidates: the image paths of the index, each of which must have exactly one line (the verifier's rule).
    """
    found = []
    paths: list[str] = []
    scores: list[float] = []
    for number, line in enumerate(text.split('\n'), 1):
        if not line.strip():
            continue
        columns = line.split('\t')
        if len(columns) != 2 or not _converts(float, columns[1]):
            found.append(f'line {number}: {line!r}')
            continue
        paths.append(columns[0])
        scores.append(float(columns[1]))
    if not all(math.isfinite(score) for score in scores):
        found.append('a score is not finite')
    if any(later > earlier for earlier, later in zip(scores, scores[1:])):
        found.append('the scores do not descend')
    if text and not text.endswith('\n'):
        found.append('no final newline')
    if candidates is not None and sorted(paths) != sorted(candidates):
        found.append('the paths are not those of the index')
    return found
