"""Folded detectors of every family give the maps of unfolded ones."""

import copy

import pytest
import torch
from torch import nn

from mmyolo.registry import MODELS
from mmyolo.testing import get_detector_cfg
from mmyolo.tools.random_weights import calibrate_batch_norms
from mmyolo.utils import register_all_modules
from mmyolo.utils.folding import fold, fold_batch_norms

SMALL = [
    'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py',
    'yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco.py',
    'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco.py',
    'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py',
    'yolox/yolox_tiny_fast_8xb8-300e_coco.py',
    'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py',
    'rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py',
]


def detector(name):
    register_all_modules()
    cfg = get_detector_cfg(name)
    cfg.backbone.pop('init_cfg', None)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    images = torch.randn(4, 3, 128, 128)
    calibrate_batch_norms(model, images)
    for norm in model.modules():  # levels that share a convolution have norms of their own
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.7, 1.3)
            nn.init.normal_(norm.bias, 0, 0.1)
    return model.eval().double(), images.double()  # deep networks of random weights blow rounding up


def maps_of(model, images):
    with torch.no_grad():
        maps = model.bbox_head.forward_raw(model.extract_feat(images))
        return [level for levels in maps if levels is not None for level in levels]


@pytest.mark.parametrize('name', SMALL, ids=lambda name: name.split('/')[0])
def test_maps_stay_equal(name):
    model, images = detector(name)
    expected = maps_of(model, images)
    folded = fold(copy.deepcopy(model))
    kept = [key for key, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not kept, kept
    for ours, theirs in zip(maps_of(folded, images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9 * theirs.abs().max().item())


def test_shared_convolutions_become_one_of_each_level():
    model, _ = detector(SMALL[-1])
    branches = model.bbox_head.head_module.cls_convs
    assert branches[0][0].conv is branches[1][0].conv
    fold_batch_norms(model)
    assert branches[0][0].conv is not branches[1][0].conv
