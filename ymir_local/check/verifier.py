"""What the official verifier demands beyond the platform (contract section l).

Its checks 1 to 3, 4 to 6, 8 and 12 stand with the rules of the platform that they repeat.
"""

import os
from collections.abc import Iterator

from ymir_exc.scalars import is_number

from ..texts import t
from .facts import DETECTION, MAIN_METRICS, MINING, TRAINING, Run
from .finding import OUT, WARNING, Hit, NotApplicable
from .infer import images_of, is_segmentation
from .mining import lines_of
from .reading import short
from .segmentation import entries_of, is_one_polygon
from .training import root_of, stages_of

WEIGHTS = ('.pt', '.pth', '.weight', '.weights', '.param', '.params', '.pb')


@OUT.rule('verifier/stage-metric', 'l.7, l.13', WARNING)
def stage_metric(run: Run) -> Iterator[Hit]:
    metric = MAIN_METRICS.get(run.object_type, MAIN_METRICS[DETECTION])
    for key, stage in stages_of(run):
        if metric not in stage and (run.config or not set(MAIN_METRICS.values()) & set(stage)):
            yield Hit(run.result.place('model_stages', key), t('check.missing', missing=metric))


@OUT.rule('verifier/map-number', 'l.5', WARNING)
def map_number(run: Run) -> Iterator[Hit]:
    root = root_of(run)
    if 'map' not in root or 'model' in root:
        raise NotApplicable  # training/old-map
    if not is_number(root['map']):
        yield Hit(run.result.place('map'), short(root['map']))


def _model_files(run: Run) -> list[str]:
    run.need_task(TRAINING)
    if run.ended_early or not run.models_dir.is_dir():
        raise NotApplicable
    # The verifier looks two levels deep.
    return [
        path.name
        for pattern in ('*', '*/*')
        for path in run.models_dir.glob(pattern)
        if path.is_file() and path.name != 'result.yaml'
    ]


@OUT.rule('verifier/model-files', 'l.9', WARNING)
def model_files(run: Run) -> Iterator[Hit]:
    if not _model_files(run):
        yield Hit('models', t('check.no file'))


@OUT.rule('verifier/weights', 'l.9', WARNING)
def weights(run: Run) -> Iterator[Hit]:
    names = _model_files(run)
    if not names:
        raise NotApplicable
    if not any(name.endswith(WEIGHTS) for name in names):
        yield Hit('models', short(sorted(names)[:4]))


@OUT.rule('verifier/tensorboard', 'l.10, d.6', WARNING)
def tensorboard(run: Run) -> Iterator[Hit]:
    run.need_task(TRAINING)
    if run.ended_early:
        raise NotApplicable
    names = [name for _, _, files in os.walk(run.out_dir / 'tensorboard') for name in files if name != 'executor.log']
    if not names:
        yield Hit('tensorboard', t('check.no file'))


@OUT.rule('verifier/every-candidate', 'l.11', WARNING)
def every_candidate(run: Run) -> Iterator[Hit]:
    if is_segmentation(run):
        names = {str(entry.get('file_name')) for _, entry in entries_of(run, 'images')}
    else:
        names = {os.path.basename(name) for name in images_of(run)}
    for path in run.candidates:
        if os.path.basename(path) not in names:
            yield Hit(run.infer_result.name, short(os.path.basename(path)))


@OUT.rule('verifier/plain-keys', 'l.11', WARNING)
def plain_keys(run: Run) -> Iterator[Hit]:
    for image in images_of(run):
        if os.path.basename(image) != image:
            yield Hit(run.infer_result.place('detection', image), short(image))


@OUT.rule('verifier/mining-count', 'l.12', WARNING)
def mining_count(run: Run) -> Iterator[Hit]:
    run.need_task(MINING)
    columns = [values[0] for _, values in lines_of(run)]
    named = {*columns, *(column.split(' ')[0] for column in columns)}  # a wrong separator is a matter of another rule
    for path in run.candidates:
        if path not in named:
            yield Hit('result.tsv', short(path))


@OUT.rule('verifier/mining-spaces', 'l.12', WARNING)
def mining_spaces(run: Run) -> Iterator[Hit]:
    for number, values in lines_of(run):
        if len(values) == 2 and len(values[0].split()) > 1:
            yield Hit(f'result.tsv:{number}', short(values[0]))


@OUT.rule('verifier/rle', 'l.13', WARNING)
def rle(run: Run) -> Iterator[Hit]:
    for keys, item in entries_of(run, 'annotations'):
        mask = item.get('segmentation')
        if is_one_polygon(mask) or isinstance(mask, dict) and 'size' not in mask:
            yield Hit(run.infer_result.place(*keys, 'segmentation'), short(mask))
