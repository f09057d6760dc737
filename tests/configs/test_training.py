"""Every config reads its data, loads published weights strictly, trains a step and predicts.

The default tier does it for one config of each kind; `-m slow` for all of them.
"""

import zlib

import numpy as np
import pytest
import torch
from expected import CONFIGS, expected_state
from mmdet.structures import DetDataSample
from mmengine.dataset import COLLATE_FUNCTIONS, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from small_data import write_all
from test_values import config, innermost

from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules

SIDE = 64
QUICK_STEP = [
    'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco',
    'yolov5/yolov5_n-p6-v62_syncbn_fast_8xb16-300e_coco',
    'yolov5/yolov5_s-v61_fast_1xb12-ms-40e_cat',
    'yolov5/crowdhuman/yolov5_s-v61_8xb16-300e_ignore_crowdhuman',
    'yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc',
    'yolov5/yolov5u/yolov5u_n_syncbn_fast_8xb16-300e_coco',
    'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco',
]
QUICK_DATA = [
    'yolov5/yolov5_m-v61_syncbn_fast_8xb16-300e_coco',
    'yolov5/yolov5_s-v61_fast_1xb12-40e_608x352_cat',
    'yolov5/crowdhuman/yolov5_s-v61_8xb16-300e_ignore_crowdhuman',
    'yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc',
    'yolov5/mask_refine/yolov5_l_mask-refine-v61_syncbn_fast_8xb16-300e_coco',
    'yolov8/yolov8_l_mask-refine_syncbn_fast_8xb16-500e_coco',
]


def tiers(quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


@pytest.fixture(autouse=True)
def scope():
    register_all_modules(init_default_scope=False)
    hub = MessageHub.get_instance('config-tests')
    hub.update_info('iter', 0)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


@pytest.fixture(scope='session')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('small-data')
    write_all(root)
    return root


def published(network):
    """A state_dict with the published layout and small values that depend on the names alone."""
    state = {}
    for key, shape in expected_state(network).items():
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        if key.endswith('num_batches_tracked'):
            state[key] = torch.zeros((), dtype=torch.long)
        elif key.endswith(('running_var', 'bn.weight')):
            state[key] = torch.ones(shape)
        else:
            fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100.0
            state[key] = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32) / np.sqrt(fan_in)).float()
    return state


def samples(classes):
    """Two images with one box in the first, two in the second."""
    boxes = [[[5.0, 8.0, 40.0, 50.0]], [[10.0, 2.0, 30.0, 60.0], [20.0, 20.0, 62.0, 44.0]]]
    out = []
    for index, rows in enumerate(boxes):
        generator = torch.Generator().manual_seed(index)
        sample = DetDataSample(
            metainfo={
                'img_id': index,
                'img_path': f'{index}.jpg',
                'ori_shape': (SIDE // 2, SIDE // 2),
                'img_shape': (SIDE, SIDE),
                'scale_factor': (2.0, 2.0),
                'pad_param': np.zeros(4, np.float32),
            }
        )
        sample.gt_instances = InstanceData(bboxes=torch.tensor(rows), labels=torch.arange(len(rows)) % classes)
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor([[0.0, 0.0, 20.0, 20.0]]), labels=torch.zeros(1, dtype=torch.long)
        )
        out.append(
            {
                'inputs': torch.randint(0, 255, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8),
                'data_samples': sample,
            }
        )
    return out


def is_frozen(name, stages):
    names = ['stem', *(f'stage{index}' for index in range(1, stages + 1))] if stages is not None else []
    return name.startswith(tuple(f'backbone.{part}.' for part in names))


