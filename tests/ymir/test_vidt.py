"""ViDT trains, goes on, mines and infers through the executor as the platform runs it, in one process and in two."""

import filecmp
import json
import os

import pytest
import torch
import yaml

from tests.vidt.test_checkpoint import swin_of_imagenet
from tests.ymir.infer.sandbox import Task, write_images
from tests.ymir.training.platform import check_result, read_monitor, resumable_epoch, run_start, tiny_task
from tests.ymir.vidt_models import random_model, small_config, write_package, write_public
from tmi.checkpoint_io import load_checkpoint
from tmi.mining.stats import read_stats
from vidt.checkpoint import from_public
from vidt.coco import CLASS_NAMES as COCO_NAMES
from vidt.coco import NUMBERS
from vidt.models import SwinWithRAM

pytestmark = [pytest.mark.slow, pytest.mark.integration]
CLASSES = ['one', 'two']
TOKENS = 'model.backbone.num_det_tokens=20'
SMALL = f'model.num_decoder_layers=2 {TOKENS}'
SETTINGS = {'model_name': 'vidt_nano', 'cfg_options': SMALL, 'img_size': '96,64', 'max_keep_checkpoints': 2}


@pytest.fixture(scope='module', params=[1, 2])
def trained(request, tmp_path_factory):
    """A training in one process, and in two."""
    folder = tmp_path_factory.mktemp(f'vidt-{request.param}')
    task = tiny_task(folder, num_train=12, num_val=4, max_epochs=3, **SETTINGS)
    done = run_start(task, folder, YMIR_CPU_PROCESSES=str(request.param))
    assert done.returncode == 0, done.stdout
    return task, done.stdout, folder


def stage_files(task, stage=None):
    result = yaml.safe_load((task.out_dir / 'models/result.yaml').read_text())
    names = result['model_stages'][stage or result['best_stage_name']]['files']
    return [task.out_dir / 'models' / name for name in names]


def test_training(trained):
    task, log, _ = trained
    result = check_result(task)
    assert read_monitor(task)[:3] == (1, 2, 0)
    assert {'best', 'last'} <= set(result['model_stages']) and result['evaluate_config'] == {'conf_thr': 0.0}
    weights, config, *others = stage_files(task)
    assert config.name == 'vidt_nano_8xb2-50e_coco.py' and 'mining_stats.npz' in [path.name for path in others]
    state = load_checkpoint(weights)['state_dict']
    assert state['class_embed.2.weight'].shape == (2, 256) and 'class_embed.3.weight' not in state
    assert state['backbone.det_token'].shape == (1, 20, 48)
    assert all(text in log for text in ('loss_ce_1', 'loss_giou', 'AdamW', 'warm-up', 'coco/bbox_mAP'))
    assert 'weight average' not in log and 'mosaics' not in log and 'not writable' not in log
    stats = read_stats(next(path for path in others if path.name == 'mining_stats.npz'))
    assert stats.class_names == CLASSES and stats.num_images == 12


def test_a_training_goes_on(trained):
    task, _, folder = trained
    assert resumable_epoch(task) == 3
    edits = {'max_epochs': 4, 'args_options': '--resume', 'cfg_options': TOKENS}  # the file tells the layers
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump({**config, **edits}))
    done = run_start(task, folder)
    assert done.returncode == 0, done.stdout
    assert load_checkpoint(stage_files(task, 'last')[0])['meta']['epoch'] == 4
    assert 'Epoch(train) [3]' not in done.stdout and 'Epoch(train) [4]' in done.stdout


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'), 10)


def mine_and_infer(folder, images, files, processes, monkeypatch, names=CLASSES, **params):
    monkeypatch.setenv('YMIR_CPU_PROCESSES', str(processes))
    settings = {'class_names': names, 'conf_threshold': 0.001, 'workers_per_gpu': 0, **params}
    task = Task(folder, images, files, ('mining', 'infer'), **settings)
    done = task.start()
    assert done.returncode == 0, done.stdout
    return task, done.stdout


@pytest.mark.parametrize('algorithm', ['hybrid', 'cald', 'aldd'])
def test_mining_and_inference_give_the_same_files(trained, images, tmp_path, monkeypatch, algorithm):
    files = stage_files(trained[0])
    one, two = (
        mine_and_infer(tmp_path / str(count), images, files, count, monkeypatch, mining_algorithm=algorithm)[0]
        for count in (1, 2)
    )
    for name in ('infer-result.json', 'result.tsv'):
        assert filecmp.cmp(one.out / name, two.out / name, shallow=False)
    found = one.detections()
    assert set(found) == {path.name for path in images} and all(found.values())
    scores = [float(row[1]) for row in one.ranking()]
    assert scores == sorted(scores, reverse=True) and max(scores) > 0


