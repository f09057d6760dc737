"""Untrusted model packages: none runs, writes or deletes anything, and each has a code and a sentence."""

import copy
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.mmyolo.utils.files_of_all_kinds import Call, hostile_calls, junk, no_weights
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import TaskError
from tmi.inference.heartbeat import heartbeat_path
from tmi.inference.image_list import IMAGE_LIST_FILE, write_image_list
from tmi.inference.plan import PredictionPlan
from tmi.inference.shards import merge_shards
from tmi.inference.worker import predict_shard
from ymir.errors import code_of

from .sandbox import CLASS_NAMES, Task

JUNK = junk()
NO_WEIGHTS = no_weights()


@pytest.fixture(scope='module')
def config(model_files):
    return Config.fromfile(model_files[1]).to_dict()


@pytest.fixture
def predict(tmp_path, model_files, images, monkeypatch):
    """Predicts two images in this process; None for the config is the one within the checkpoint."""
    monkeypatch.setattr(torch, 'set_num_threads', lambda number: None)

    def run(checkpoint=model_files[0], config=model_files[1]):
        plan = PredictionPlan(
            source='index.tsv',
            num_images=2,
            checkpoint=str(checkpoint),
            config=str(config) if config else None,
            class_names=CLASS_NAMES,
            score_thr=0.2,
            iou_thr=0.65,
            image_size=None,
            precision='auto',
            batch_size=8,
            gpu_ids=[],
            world_size=1,
            workers=0,
        )
        (tmp_path / 'out').mkdir(exist_ok=True)
        write_image_list(map(str, images[:2]), tmp_path / 'out')
        predict_shard(plan, tmp_path / 'out', 0)
        return list(merge_shards(tmp_path / 'out', 1, 2))

    return run


def as_text(config):
    """What `Config.dump` writes, but for the line breaks, which take it a second."""
    return ''.join(f'{key} = {value!r}\n' for key, value in config.items())


def set_value(config, place, value):
    """A copy with another value at a dotted place."""
    changed = copy.deepcopy(config)
    *above, last = place.split('.')
    node = changed
    for key in above:
        node = node[key]
    node[last] = value
    return changed


def calls(canary):
    """Parts of a config that would make, read or remove files: name to part."""
    text, script = str(canary), str(canary.parent / 'script.py')
    return {
        'open': {'type': 'builtins.open', 'file': text, 'mode': 'w'},
        'touch': {'type': 'os.system', 'command': f'touch {text}'},
        'load': {'type': 'mmengine.load', 'file': str(canary.parent / 'x.pkl')},
        'rmtree': {'type': 'mmengine.rmtree', 'path': text},
        'put_text': {'type': 'mmengine.put_text', 'obj': 'x', 'filepath': text},
        'dump': {'type': 'mmengine.dump', 'obj': 1, 'file': text, 'file_format': 'json'},
        'fromfile': {'type': 'mmengine.Config.fromfile', 'filename': script},
        'copytree': {'type': 'mmengine.copyfile', 'src': script, 'dst': text},
        'imwrite': {'type': 'mmcv.imwrite', 'file_path': text},
        'init_detector': {'type': 'mmdet.apis.init_detector', 'config': script},
        'distillation': {'type': 'mmdet.KnowledgeDistillationSingleStageDetector', 'teacher_config': script},
        'lad': {'type': 'mmdet.LAD', 'teacher_config': script},
        'semi': {'type': 'mmdet.SemiBaseDetector', 'detector': {}},
        'scope': {'type': 'system', '_scope_': 'os'},
        'tracking': {'type': 'CameraMotionCompensation', 'warp_mode': '1'},
        'no text': {'type': ['open'], 'file': text},
        'teacher': {'type': 'YOLODetector', 'teacher_config': script},
    }


PLACES = (
    'model',
    'model.backbone',
    'model.bbox_head.bbox_coder',
    'model.data_preprocessor',
    'model.test_cfg.nms',
    'model.train_cfg',
    'model.neck.norm_cfg',
    'test_dataloader.dataset.pipeline',
)


