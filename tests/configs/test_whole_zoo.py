"""Every config file of every family builds, loads strictly, trains a step, predicts, and stays equal when deployed.

`networks/*.tsv` says what each file comes to: parameters, entries of the state_dict, and the first 12 hexadecimal
digits of the SHA-256 of its names and shapes. `-` where nothing is published. The default tier takes one small config
of each kind; `-m slow` all files.
"""

import copy
import functools
import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import COLLATE_FUNCTIONS, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from one_batch import SIDE, train_samples

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules, switch_to_deploy
from tests.closeness import assert_maps_close

ROOT = Path(__file__).resolve().parents[2] / 'configs'
# Parts of other files.
WITHOUT_MODELS = ('_base_', 'yolox/yolox_p5_tta')
# What these train or wrap is another package's: mmrazor's distiller, mmpretrain's classifier.
FOREIGN = ('rtmdet/distillation/', 'rtmdet/cspnext_imagenet_pretrain/')
# Detectors without a dense head, which have tests of their own.
OTHER_FAMILIES = ('vidt/',)
QUICK = [
    'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance',
    'yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco',
    'yolov6/yolov6_v3_n_syncbn_fast_8xb32-300e_coco',
    'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco',
    'yolox/yolox_tiny_fast_8xb8-300e_coco',
    'yolox/pose/yolox-pose_tiny_8xb32-300e-rtmdet-hyp_coco',
    'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco',
    'rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco',
    'rtmdet/rtmdet-ins_tiny_syncbn_fast_8xb32-300e_coco',
    'rtmdet/rotated/rtmdet-r_tiny_fast_1xb8-36e_dota',
]
# Parts whose gradient may be missing for two boxes: a level that is assigned none, scales of branches that stay at 0.
MAY_LACK_GRADIENTS = ('bbox_head.',)


def rows():
    """Config name -> (parameters, entries, digest) of the tables."""
    table = {}
    for path in sorted((Path(__file__).parent / 'networks').glob('*.tsv')):
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith('#'):
                name, *values = line.split('\t')
                assert name not in table, f'{name} has two rows'
                table[name] = values
    return table


ROWS = rows()


def config_files():
    files = sorted(str(path.relative_to(ROOT).with_suffix('')) for path in ROOT.rglob('*.py'))
    return [name for name in files if not name.startswith(WITHOUT_MODELS)]


def is_listed_elsewhere(name):
    """YOLOv5, YOLOv5u and YOLOv8 for detection are in expected.py, value by value."""
    return name.startswith(('yolov5/', 'yolov8/')) and 'ins_seg' not in name


HERE = [name for name in config_files() if not is_listed_elsewhere(name) and not name.startswith(FOREIGN)]


def tiers(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@functools.cache
def config(name):
    return Config.fromfile(ROOT / f'{name}.py')


def digest(state):
    """The head of the SHA-256 of the names and shapes of a state_dict."""
    lines = sorted(f'{key} {"x".join(map(str, value.shape))}' for key, value in state.items())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:12]


@pytest.fixture(autouse=True)
def scope():
    register_all_modules(init_default_scope=False)
    hub = MessageHub.get_instance('config-tests')
    for key, value in {'iter': 0, 'epoch': 0, 'max_epochs': 300, 'max_iters': 1000}.items():
        hub.update_info(key, value)
    MessageHub._instance_dict.move_to_end('config-tests')
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


def test_every_file_has_a_row():
    assert set(HERE) == set(ROWS)
    assert set(QUICK) <= set(HERE)


@pytest.mark.parametrize('name', HERE)
def test_layout(name):
    """Names and shapes are the published ones; nothing is allocated."""
    model_cfg = copy.deepcopy(config(name).model)
    model_cfg.backbone.pop('init_cfg', None)
    with torch.device('meta'):
        model = MODELS.build(model_cfg)
    state = model.state_dict()
    found = [str(sum(p.numel() for p in model.parameters())), str(len(state)), digest(state)]
    wanted = ROWS[name]
    assert [value for value in wanted if value != '-'], f'{name} is held against nothing'
    assert found == [ours if value == '-' else value for ours, value in zip(found, wanted, strict=True)]


def calibrated(model_cfg):
    """A detector with weights as at the start of a training, frozen parts included, and sharp statistics."""
    torch.manual_seed(0)
    model = MODELS.build(model_cfg)
    model.init_weights()
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_mean'):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif name.endswith('running_var'):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + 0.75)
    return model


def flat(maps):
    return [maps] if isinstance(maps, torch.Tensor) else [tensor for part in maps or () for tensor in flat(part)]


@pytest.mark.parametrize('name', tiers([name for name in HERE if not name.startswith(OTHER_FAMILIES)]))
def test_trains_predicts_and_deploys(name):
    cfg = copy.deepcopy(config(name))
    cfg.model.backbone.pop('init_cfg', None)
    model = calibrated(cfg.model)
    again = MODELS.build(cfg.model)
    again.load_state_dict(model.state_dict(), strict=True)

    side = max(SIDE, 2 * max(model.bbox_head.featmap_strides))
    collate = dict(cfg.train_dataloader.get('collate_fn', {'type': 'pseudo_collate'}))
    collate = functools.partial(COLLATE_FUNCTIONS.get(collate.pop('type')), **collate)
    batch = train_samples(cfg.model.bbox_head, side)

    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trained = {id(parameter) for group in optim_wrapper.optimizer.param_groups for parameter in group['params']}
    assert trained >= {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    model.train()
    with optim_wrapper.optim_context(model):
        data = model.data_preprocessor(collate(copy.deepcopy(batch)), training=True)
        losses = model(**data, mode='loss')
    loss, logs = model.parse_losses(losses)
    assert loss.requires_grad and all(torch.isfinite(torch.as_tensor(value)).all() for value in logs.values()), logs
    optim_wrapper.backward(loss)
    lacking = []
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), key
        elif parameter.requires_grad:
            lacking.append(key)
    assert not [key for key in lacking if not key.startswith(MAY_LACK_GRADIENTS)], lacking

    again.eval()
    with torch.no_grad():
        results = again.test_step(pseudo_collate(copy.deepcopy(batch)))
        assert [result.img_id for result in results] == [0, 1]
        for result in results:
            found = result.pred_instances
            assert (torch.as_tensor(found.scores) >= cfg.model.test_cfg.get('score_thr', 0)).all()
            labels = torch.as_tensor(found.labels)
            assert ((labels >= 0) & (labels < again.bbox_head.num_classes)).all()

        images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        before = flat(again(images, mode='tensor'))
        switch_to_deploy(again)
        after = flat(again(images, mode='tensor'))
    assert len(after) == len(before) > 0
    for ours, theirs in zip(after, before):
        assert_maps_close(ours, theirs)
