"""Inference of object type 4: masks of objects, as the platform reads them, the same however the work is shared."""

import itertools
import json
import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from tests.ymir_exc import platform_rules as rules
from tmi.families.detections import Detections
from tmi.inference.plan import make_plan
from tmi.inference.shards import Prediction
from tmi.inference.worker import predict_shard
from ymir import ymir_infer, ymir_mining
from ymir.errors import as_task_error, code_of
from ymir.params import InferParams, load_params
from ymir.results import to_instances
from ymir_exc.code import ExecutorReturnCode
from ymir_local.check import check_out

from .sandbox import CLASS_NAMES, Task
from .test_families import make_predictor

pytestmark = pytest.mark.integration
FILES = ('infer-result.json', 'result.tsv', 'mining-summary.json', 'skipped-images.tsv')


@pytest.fixture
def run(tmp_path, instance_files, images, monkeypatch):
    """Infer in this process, or mine and infer, and give the task."""

    def run(flags=('infer',), processes=1, workers=0, batch_size=16, files=instance_files, **params):
        def predict(plan, folder, on_progress):
            assert plan.world_size == processes
            for rank in range(processes):
                predict_shard(replace(plan, workers=workers), folder, rank)

        bad = tmp_path / 'text.jpg'
        bad.write_text('this is text')
        paths = [*images[:5], bad, *images[5:9]]
        folder = tmp_path / f'{"-".join(flags)}-{processes}-{workers}-{batch_size}'
        params = {'samples_per_gpu': batch_size, 'conf_threshold': 0.05, 'object_type': 4, **params}
        task = Task(folder, paths, files, flags, **params)
        monkeypatch.setattr(os, 'environ', dict(os.environ, YMIR_CPU_PROCESSES=str(processes)))
        monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(task.env_file))
        monkeypatch.setattr('tmi.inference.run._run_processes', predict)
        for main in [ymir_mining.main] * ('mining' in flags) + [ymir_infer.main]:
            main()
        logging.getLogger().handlers.clear()
        return task

    return run


def read_result(task):
    text = (task.out / 'infer-result.json').read_text()
    assert rules.segmentation_result_violations(text) == []
    return json.loads(text)


def test_objects_with_masks_as_the_platform_reads_them(run, images, capsys):
    task = run(('mining', 'infer'))
    assert 'The predictions of the task before are used again' in capsys.readouterr().out
    assert len(task.ranking()) == 10
    result = read_result(task)
    names = [image['file_name'] for image in result['images']]
    assert sorted(names) == sorted([*(path.name for path in images[:9]), 'text.jpg'])
    assert [category['name'] for category in result['categories']] == CLASS_NAMES
    sizes = {image['id']: [image['height'], image['width']] for image in result['images']}
    assert len(result['annotations']) > 20
    for item in result['annotations']:
        assert item['segmentation']['size'] == sizes[item['image_id']]
        assert item['area'] == mask_utils.area(item['segmentation']) >= 1
        assert 0.05 < item['confidence'] <= 1 and min(item['bbox'][2:]) >= 1
    unreadable = result['images'][names.index('text.jpg')]['id']
    assert not [item for item in result['annotations'] if item['image_id'] == unreadable]
    assert [finding for finding in check_out(task.out) if finding.ok is False] == []


@pytest.mark.slow
def test_the_boxes_are_those_of_detection(run):
    with_masks = read_result(run())
    boxes = run(object_type=2).detections()
    names = {image['id']: image['file_name'] for image in with_masks['images']}
    found = {name: [] for name in names.values()}
    for item in with_masks['annotations']:
        found[names[item['image_id']]].append((CLASS_NAMES[item['category_id']], item['confidence'], *item['bbox']))
    expected = {
        name: [(item['class_name'], item['score'], *(item['box'][side] for side in 'xywh')) for item in items]
        for name, items in boxes.items()
    }
    assert all(
        set(items) <= set(expected[name]) for name, items in found.items()
    )  # objects with an empty mask are missing
    assert sum(map(len, found.values())) > 0.5 * sum(map(len, expected.values()))


def test_mining_alone_draws_no_masks(instance_files, images):
    params = load_params(
        InferParams, {'class_names': CLASS_NAMES, 'object_type': 4, 'model_params_path': [*map(str, instance_files)]}
    )
    with_masks, without = (make_plan(params, 'x', 1, '', 0.2, masks=masks) for masks in (True, False))
    assert with_masks.covers(without) and not without.covers(with_masks)
    predictor, letterbox = make_predictor(instance_files, 0.05, 0.65)
    image, pixels = letterbox(0, str(images[0]))
    arguments = torch.from_numpy(pixels)[None], [image.meta]
    (plain,), (evidence,) = predictor.predict(*arguments), predictor.inspect(*arguments)
    predictor.with_masks = True
    (masked,), (inspected,) = predictor.predict(*arguments), predictor.inspect(*arguments)
    assert plain.masks is evidence.detections.masks is None and len(masked.masks) == len(plain.boxes) > 3
    assert inspected.detections.masks == masked.masks
    for found in (evidence.detections, masked, inspected.detections):
        assert torch.equal(found.boxes, plain.boxes) and torch.equal(found.scores, plain.scores)
    for name in ('class_scores', 'support', 'spread', 'embedding'):
        assert torch.equal(getattr(evidence, name), getattr(inspected, name))


def test_a_detector_has_no_masks(run, model_files):
    with pytest.raises(Exception, match='predicts boxes and no masks, which instance segmentation needs') as caught:
        run(files=model_files)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_MODEL_ERROR


@pytest.mark.slow
def test_the_same_files(run):
    first, *others = [
        [(task.out / name).read_bytes() for name in FILES]
        for task in itertools.starmap(
            lambda *shared: run(('mining', 'infer'), *shared), itertools.product((1, 2, 3), (0, 4), (1, 16))
        )
    ]
    assert b'"counts"' in first[0] and all(other == first for other in others)


def test_a_prediction_above_a_threshold_keeps_its_masks():
    prediction = Prediction(
        0, 'a', (9, 9), [[0, 0, 1, 1], [1, 1, 2, 2]], [0.9, 0.3], [0, 1], masks=['abc', 'de'], areas=[4, 0]
    )
    assert (prediction.above(0.5).masks, prediction.above(0.5).areas) == (['abc'], [4])
    assert [item.counts for item in to_instances(prediction)] == ['abc']  # the other mask is empty
    twice = prediction._replace(boxes=[[0, 0, 1, 1.2], [0, 0, 1, 0.9]], labels=[0, 0], areas=[4, 5])
    assert [item.counts for item in to_instances(twice)] == ['abc']
    assert [item.counts for item in to_instances(twice._replace(labels=[0, 1]))] == ['abc', 'de']


def test_masks_of_objects_that_are_not_finite_are_left_out():
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, np.inf, 1], [1, 1, 2, 2]])
    found = Detections(boxes, torch.ones(3), torch.arange(3), masks=['a', 'b', 'c'])
    kept = found.where(boxes.isfinite().all(1))
    assert (kept.labels.tolist(), kept.masks, kept.finite) == ([0, 2], ['a', 'c'], False)
    assert replace(found, masks=None).where(boxes.isfinite().all(1)).masks is None
