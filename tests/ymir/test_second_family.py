"""A second family of models trains, mines and infers through the executor, with no line of it in tmi/ or ymir/."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

from mmyolo.utils import register_all_modules
from mmyolo.utils.registered_types import registry_tree
from tests.ymir.infer.sandbox import Task, write_image
from tests.ymir.training.platform import check_result, read_monitor, run_start, tiny_task
from tmi.errors import ModelError, SettingError
from tmi.families import FAMILIES_VARIABLE, family_of
from tmi.inference.package import read_package
from tmi.mining.stats import read_stats
from tmi.zoo.models import find_model
from tmi.zoo.weights import InferenceModel
from ymir_exc.mining_summary import read_mining_summary

ROOT = Path(__file__).resolve().parents[2]
ENTRY = 'tests.tiny_family.family:GridFamily'
CLASS_NAMES = ['one', 'two']


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setenv(FAMILIES_VARIABLE, ENTRY)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A training of the family by start.py."""
    folder = tmp_path_factory.mktemp('family')
    task = tiny_task(
        folder,
        model_name='grid',
        cfg_options='optim_wrapper.optimizer.lr=0.02',
        max_epochs=20,
        val_interval=10,
        patience=2,
        num_train=32,
        num_val=12,
    )
    done = run_start(task, folder, **{FAMILIES_VARIABLE: ENTRY})
    assert done.returncode == 0, done.stdout
    return task


@pytest.mark.integration
def test_training(trained):
    result = check_result(trained)
    percent, state, code, _ = read_monitor(trained)
    assert (percent, state, code) == (1, 2, 0)  # running, as the platform writes the end
    assert result['evaluate_config'] == {'conf_thr': 0.5}
    assert 0 < result['mAP'] <= 1  # of cells/mAP, which no other family knows
    weights = torch.load(weights_of(trained)[0], weights_only=False)
    assert weights['state_dict']['layers.4.weight'].shape[0] == len(CLASS_NAMES)
    stats = read_stats(weights_of(trained)[2])
    assert stats.class_names == CLASS_NAMES and stats.num_images == 32 and stats.num_boxes.sum() >= 32
    assert 20 < len(stats.centroids) <= 44


def weights_of(task):
    result = yaml.safe_load((task.out_dir / 'models/result.yaml').read_text())
    return [task.out_dir / 'models' / name for name in result['model_stages'][result['best_stage_name']]['files']]


@pytest.mark.integration
def test_mining_and_inference(trained, tmp_path, registered):
    images = [write_image(tmp_path / f'{number}.png', 128, 64, seed=number) for number in range(4)]
    task = Task(
        tmp_path, images, weights_of(trained), ('mining', 'infer'), class_names=CLASS_NAMES, conf_threshold=0.5001
    )
    done = task.start()
    assert done.returncode == 0, done.stdout
    boxes = [item['box'] for found in task.detections().values() for item in found]
    assert set(task.detections()) == {path.name for path in images} and boxes
    # Cells of the input, which is half as wide as the image: no detector of another kind gives these alone.
    assert all((box['w'], box['h'], box['x'] % 32, box['y'] % 16) == (32, 16, 0, 0) for box in boxes)
    ranking = task.ranking()
    assert sorted(row[0] for row in ranking) == sorted(map(str, images))
    scores = [float(row[1]) for row in ranking]
    assert scores == sorted(scores, reverse=True) and max(scores) > 0
    summary = read_mining_summary(task.out)  # of the default, which compares with the labelled images of the training
    assert summary.first[0].nearest == '' and not any('No labelled' in text for text in summary.fallbacks)


@pytest.mark.integration
def test_a_package_cannot_name_a_family(trained):
    register_all_modules()
    weights, config, *_ = weights_of(trained)
    with pytest.raises(ModelError, match='detector with one stage'):
        read_package(InferenceModel(weights, config))


def test_names_of_models(registered):
    model = find_model('Grid')
    assert (model.name, model.stem) == ('grid', 'grid')
    assert type(family_of({'type': 'GridDetector'})).__name__ == 'GridFamily'
    assert type(family_of({'type': 'YOLODetector', 'bbox_head': {}})).__name__ == 'DenseFamily'


@pytest.mark.parametrize('entry', ['no_such_module:Family', 'tests.tiny_family.family:Absent', 'tests', ':', 'a b'])
def test_a_family_that_cannot_be_loaded(monkeypatch, entry):
    monkeypatch.setenv(FAMILIES_VARIABLE, f'{ENTRY},{entry}')
    with pytest.raises(SettingError, match=f'{FAMILIES_VARIABLE} names {entry!r}.*module:Class'):
        family_of({'type': 'GridDetector'})


def names_of_the_library():
    """Registered heads and detectors, hooks, transforms and data sets of mmyolo and mmdet."""
    register_all_modules()
    kinds = ((MODELS, ('dense_heads', 'detectors')), (HOOKS, ('',)), (TRANSFORMS, ('',)), (DATASETS, ('',)))
    return {
        name
        for root, parts in kinds
        for registry in registry_tree(root)
        for name, value in registry.module_dict.items()
        if value.__module__.startswith(('mmyolo.', 'mmdet.')) and any(part in value.__module__ for part in parts)
    }


def test_only_families_name_heads_hooks_and_transforms():
    names = names_of_the_library() - {'UnreadableImagesHook'}  # of image files, whatever is trained on them
    assert {'YOLOv8Head', 'YOLODetector', 'YOLOXModeSwitchHook', 'LetterResize', 'YOLOv5CocoDataset'} <= names
    names |= {'bbox_head', 'head_module', 'LoadImageFromFile', 'bbox_mAP'}
    wrong = [
        f'{path.relative_to(ROOT)}:{number}: {word}'
        for path in [*(ROOT / 'tmi').rglob('*.py'), *(ROOT / 'ymir').rglob('*.py')]
        if not path.is_relative_to(ROOT / 'tmi/families')
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        for word in re.findall(r'\w+', line)
        if word in names
    ]
    assert not wrong, '\n'.join(wrong)
