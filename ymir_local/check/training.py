"""Rules for result.yaml of a training (contract section d.2); those for the files that it names: training_files."""

import os
from collections.abc import Iterator
from typing import Any

from ymir_exc.reading.document import TAG
from ymir_exc.stage_values import BOUNDED_METRICS, COUNTERS

from ..texts import t
from .facts import TRAINING, Run
from .finding import ERROR, OUT, WARNING, Hit, NotApplicable
from .reading import short

MAX_STAGE_NAME = 100


def root_of(run: Run) -> dict[str, Any]:
    """Return the mapping in result.yaml.

    Raises:
        NotApplicable: this was not a training, or there is no such mapping.
    """
    run.need_task(TRAINING)
    value = run.result.need().value
    if not isinstance(value, dict):
        raise NotApplicable
    return value


def stages_of(run: Run) -> list[tuple[Any, dict[str, Any]]]:
    """Return the stages of the new form that are mappings.

    Raises:
        NotApplicable: there are none.
    """
    root = root_of(run)
    if 'model' in root or not isinstance(root.get('model_stages'), dict):
        raise NotApplicable
    return [(key, stage) for key, stage in root['model_stages'].items() if isinstance(stage, dict)]


def faults_of(run: Run, kind: str) -> Iterator[Hit]:
    """Yield a hit for each fault of a kind that the platform finds in result.yaml."""
    root_of(run)
    for fault in run.result_faults:
        if fault.kind == kind:
            yield Hit(run.result.place(*fault.keys), short(fault.value))


@OUT.rule('training/exists', 'd.2, a.6, l.4', ERROR)
def exists(run: Run) -> Iterator[Hit]:
    run.need_output(TRAINING, run.result)
    if os.path.lexists(run.models_dir) and not run.models_dir.is_dir():
        raise NotApplicable  # container/out-folder
    if not run.result.present:
        yield Hit('models/result.yaml', run.result.detail)


@OUT.rule('training/readable', 'd.2', ERROR)
def readable(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if not run.result.present or run.result.problem == TAG:
        raise NotApplicable
    if run.result.problem:
        yield Hit(run.result.name, run.result.detail)
    elif not isinstance(run.result.value, dict):
        yield Hit(run.result.name, short(run.result.value))


@OUT.rule('training/plain-values', 'd.2', ERROR)
def plain_values(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if not run.result.present or (run.result.problem and run.result.problem != TAG):
        raise NotApplicable
    if run.result.problem:
        yield Hit(run.result.name, run.result.detail)


@OUT.rule('training/repeated-keys', 'd.2', WARNING)
def repeated_keys(run: Run) -> Iterator[Hit]:
    root_of(run)
    for key in run.result.repeated:
        yield Hit(run.result.name, short(key))


@OUT.rule('training/form', 'd.2', ERROR)
def form(run: Run) -> Iterator[Hit]:
    yield from faults_of(run, 'form')


@OUT.rule('training/one-form', 'd.2', WARNING)
def one_form(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'model' in root and 'model_stages' in root:
        yield Hit(run.result.place('model'), short(root['model']))


@OUT.rule('training/old-model', 'd.2, l.6', ERROR)
def old_model(run: Run) -> Iterator[Hit]:
    if 'model' not in root_of(run):
        raise NotApplicable
    yield from faults_of(run, 'old-model')
    if root_of(run)['model'] == []:
        yield Hit(run.result.place('model'), '[]')


@OUT.rule('training/old-map', 'd.2, l.5', ERROR)
def old_map(run: Run) -> Iterator[Hit]:
    if 'model' not in root_of(run):
        raise NotApplicable
    yield from faults_of(run, 'old-map')


@OUT.rule('training/best-stage', 'd.2', ERROR)
def best_stage(run: Run) -> Iterator[Hit]:
    stages_of(run)
    yield from faults_of(run, 'best-stage')


@OUT.rule('training/stage', 'd.2, l.7', ERROR)
def stage(run: Run) -> Iterator[Hit]:
    stages_of(run)
    for fault in run.result_faults:
        if fault.kind == 'stage-keys':
            yield Hit(run.result.place(*fault.keys), t('check.missing', missing=fault.value))
    yield from faults_of(run, 'stage')


@OUT.rule('training/stage-name', 'd.2', ERROR)
def stage_name(run: Run) -> Iterator[Hit]:
    for key, _ in stages_of(run):
        name = str(key)
        if not 1 <= len(name) <= MAX_STAGE_NAME or '@' in name or '/' in name or name in ('.', '..'):
            yield Hit(run.result.place('model_stages', key), short(key))


@OUT.rule('training/timestamp', 'd.2', ERROR)
def timestamp(run: Run) -> Iterator[Hit]:
    stages_of(run)
    yield from faults_of(run, 'timestamp')


@OUT.rule('training/metrics', 'd.2', ERROR)
def metrics(run: Run) -> Iterator[Hit]:
    stages_of(run)
    yield from faults_of(run, 'metrics')


@OUT.rule('training/counters', 'd.2', ERROR)
def counters(run: Run) -> Iterator[Hit]:
    stages_of(run)
    yield from faults_of(run, 'counters')


@OUT.rule('training/spelling', 'd.2', WARNING)
def spelling(run: Run) -> Iterator[Hit]:
    known = (*BOUNDED_METRICS, *COUNTERS)
    by_lower = {name.lower(): name for name in known}
    for key, value in stages_of(run):
        for name in value:
            right = by_lower.get(str(name).lower())
            if right and right != name and right not in value:
                yield Hit(run.result.place('model_stages', key, name), f'{short(name)} != {right}')


@OUT.rule('training/evaluate-config', 'd.2', ERROR)
def evaluate_config(run: Run) -> Iterator[Hit]:
    if 'evaluate_config' not in root_of(run):
        raise NotApplicable
    yield from faults_of(run, 'evaluate-config')