def test_a_public_file_infers_and_is_fine_tuned(images, tmp_path, monkeypatch):
    """With the class of parsed arguments in it, by its own name; three classes take over the rows of their names."""
    model = random_model(small_config(num_classes=91, layers=2, arch='nano'))
    file = write_public(tmp_path / 'vidt_nano_50.pth', model)
    task, _ = mine_and_infer(tmp_path / 'infer', images[:3], [file], 1, monkeypatch, list(COCO_NAMES), img_size='96,64')
    assert all(task.detections().values())

    task = tiny_task(
        tmp_path,
        num_train=4,
        num_val=4,
        **{**SETTINGS, 'max_epochs': 1, 'learning_rate': 1e-9, 'cfg_options': TOKENS},
        pretrained_model_params=[str(file)],
    )
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    names = ['dog', 'one', 'two']
    (task.in_dir / 'config.yaml').write_text(
        yaml.safe_dump({**config, 'class_names': names, 'pretrained_model_params': [str(file)]})
    )
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    state = load_checkpoint(stage_files(task)[0])['state_dict']
    dog = NUMBERS[COCO_NAMES.index('dog')]
    torch.testing.assert_close(state['class_embed.2.weight'][0], model.class_embed[2].weight[dog], atol=1e-5, rtol=0)
    assert 'class_embed.3.weight' not in state  # as in the file, not in the config
    assert 'mapped class by class (dog)' in done.stdout and 'tensors loaded' in done.stdout


def test_a_backbone_of_imagenet_is_what_a_training_starts_from(tmp_path):
    """As the image holds it, under its public name, for a model of which no weights were published."""
    torch.manual_seed(0)
    state = swin_of_imagenet(SwinWithRAM('nano', 5))
    (tmp_path / 'weights').mkdir()
    torch.save({'model': state, 'epoch': 299}, tmp_path / 'weights' / 'swin_nano_patch4_window7_224.pth')
    settings = {**SETTINGS, 'model_name': 'vidt_wo_neck_nano', 'cfg_options': TOKENS}
    task = tiny_task(tmp_path, num_train=4, num_val=4, **{**settings, 'max_epochs': 1, 'learning_rate': 1e-9})
    done = run_start(task, tmp_path, YMIR_WEIGHTS_DIR=str(tmp_path / 'weights'))
    assert done.returncode == 0, done.stdout
    taken = {name: value for name, value in from_public(state).items() if 'layers.3.downsample' not in name}
    trained = load_checkpoint(stage_files(task)[0])['state_dict']
    for name, value in taken.items():
        torch.testing.assert_close(trained[name], value, atol=1e-6, rtol=0)
    assert 'of the backbone alone, trained on ImageNet' in done.stdout
    assert f'the file holds a backbone alone, of which {len(taken)} tensors are taken' in done.stdout


def test_a_student_learns_from_a_teacher(tmp_path):
    file = write_public(tmp_path / 'base.pth', random_model(small_config(layers=2)))
    settings = {**SETTINGS, 'max_epochs': 1, 'args_options': f'--distil_model_path {file}'}
    task = tiny_task(tmp_path, num_train=4, num_val=4, **settings)
    done = run_start(task, tmp_path)
    assert done.returncode == 0, done.stdout
    assert 'loss_distil' in done.stdout
    weights, config, *_ = stage_files(task)
    assert not [name for name in load_checkpoint(weights)['state_dict'] if 'teacher' in name]
    assert 'teacher' not in config.read_text()


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_an_engine_finds_the_same(images, tmp_path, monkeypatch, engine):
    names = [*CLASSES, 'three']
    files = write_package(tmp_path / 'model', small_config(layers=2), names)
    found = []
    for name in ('torch', engine):
        task, log = mine_and_infer(tmp_path / name, images, files, 2, monkeypatch, names, engine=name)
        found.append(task.detections())
        assert f'engine is {name}, torch is used' not in log
    for one, other in ((found[0][path.name], found[1][path.name]) for path in images):
        assert len(one) == len(other) > 5
        for a, b in zip(*(sorted(boxes, key=lambda box: round(box['score'], 3)) for boxes in (one, other))):
            assert a['score'] == pytest.approx(b['score'], abs=2e-3)
        for box in one:  # whole pixels, on either side of a half
            sides = [[abs(box['box'][side] - near['box'][side]) for side in 'xywh'] for near in other]
            assert min(map(max, sides)) <= 1


class Code:
    """Pickles to a call."""

    def __reduce__(self):
        return os.mkdir, ('executed',)


def test_a_file_with_code_is_refused(tmp_path):
    file = write_public(tmp_path / 'vidt_nano_50.pth', random_model(small_config()), args=Code())
    task = tiny_task(tmp_path, **SETTINGS)
    config = yaml.safe_load((task.in_dir / 'config.yaml').read_text())
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump({**config, 'pretrained_model_params': [str(file)]}))
    done = run_start(task, tmp_path)
    assert done.returncode == 1 and read_monitor(task)[2] == 300004
    assert not (tmp_path / 'executed').exists() and 'could run code' in json.dumps(done.stdout)
