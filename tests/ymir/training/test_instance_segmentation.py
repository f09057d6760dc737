"""A training of object type 4: settings, models, data, metrics and stages; slow: trained, and inferred with."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from mmengine.config import Config
from pycocotools import mask as mask_utils

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
from mmyolo.evaluation.coco_api import evaluate, mean_defined
from tests.ymir.mask_scenes import CLASS_NAMES, draw_scenes, with_rle
from tests.ymir_exc import platform_rules as rules
from tmi.errors import TaskError
from tmi.training.config import TrainingTask, modify_mmengine_config
from tmi.training.data import TrainingData
from tmi.training.metrics import named_metrics
from tmi.zoo.models import find_model, models
from ymir.checkpoint_hook import YmirCheckpointHook
from ymir.data import prepare_training_data
from ymir.errors import as_task_error, code_of
from ymir.params import InferParams, MiningParams, TrainingParams, load_params
from ymir.ymir_training import HOOKS
from ymir_exc import settings
from ymir_exc.code import ExecutorReturnCode
from ymir_exc.reading import read_training_result
from ymir_local.check import check_out
from ymir_local.platform import package
from ymir_local.platform.prepare import IMG_MAN, hyper_parameters, prepare_candidates, prepare_training

from .hook_runs import CONFIG, make_runner
from .platform import run_start

NAMES = {'class_names': CLASS_NAMES}
TASKS = {'training': TrainingParams, 'mining': MiningParams, 'infer': InferParams}
SEGM = 'coco/segm_'


@pytest.mark.parametrize('name', TASKS)
def test_templates_hold_the_defaults(name):
    template = yaml.safe_load((IMG_MAN / f'instance-seg/{name}-template.yaml').read_text(encoding='utf-8'))
    assert template == TASKS[name].template(masks=True)
    config = {**NAMES, 'object_type': 4}
    assert load_params(TASKS[name], {**config, **template}) == load_params(TASKS[name], config)
    detection = (IMG_MAN / f'det/{name}-template.yaml').read_bytes()
    assert detection == (IMG_MAN / f'{name}-template.yaml').read_bytes()


@pytest.mark.parametrize('cls', TASKS.values())
@pytest.mark.parametrize('value', [4, '4', ' 4 ', 4.0])
def test_the_object_type_alone_asks_for_masks(cls, value, caplog):
    assert load_params(cls, {**NAMES, 'object_type': value}).masks
    assert not caplog.records
    for config in ({'object_type': 2}, {}, {'masks': True}, {'object_type': 2, 'masks': True}):
        assert not load_params(cls, {**NAMES, **config}).masks
    assert 'Unknown key in config.yaml: masks' in caplog.text
    assert load_params(cls, {**NAMES, 'object_type': 4, 'masks': False}).masks


def test_models_of_each_kind():
    listed = models(masks=True)
    assert {f'yolov5_ins_{size}' for size in 'nsmlx'} <= {model.name for model in listed}
    assert all(find_model(name, masks=True) == model for model in listed for name in (model.name, model.stem))
    assert not {model.config for model in listed} & {model.config for model in models()}
    assert TrainingParams.mask_defaults['model_name'] in {model.name for model in listed}


@pytest.mark.parametrize(
    'name, masks, words',
    [
        ('yolov8_n', True, r"'yolov8_n', which learns no masks, and this task is instance segmentation.*yolov5_ins_n"),
        ('configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py', True, 'learns no masks'),
        ('YOLOv5-ins-n', False, 'which learns masks, and this task is detection'),
        ('yolov5_ins_q', True, 'Unknown model_name.*nearest are yolov5_ins_'),
    ],
)
def test_a_model_of_the_other_kind_is_named(name, masks, words):
    with pytest.raises(TaskError, match=words) as caught:
        find_model(name, masks)
    assert code_of(caught.value) == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR


@pytest.mark.parametrize('model', models(masks=True), ids=lambda model: model.name)
def test_the_config_learns_and_measures_masks(model):
    params = load_params(TrainingParams, {**NAMES, 'object_type': 4, 'model_name': model.name, 'patience': 2})
    data = TrainingData(Path('/out/train.json'), Path('/out/val.json'), ((640, 480),) * 400)
    task = TrainingTask(params, model, data, 1, 'cpu', Path('/out/models'), Path('/out/tensorboard'), hooks=HOOKS)
    training = modify_mmengine_config(Config.fromfile(model.config), task)
    run = training.run
    assert run.val_evaluator.metric == run.test_evaluator.metric == ['bbox', 'segm']
    assert training.package.test_evaluator.metric == ['bbox', 'segm']
    assert run.default_hooks.checkpoint.metric_prefix == SEGM
    (patience,) = (hook for hook in run.custom_hooks if hook['type'] == 'PatienceHook')
    assert patience.metric_prefix == SEGM
    assert "'with_mask': True" in str(run.train_dataloader.dataset.pipeline)


def test_metrics_by_names_that_say_of_what_they_are():
    found = {'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_50': 0.75, 'coco/segm_mAP': 0.25, 'coco/segm_mAP_s': -1.0}
    assert named_metrics(found, SEGM) == {'maskAP': 0.25, 'boxAP': 0.5, 'boxAP_50': 0.75}
    assert named_metrics(found, 'coco/bbox_') == {'mAP': 0.5, 'mAP_50': 0.75}
    assert named_metrics({}, SEGM) == {'maskAP': 0.0, 'boxAP': 0.0}


def prepare(folder, images, num_val=2, **edits):
    parameters = hyper_parameters('training', edits, object_type=4)
    split = len(images) - num_val
    return prepare_training(folder / 'task', CLASS_NAMES, images[:split], images[split:], parameters, object_type=4)


def test_the_best_stage_is_that_of_the_masks(tmp_path, monkeypatch):
    task = prepare(tmp_path, draw_scenes(tmp_path / 'data', 2), 1)
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    models_dir = task.out_dir / 'models'
    (models_dir / CONFIG).write_text('model = dict()\n')
    runner, hook = make_runner(task), YmirCheckpointHook(CONFIG, 'yolov5_ins_n', (64, 64), 3, metric_prefix=SEGM)
    for mask_ap, box_ap in ((0.2, 0.3), (0.4, 0.1), (0.1, 0.9)):
        runner.epoch, runner.iter = runner.epoch + 1, runner.iter + 1
        hook.after_val_epoch(runner, {'coco/segm_mAP': mask_ap, 'coco/bbox_mAP': box_ap})
        hook.after_train(runner)
    result = read_training_result(models_dir)
    assert result.best == 'best'
    found = {name: stage.metrics for name, stage in result.stages.items()}
    assert found['best'] == {'maskAP': 0.4, 'boxAP': 0.1} and found['last'] == {'maskAP': 0.1, 'boxAP': 0.9}
    assert found['epoch_1'] == {'maskAP': 0.2}
    assert yaml.safe_load((models_dir / 'result.yaml').read_text())['maskAP'] == 0.4


def read_data(task, monkeypatch):
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(task.in_dir / 'env.yaml'))
    return prepare_training_data(CLASS_NAMES, task.out_dir, masks=True)


def without_masks(images):
    return [replace(image, boxes=tuple(replace(box, mask=None) for box in image.boxes)) for image in images]


def test_polygons_and_run_length_codes_give_the_same_data(tmp_path, monkeypatch):
    images = draw_scenes(tmp_path / 'data', 6)
    contents = []
    for kind, labelled in (('polygons', images), ('codes', with_rle(images))):
        data, splits = read_data(prepare(tmp_path / kind, labelled), monkeypatch)
        assert splits['train'].dropped_boxes.count == 0 and data.num_train == 4 and data.num_val == 2
        parts = [json.loads(path.read_text())['annotations'] for path in (data.train_file, data.val_file)]
        contents.append([item for part in parts for item in part])
    assert len(contents[0]) > 10
    for polygon, code in zip(*contents, strict=True):
        assert [polygon[key] for key in ('image_id', 'category_id', 'bbox')] == [
            code[key] for key in ('image_id', 'category_id', 'bbox')
        ]
        drawn = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygon['segmentation'], 96, 96)))
        painted = mask_utils.decode(code['segmentation'])
        assert (drawn & painted).sum() / (drawn | painted).sum() > 0.85 and code['area'] == painted.sum()


def test_boxes_among_masks_and_nothing_but_boxes(tmp_path, monkeypatch):
    images = draw_scenes(tmp_path / 'data', 4)
    bare = without_masks(images)
    mixed = replace(images[0], boxes=(bare[0].boxes[0], *images[0].boxes[1:]))
    data, splits = read_data(prepare(tmp_path / 'some', [mixed, bare[1], *images[2:]], 1), monkeypatch)
    assert splits['train'].dropped_boxes.by_reason == {'object without a mask': 1 + len(images[1].boxes)}
    assert splits['train'].skipped_images.by_reason == {'image whose objects have no mask': 1}
    assert data.num_train == 2
    with pytest.raises(Exception, match='3 x image whose objects have no mask.*train a detector on') as caught:
        read_data(prepare(tmp_path / 'none', bare, 1), monkeypatch)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_DATASET_ERROR
    with pytest.raises(Exception, match='instance segmentation needs seg-coco:raw') as caught:
        read_data(prepare(tmp_path / 'ark', images, 1, export_format='ark:raw'), monkeypatch)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_CONFIG_ERROR


def test_crowds_alone_are_nothing_to_learn(tmp_path, monkeypatch):
    task = prepare(tmp_path, draw_scenes(tmp_path / 'data', 3), 1)
    (path,) = task.in_dir.rglob('coco-annotations.json')
    content = json.loads(path.read_text())
    for item in content['annotations']:
        item['iscrowd'] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(Exception, match='marked as crowds') as caught:
        read_data(task, monkeypatch)
    assert code_of(as_task_error(caught.value)) == ExecutorReturnCode.RC_EXEC_DATASET_ERROR


def precision_of(task, images):
    """COCO's precision of the masks of an inference."""
    found = json.loads((task.out_dir / 'infer-result.json').read_text())
    names = {image['file_name']: image['id'] for image in found['images']}
    lines = zip((task.in_dir / 'candidate-index.tsv').read_text().split(), images, strict=True)
    objects = [
        {
            'id': number,
            'image_id': image_id,
            'category_id': box.class_index,
            'bbox': [box.x, box.y, box.w, box.h],
            'area': box.w * box.h,
            'iscrowd': 0,
            'segmentation': box.mask,
        }
        for number, (image_id, box) in enumerate(
            ((names[Path(line).name], box) for line, image in lines for box in image.boxes), 1
        )
    ]
    truth = {'images': found['images'], 'categories': found['categories'], 'annotations': objects}
    detections = [dict(item, score=item['confidence']) for item in found['annotations']]
    precision, _ = evaluate(truth, {**found, 'annotations': detections}, 'segm', (100,))
    return mean_defined(precision[:, :, :, 0, -1])