@pytest.mark.parametrize('name', calls(Path('/x/y')))
def test_nothing_is_called(tmp_path, predict, config, model_files, name):
    canary = tmp_path / 'canary'
    (tmp_path / 'script.py').write_text(f'open({str(canary)!r}, "w")')
    (tmp_path / 'x.pkl').write_bytes(b'cbuiltins\nopen\n(V' + str(canary).encode() + b'\nVw\ntR.')
    part = calls(canary)[name]
    weights = torch.load(model_files[0], weights_only=True)
    before = sorted(tmp_path.rglob('*'))
    for place in PLACES:
        text = as_text(set_value(config, place, [part] if place.endswith('pipeline') else part))
        (tmp_path / 'hostile.py').write_text(text)
        with pytest.raises(TaskError, match='The config of .*hostile.py') as caught:
            predict(config=tmp_path / 'hostile.py')
        assert code_of(caught.value) == 300004, place
    torch.save(dict(weights, meta={'cfg': text}), tmp_path / 'hostile.pth')
    with pytest.raises(TaskError, match='The config of .*hostile.pth'):
        predict(checkpoint=tmp_path / 'hostile.pth', config=None)
    assert set(tmp_path.rglob('*')) - set(before) <= {
        tmp_path / 'out',
        tmp_path / 'out' / IMAGE_LIST_FILE,
        heartbeat_path(tmp_path / 'out', 0),
        tmp_path / 'hostile.py',
        tmp_path / 'hostile.pth',
    }


@pytest.mark.parametrize(
    'place, value',
    [
        ('model', 3),
        ('model', 'x'),
        ('model', []),
        ('model', {}),
        ('model.type', 'mmdet.FasterRCNN'),
        ('model.type', 'YOLOv8Head'),
        ('model.backbone', None),
        ('model.backbone', 'x'),
        ('model.backbone', {}),
        ('model.backbone.norm_cfg', 3),
        ('model.backbone.act_cfg', 'x'),
        ('model.backbone.widen_factor', 'x'),
        ('model.backbone.widen_factor', math.nan),
        ('model.backbone.widen_factor', 1e12),
        ('model.neck', 3),
        ('model.bbox_head', None),
        ('model.bbox_head', {'type': 'SiLU'}),
        ('model.bbox_head.head_module', []),
        ('model.bbox_head.head_module.num_classes', '3'),
        ('model.bbox_head.head_module.num_classes', 10**12),
        ('model.bbox_head.prior_generator.strides', 8),
        ('model.bbox_head.bbox_coder', {'type': 'SiLU'}),
        ('model.data_preprocessor', {'type': 'SiLU'}),
        ('model.data_preprocessor.mean', 'abc'),
        ('model.test_cfg', 3),
        ('model.test_cfg', 'x'),
        ('model.test_cfg.nms', 'nms'),
        ('model.test_cfg.nms', 3),
        ('model.test_cfg.nms_pre', 'x'),
        ('model.test_cfg.nms_pre', [1]),
        ('model.test_cfg.max_per_img', 'x'),
        ('model.test_cfg.max_per_img', {}),
        ('model.test_cfg.min_bbox_size', 'x'),
        ('model.test_cfg.nms.max_num', 'x'),
        ('test_dataloader', 3),
        ('test_dataloader', [1]),
        ('test_dataloader.dataset', 'x'),
        ('test_dataloader.dataset.pipeline', 3),
        ('test_dataloader.dataset.pipeline', ['x']),
        ('test_dataloader.dataset.pipeline', [{'type': 'LetterResize'}]),
        ('test_dataloader.dataset.pipeline', [{'type': 'LetterResize', 'scale': 'x'}]),
        ('test_dataloader.dataset.pipeline', [{'type': 'LetterResize', 'scale': (0, 0)}]),
        ('test_dataloader.dataset.pipeline', [{'type': 'mmdet.RandomFlip', 'prob': 3}]),
        ('test_dataloader.dataset.pipeline', [{'type': 'Mosaic'}]),
    ],
    ids=str,
)
def test_configs_of_wrong_types(tmp_path, predict, config, place, value):
    changed = set_value(config, place, value)
    if place.startswith('test_dataloader'):
        changed.pop('test_pipeline')
    (tmp_path / 'odd.py').write_text(as_text(changed))
    with pytest.raises(TaskError) as caught:
        predict(config=tmp_path / 'odd.py')
    assert code_of(caught.value) == 300004 and len(caught.value.sentence) < 800