@pytest.mark.parametrize('name', tiers(QUICK_STEP))
def test_loads_trains_and_predicts(name):
    cfg, (kind, size, family, differences) = config(name), CONFIGS[name]
    wanted = dict(family, **differences)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.load_state_dict(published((kind, size)), strict=True)
    model.train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trained = {id(parameter) for group in optim_wrapper.optimizer.param_groups for parameter in group['params']}
    assert trained == {id(parameter) for parameter in model.parameters()}

    before = {key: value.clone() for key, value in model.named_parameters()}
    collate = COLLATE_FUNCTIONS.get(cfg.train_dataloader.get('collate_fn', {'type': 'pseudo_collate'})['type'])
    logs = model.train_step(collate(samples(wanted['classes'])), optim_wrapper)
    names = ['loss_cls', 'loss_bbox', 'loss_dfl' if kind in ('v8', 'v8-1', 'v5u') else 'loss_obj']
    assert set(logs) == {'loss', *names}
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logs.values())
    for key in names:
        # one class has nothing to tell apart in YOLOv5
        assert (logs[key] > 0) == (not (key == 'loss_cls' and kind == 'v5-1')), key
    for key, parameter in model.named_parameters():
        assert torch.isfinite(parameter).all(), key
        moved = not torch.equal(parameter, before[key])
        if is_frozen(key, wanted['frozen']):
            assert not moved, f'{key} is frozen and moved'
        elif not key.startswith(('bbox_head.head_module.convs_pred', 'bbox_head.head_module.reg_preds')):
            # the predictions of a level get no gradient for boxes if it is assigned none
            assert moved, f'{key} did not move'

    model.eval()
    with torch.no_grad():
        results = model.test_step(pseudo_collate(samples(wanted['classes'])))
    assert [result.img_id for result in results] == [0, 1]
    for result in results:
        found = result.pred_instances
        assert len(found) <= cfg.model.test_cfg.max_per_img
        assert (found.scores > cfg.model.test_cfg.score_thr).all()
        assert ((found.labels >= 0) & (found.labels < wanted['classes'])).all()
        assert ((found.bboxes >= 0) & (found.bboxes <= SIDE // 2)).all()


@pytest.mark.parametrize('name', tiers(QUICK_DATA))
def test_reads_its_data(name, data_root, monkeypatch):
    monkeypatch.chdir(data_root)
    cfg, (_, _, family, differences) = config(name), CONFIGS[name]
    wanted = dict(family, **differences)
    width, height = wanted['scale']
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == (8 if wanted['classes'] == 20 else 4)
    pipelines = [train]
    switches = [hook for hook in cfg.custom_hooks if hook.type == 'mmdet.PipelineSwitchHook']
    if switches:
        last = innermost(cfg.train_dataloader.dataset).copy()
        pipelines.append(DATASETS.build(dict(last, pipeline=switches[0].switch_pipeline)))
    np.random.seed(0)
    for dataset in pipelines:
        boxes = 0
        for index in range(4):
            sample = dataset[index]
            assert sample['inputs'].shape == (3, height, width)
            assert sample['inputs'].dtype == torch.uint8
            instances = sample['data_samples'].gt_instances
            corners = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes))
            assert (corners[:, 2:] > corners[:, :2]).all() and (corners >= 0).all()
            assert (corners[:, 0::2] <= width).all() and (corners[:, 1::2] <= height).all()
            assert (instances.labels < wanted['classes']).all()
            assert 'masks' not in instances
            boxes += len(corners)
        assert boxes >= 4
    sample = DATASETS.build(cfg.val_dataloader.dataset)[0]
    sides = torch.tensor(sample['inputs'].shape[1:])
    if name.endswith('detect_8xb16-300e_coco'):
        assert sides.tolist() == [480, 640]
    elif wanted['batch_shapes']:
        divisor = wanted['batch_shapes'][1]
        assert (sides % divisor == 0).all() and sides.max() == wanted['scale'][0] + (divisor if width > 512 else 32)
    else:
        assert sides.tolist() == [height, width]
    assert set(sample['data_samples'].metainfo) >= {'scale_factor', 'pad_param', 'ori_shape', 'img_id'}