def train(folder, labelled, model_name):
    """Train for a while; gives the metrics of the best stage."""
    edits = dict(img_size=96, max_epochs=40, samples_per_gpu=8, workers_per_gpu=0, precision='fp32', pretrained='none')
    task = prepare(folder, labelled, 8, model_name=model_name, **edits)
    done = run_start(task, folder, timeout=3000)
    assert done.returncode == 0, done.stdout
    assert [finding for finding in check_out(task.out_dir) if finding.ok is False] == []
    return read_training_result(task.out_dir / 'models').stages['best'].metrics


@pytest.mark.slow
@pytest.mark.integration
def test_polygons_and_run_length_codes_train_to_the_same_metric(tmp_path):
    images, candidates = draw_scenes(tmp_path / 'data', 40), draw_scenes(tmp_path / 'candidates', 12, seed=1)
    metrics = [
        train(tmp_path / kind, labelled, 'yolov5_ins_n')
        for kind, labelled in (('polygons', images), ('codes', with_rle(images)))
    ]
    assert min(item['maskAP'] for item in metrics) > 0.4 and min(item['boxAP'] for item in metrics) > 0.3
    assert np.isclose(metrics[0]['maskAP'], metrics[1]['maskAP'], atol=0.15)

    stage = package.read_package(tmp_path / 'codes/task', tmp_path / 'package')
    assert stage.object_type == 4
    task = prepare_candidates(tmp_path / 'infer', [image.path for image in candidates], stage, infer=True)
    done = run_start(task, tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout
    assert rules.segmentation_result_violations((task.out_dir / 'infer-result.json').read_text()) == []
    assert [finding for finding in check_out(task.out_dir) if finding.ok is False] == []
    assert precision_of(task, candidates) > 0.3


@pytest.mark.slow
@pytest.mark.integration
def test_rtmdet_learns_masks_too(tmp_path):
    assert train(tmp_path, draw_scenes(tmp_path / 'data', 40), 'rtmdet_ins_tiny')['maskAP'] > 0.3