@pytest.mark.parametrize(
    'place, value, words',
    [
        ('model.backbone.deepen_factor', 1e5, 'far larger than its weights'),
        ('model.backbone.widen_factor', 30, 'far larger than'),
        ('model.bbox_head.head_module.num_classes', 20000, 'far larger than'),
        ('model.neck.act_cfg', {'type': 'PReLU', 'num_parameters': 10**9}, 'far larger than'),
        ('model.data_preprocessor.pad_size_divisor', 1 << 15, 'from 1 to 1024'),
        ('model.data_preprocessor.pad_size_divisor', 0, 'from 1'),
        ('model.bbox_head.prior_generator.strides', [1e-9] * 3, 'the largest stride 1e-09'),
        ('model.neck.upsample_cfg', {'type': 'nearest', 'scale_factor': 10**4}, 'numbers up to 16'),
        ('model.test_cfg.nms_pre', -(10**30), 'a large number'),
        ('test_dataloader.dataset.pipeline', [{'type': 'LetterResize', 'scale': (1 << 15, 32)}], 'numbers up to 8,192'),
        ('test_dataloader.dataset.pipeline', [{'type': 'mmdet.Pad', 'size': (32, 10**6)}], 'numbers up to 8,192'),
        ('test_dataloader.dataset.pipeline', [{'type': 'Resize', 'scale_factor': 200}], 'numbers up to 16'),
        (
            'test_dataloader.dataset.pipeline',
            [{'type': 'Resize', 'scale': (8000, 8000)}] * 101,
            'has 101 steps; at most 100',
        ),
        (
            'test_dataloader.dataset.pipeline',
            [{'type': 'RandomResize', 'scale': (9, 9), 'ratio_range': (1, 10**3)}],
            'numbers up to 16',
        ),
    ],
    ids=str,
)
def test_numbers_that_would_fill_the_memory(tmp_path, predict, config, place, value, words):
    changed = set_value(config, place, value)
    if place.startswith('test_dataloader'):
        changed.pop('test_pipeline')
    (tmp_path / 'odd.py').write_text(as_text(changed))
    with pytest.raises(TaskError, match=words) as caught:
        predict(config=tmp_path / 'odd.py')
    assert code_of(caught.value) == 300004


@pytest.mark.parametrize('name', [*JUNK, *NO_WEIGHTS])
def test_weights_that_are_none(tmp_path, name):
    path = tmp_path / 'x.pth'
    if name in JUNK:
        content, message = JUNK[name]
        path.write_bytes(content)
    else:
        content, message = NO_WEIGHTS[name]
        torch.save(content, path)
    with pytest.raises(TaskError) as caught:
        load_checkpoint(path)
    assert code_of(caught.value) == 300004
    expected = (
        message.replace(' and no weights', '') if name in ('list', 'tensor', 'number', 'None', 'text') else message
    )
    assert expected in caught.value.sentence and str(path) in caught.value.sentence


def test_code_in_weights(tmp_path, predict, model_files):
    canary = tmp_path / 'folder' / 'canary'
    canary.parent.mkdir()
    good = torch.load(model_files[0], weights_only=True)
    for call, named in hostile_calls(canary).values():
        if named is not None:
            torch.save(dict(good, message_hub={'a': call}), tmp_path / 'x.pth')
            with pytest.raises(TaskError, match=f'x.pth holds .*{named}') as caught:
                predict(checkpoint=tmp_path / 'x.pth')
            assert code_of(caught.value) == 300004
    assert not canary.exists() and canary.parent.exists()


