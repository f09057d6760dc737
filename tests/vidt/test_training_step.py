"""From a sample with masks through transforms, batch and losses to a step of the optimizer."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import MODELS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import DefaultScope

from vidt.datasets.transforms import ViDTRandomSizeCrop, ViDTResize
from vidt.optim import ViDTOptimWrapperConstructor

EXTRAS = dict(epff=True, iou_aware=True, token_label=True, mask_vectors=True)
STEPS = Compose([ViDTRandomSizeCrop(60, 96, [64, 80, 96]), ViDTResize([64, 80], 112), PackDetInputs()])


def sample(seed, objects):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 40, (70, 90, 3), dtype=np.uint8)
    boxes, masks = [], np.zeros((objects, 70, 90), np.uint8)
    for mask in masks:
        x, y = generator.integers(5, 50), generator.integers(5, 40)
        mask[y : y + 25, x : x + 30] = 1
        image[y : y + 25, x : x + 30] = 200
        boxes.append([x, y, x + 30, y + 25])
    return {
        'img': image,
        'img_path': '',
        'img_id': seed,
        'ori_shape': (70, 90),
        'gt_bboxes': HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        'gt_bboxes_labels': generator.integers(0, 3, objects),
        'gt_masks': BitmapMasks(masks, 70, 90),
    }


def model_and_batch(**options):
    torch.manual_seed(0)
    np.random.seed(0)
    backbone = {'embed_dims': 16, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8)}
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(
            dict(
                type='ViDT',
                data_preprocessor=dict(
                    type='DetDataPreprocessor',
                    mean=[123.675, 116.28, 103.53],
                    std=[58.395, 57.12, 57.375],
                    pad_mask=True,
                ),
                backbone=dict(type='SwinWithRAM', arch=backbone, num_det_tokens=12),
                num_classes=3,
                num_decoder_layers=2,
                criterion=dict(type='ViDTCriterion', num_classes=3),
                **options,
            )
        )
        samples = [STEPS(sample(seed, objects)) for seed, objects in ((0, 2), (1, 0), (2, 3))]
    data = {key: [one[key] for one in samples] for key in ('inputs', 'data_samples')}
    return model.train(), data


def test_losses_fall():
    model, data = model_and_batch(**EXTRAS)
    assert model.transformer.token_embed.out_features == 4  # three classes, and any object
    cfg = dict(optimizer=dict(type='AdamW', lr=3e-3, weight_decay=1e-4), clip_grad=dict(max_norm=0.1))
    wrapper = ViDTOptimWrapperConstructor(cfg)(model)
    logs = [model.train_step(data, wrapper) for _ in range(8)]
    assert logs[-1]['loss'] < 0.8 * logs[0]['loss']
    for name, value in logs[0].items():
        assert torch.isfinite(value), name
        if name.startswith(('loss_iou', 'loss_token', 'loss_vector')):
            assert logs[-1][name] < value, name
    extras = {'loss_iouaware_1', 'loss_token_focal', 'loss_token_dice', 'loss_vector_0'}
    assert {*extras, 'class_error', 'loss_ce', 'loss_giou_1'} <= logs[0].keys()


def test_half_precision():
    model, data = model_and_batch(**EXTRAS)
    batch = model.eval().data_preprocessor(data, True)
    with torch.no_grad():
        single = model.loss(*batch.values())
        with torch.autocast('cpu', torch.bfloat16):
            half = model.loss(*batch.values())
    assert {name: value.dtype for name, value in half.items()} == dict.fromkeys(single, torch.float32)
    for name, value in single.items():
        if name.startswith('loss'):
            assert half[name].item() == pytest.approx(value.item(), rel=0.15), name