@pytest.mark.parametrize(
    'meta',
    [
        3,
        [1],
        'x',
        {1: 2},
        {'cfg': 3},
        {'dataset_meta': [1]},
        {'classes': {5: 'x'}, 'CLASSES': 3},
        {'dataset_meta': {'classes': [[1]]}, 'cfg': [1]},
        None,
    ],
    ids=str,
)
def test_odd_metas_do_not_matter_beside_a_config(tmp_path, predict, model_files, meta):
    torch.save(dict(torch.load(model_files[0], weights_only=True), meta=meta), tmp_path / 'x.pth')
    assert predict(checkpoint=tmp_path / 'x.pth') == predict()
    with pytest.raises(TaskError, match='No config belongs to .*x.pth') as caught:
        predict(checkpoint=tmp_path / 'x.pth', config=None)
    assert code_of(caught.value) == 300004


def with_weights(path, model_files, change):
    content = torch.load(model_files[0], weights_only=True)
    content['state_dict'] = {
        name: change(name, value.clone()) if value.is_floating_point() else value
        for name, value in content['state_dict'].items()
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize('number', [math.nan, math.inf, -math.inf, 1e30, -1e30])
@pytest.mark.parametrize('where', ['one', 'all'])
def test_numbers_that_no_network_computes_with(tmp_path, predict, model_files, number, where):
    def change(name, value):
        if name == 'neck.reduce_layers.0.weight' or where == 'all' or name == 'backbone.stage2.0.conv.weight':
            value.view(-1)[0 if where == 'one' else slice(None)] = number
        return value

    path = with_weights(tmp_path / 'x.pth', model_files, change)
    with pytest.raises(
        TaskError, match=r'x.pth cannot be used: (backbone\.\S+) holds (the value 1e\+30|values that are not finite)'
    ) as caught:
        predict(checkpoint=path)
    assert code_of(caught.value) == 300004 and not (tmp_path / 'out' / 'rank_0.jsonl').exists()


@pytest.mark.parametrize(
    'part, factor', [('conv.weight', 1e16), ('bn.weight', 1e16), ('reg_preds', 1e17), ('weight', 1e15)]
)
def test_outputs_that_overflow(tmp_path, predict, model_files, part, factor):
    path = with_weights(
        tmp_path / 'x.pth',
        model_files,
        lambda name, value: value * factor if part in name and 'running' not in name else value,
    )
    with pytest.raises(TaskError, match='x.pth gives no finite numbers .* for 1 of 1 pictures') as caught:
        predict(checkpoint=path)
    assert code_of(caught.value) == 300004 and not (tmp_path / 'out' / 'rank_0.jsonl').exists()


def test_a_config_by_which_boxes_are_no_numbers(tmp_path, predict, config):
    """What the network gives is finite, what is made of it is not."""
    changed = set_value(config, 'model.bbox_head.prior_generator.offset', math.nan)
    (tmp_path / 'odd.py').write_text(as_text(changed))
    with pytest.raises(TaskError, match='gives no finite numbers .* for 1 of 1 pictures') as caught:
        predict(config=tmp_path / 'odd.py')
    assert code_of(caught.value) == 300004


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize('flag', ['infer', 'mining'])
def test_whole_tasks(tmp_path, images, model_files, config, flag):
    canary = tmp_path / 'canary'
    (tmp_path / 'hostile.py').write_text(as_text(set_value(config, 'model.neck', calls(canary)['open'])))
    task = Task(tmp_path, images[:2], [model_files[0], tmp_path / 'hostile.py'], (flag,))
    assert task.start().returncode != 0
    assert task.monitor()[3:5] == ['4', '300004'] and "names 'builtins.open' as a type" in task.monitor()[5]
    torch.save({'state_dict': {}, 'meta': Call(open, str(canary), 'w')}, tmp_path / 'hostile.pth')
    task = Task(tmp_path, images[:2], [tmp_path / 'hostile.pth', model_files[1]], (flag,))
    assert task.start().returncode != 0
    assert task.monitor()[3:5] == ['4', '300004'] and 'hostile.pth holds io.open' in task.monitor()[5]
    assert not canary.exists()
