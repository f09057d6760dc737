"""Every config file of YOLOv6 and YOLOv7 comes to the values of its published recipe."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CAT_ANCHORS = [
    [(68, 69), (154, 91), (143, 162)],
    [(242, 160), (189, 287), (391, 207)],
    [(353, 337), (539, 341), (443, 432)],
]

# epochs, epochs without mosaic, deepen, widen, lr_factor, iou_mode, affine scale, share of mix-up, CSP pooling, batch
V6 = {
    'yolov6_s_syncbn_fast_8xb32-400e_coco': (400, 15, 0.33, 0.5, 0.01, 'giou', 0.5, 0, False, 32),
    'yolov6_s_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.5, 0.01, 'giou', 0.5, 0, False, 32),
    'yolov6_t_syncbn_fast_8xb32-400e_coco': (400, 15, 0.33, 0.375, 0.01, 'siou', 0.5, 0, False, 32),
    'yolov6_t_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.375, 0.01, 'siou', 0.5, 0, False, 32),
    'yolov6_n_syncbn_fast_8xb32-400e_coco': (400, 15, 0.33, 0.25, 0.02, 'siou', 0.5, 0, False, 32),
    'yolov6_n_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.25, 0.02, 'siou', 0.5, 0, False, 32),
    'yolov6_m_syncbn_fast_8xb32-300e_coco': (300, 15, 0.6, 0.75, 0.01, 'giou', 0.9, 0.1, False, 32),
    'yolov6_l_syncbn_fast_8xb32-300e_coco': (300, 15, 1, 1, 0.01, 'giou', 0.9, 0.1, False, 32),
    'yolov6_v3_s_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.5, 0.01, 'giou', 0.5, 0, True, 32),
    'yolov6_v3_t_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.375, 0.01, 'siou', 0.5, 0, True, 32),
    'yolov6_v3_n_syncbn_fast_8xb32-300e_coco': (300, 15, 0.33, 0.25, 0.02, 'siou', 0.5, 0, True, 32),
    'yolov6_v3_m_syncbn_fast_8xb32-300e_coco': (300, 15, 0.6, 0.75, 0.01, 'giou', 0.9, 0.1, True, 32),
    'yolov6_v3_l_syncbn_fast_8xb32-300e_coco': (300, 15, 1, 1, 0.01, 'giou', 0.9, 0.1, True, 32),
    'yolov6_s_fast_1xb12-40e_cat': (40, 5, 0.33, 0.5, 0.01, 'giou', 0.5, 0, False, 12),
}
# lr_factor, weights of classes, boxes and objectness, candidates, share of mix-up, translation, scales, batch, side
V7 = {
    'yolov7_l_syncbn_fast_8x16b-300e_coco': (0.1, 0.3, 0.05, 0.7, 10, 0.15, 0.2, (0.1, 2), 16, 640),
    'yolov7_x_syncbn_fast_8x16b-300e_coco': (0.1, 0.3, 0.05, 0.7, 10, 0.15, 0.2, (0.1, 2), 16, 640),
    'yolov7_tiny_syncbn_fast_8x16b-300e_coco': (0.01, 0.5, 0.05, 1, 10, 0.05, 0.1, (0.5, 1.6), 16, 640),
    'yolov7_w-p6_syncbn_fast_8x16b-300e_coco': (0.2, 0.225, 0.0375, 2.1, 20, 0.15, 0.2, (0.1, 2), 16, 1280),
    'yolov7_e-p6_syncbn_fast_8x16b-300e_coco': (0.2, 0.225, 0.0375, 2.1, 20, 0.15, 0.2, (0.1, 2), 16, 1280),
    'yolov7_d-p6_syncbn_fast_8x16b-300e_coco': (0.2, 0.225, 0.0375, 2.1, 20, 0.15, 0.2, (0.1, 2), 16, 1280),
    'yolov7_e2e-p6_syncbn_fast_8x16b-300e_coco': (0.2, 0.225, 0.0375, 2.1, 20, 0.15, 0.2, (0.1, 2), 16, 1280),
    'yolov7_tiny_fast_1xb12-40e_cat': (0.01, 0.5, 0.05, 1, 10, 0.05, 0.1, (0.5, 1.6), 12, 640),
}

# The kind and number of activations in backbone, neck and head. Size l has SiLU in its blocks; the other convolutions
# of its neck keep the ReLU of size m, with which its weights were trained.
ACTIVATIONS = {
    'yolov6_n_syncbn_fast_8xb32-400e_coco': ({'ReLU': 21}, {'ReLU': 20}, {'SiLU': 9}),
    'yolov6_m_syncbn_fast_8xb32-300e_coco': ({'ReLU': 43}, {'ReLU': 40}, {'SiLU': 9}),
    'yolov6_l_syncbn_fast_8xb32-300e_coco': ({'SiLU': 61}, {'SiLU': 60, 'ReLU': 4}, {'SiLU': 9}),
    'yolov6_v3_n_syncbn_fast_8xb32-300e_coco': ({'ReLU': 26}, {'ReLU': 28}, {'SiLU': 9}),
    'yolov6_v3_m_syncbn_fast_8xb32-300e_coco': ({'ReLU': 43}, {'ReLU': 48}, {'SiLU': 9}),
    'yolov6_v3_l_syncbn_fast_8xb32-300e_coco': ({'SiLU': 61}, {'SiLU': 60, 'ReLU': 12}, {'SiLU': 9}),
    'yolov7_l_syncbn_fast_8x16b-300e_coco': ({'SiLU': 41}, {'SiLU': 48}, {}),
    'yolov7_tiny_syncbn_fast_8x16b-300e_coco': ({'LeakyReLU': 22}, {'LeakyReLU': 33}, {}),
}


def config(name):
    return Config.fromfile(ROOT / name.split('_')[0] / f'{name}.py')


def kinds(pipeline):
    return [step['type'] for step in pipeline]


def check_common(cfg, batch, constructor):
    """What both families share: test settings, optimizer, averaging, data."""
    assert cfg.model.test_cfg == {
        'multi_label': True,
        'nms_pre': 30000,
        'score_thr': 0.001,
        'nms': {'type': 'nms', 'iou_threshold': 0.65},
        'max_per_img': 300,
    }
    assert cfg.optim_wrapper == {
        'type': 'OptimWrapper',
        'constructor': constructor,
        'optimizer': {
            'type': 'SGD',
            'lr': 0.01,
            'momentum': 0.937,
            'weight_decay': 5e-4,
            'nesterov': True,
            'batch_size_per_gpu': batch,
        },
    }
    assert cfg.custom_hooks[0] == {
        'type': 'EMAHook',
        'ema_type': 'ExpMomentumEMA',
        'momentum': 1e-4,
        'update_buffers': True,
        'strict_load': False,
        'priority': 49,
    }
    assert cfg.default_hooks.param_scheduler.scheduler_type == 'cosine' and cfg.env_cfg.cudnn_benchmark
    assert cfg.train_dataloader.batch_size == batch and cfg.train_dataloader.collate_fn == {'type': 'yolov5_collate'}
    assert cfg.train_dataloader.dataset.filter_cfg == {'filter_empty_gt': False, 'min_size': 32}
    assert cfg.val_evaluator.proposal_nums == (100, 1, 10) and cfg.test_evaluator == cfg.val_evaluator
    assert cfg.test_dataloader == cfg.val_dataloader
    cat = cfg.filename.endswith('cat.py')
    assert cfg.val_evaluator.ann_file == (
        './data/cat/annotations/test.json' if cat else 'data/coco/annotations/instances_val2017.json'
    )
    if cat:
        assert cfg.default_hooks.param_scheduler.warmup_mim_iter == 10
        assert cfg.train_cfg.val_interval == 10 and cfg.model.backbone.frozen_stages == 4
        assert cfg.val_dataloader.dataset.metainfo == {'classes': ('cat',), 'palette': [(20, 220, 60)]}
    else:
        assert cfg.load_from is None and 'frozen_stages' not in cfg.model.backbone


def check_images(cfg, side, divisor):
    """The size of images in training and testing."""
    test = cfg.val_dataloader.dataset.pipeline
    assert kinds(test) == [
        'LoadImageFromFile',
        'YOLOv5KeepRatioResize',
        'LetterResize',
        'LoadAnnotations',
        'PackDetInputs',
    ]
    assert test[1].scale == test[2].scale == (side, side)
    assert not test[2].allow_scale_up and test[2].pad_val == {'img': 114}
    assert cfg.val_dataloader.dataset.batch_shapes_cfg == {
        'type': 'BatchShapePolicy',
        'batch_size': 1,
        'img_size': side,
        'size_divisor': divisor,
        'extra_pad_ratio': 0.5,
    }
    sizes = [step.transforms[1].scale[0] for step in cfg.tta_pipeline[1].transforms[0]]
    assert sizes == ([640, 320, 960] if side == 640 else [1280, 1024, 1536])


def test_every_file_is_here():
    files = {path.stem for family in ('yolov6', 'yolov7') for path in (ROOT / family).glob('*.py')}
    assert files == set(V6) | set(V7)


@pytest.mark.parametrize('name', V6)
def test_yolov6(name):
    epochs, last, deepen, widen, lr_factor, iou_mode, affine_scale, mixup, cspsppf, batch = V6[name]
    cfg = config(name)
    check_common(cfg, batch, 'YOLOv5OptimizerConstructor')
    check_images(cfg, 640, 32)
    model = cfg.model
    head = model.bbox_head
    assert all(part.get('widen_factor') == widen for part in (model.backbone, model.neck, head.head_module))
    assert model.backbone.deepen_factor == model.neck.deepen_factor == deepen
    assert model.backbone.get('use_cspsppf', False) == cspsppf
    assert (head.loss_bbox.iou_mode, head.loss_bbox.loss_weight) == (iou_mode, 2.5)
    assert head.head_module.get('reg_max', 0) == (16 if '_v3_m' in name or '_v3_l' in name else 0)
    classes = 1 if 'cat' in name else 80
    assert model.train_cfg == {
        'initial_epoch': 4,
        'initial_assigner': {'type': 'BatchATSSAssigner', 'num_classes': classes, 'topk': 9},
        'assigner': {'type': 'BatchTaskAlignedAssigner', 'num_classes': classes, 'topk': 13, 'alpha': 1, 'beta': 6},
    }

    scheduler = cfg.default_hooks.param_scheduler
    assert (scheduler.lr_factor, scheduler.max_epochs) == (lr_factor, epochs) and 'param_scheduler' not in cfg
    assert cfg.train_cfg.max_epochs == epochs and cfg.train_cfg.dynamic_intervals == [(epochs - last, 1)]
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval == 10

    pipeline = cfg.train_dataloader.dataset.pipeline
    tail = ['YOLOv5HSVRandomAug', 'RandomFlip', 'PackDetInputs']
    head_steps = ['LoadImageFromFile', 'LoadAnnotations', 'Mosaic', 'YOLOv5RandomAffine']
    assert kinds(pipeline) == head_steps + ['YOLOv5MixUp'] * bool(mixup) + tail
    assert pipeline[3].scaling_ratio_range == (1 - affine_scale, 1 + affine_scale)
    assert pipeline[3].max_translate_ratio == 0.1 and pipeline[3].border == (-320, -320)
    if mixup:
        assert pipeline[4].prob == mixup and pipeline[4].pre_transform == pipeline[:4]
    switch = cfg.custom_hooks[1]
    assert (switch.type, switch.switch_epoch) == ('mmdet.PipelineSwitchHook', epochs - last)
    assert (
        kinds(switch.switch_pipeline)
        == head_steps[:2] + ['YOLOv5KeepRatioResize', 'LetterResize', head_steps[3]] + tail
    )
    affine = switch.switch_pipeline[4]
    assert affine.scaling_ratio_range == (0.5, 1.5) and affine.border == (0, 0)  # of the large sizes too


@pytest.mark.parametrize('name', V7)
def test_yolov7(name):
    lr_factor, cls_weight, bbox_weight, obj_weight, topk, mixup, translate, scales, batch, side = V7[name]
    cfg = config(name)
    check_common(cfg, batch, 'YOLOv7OptimWrapperConstructor')
    check_images(cfg, side, 64 if side == 1280 else 32)
    head = cfg.model.bbox_head
    weights = [head[part].loss_weight for part in ('loss_cls', 'loss_bbox', 'loss_obj')]
    assert weights == pytest.approx([cls_weight, bbox_weight, obj_weight])
    assert head.simota_candidate_topk == topk
    assert head.obj_level_weights == ([4.0, 1.0, 0.4] if side == 640 else [4.0, 1.0, 0.25, 0.06])
    anchors = head.prior_generator.base_sizes
    assert (anchors == CAT_ANCHORS) == ('cat' in name)
    assert anchors[0][0] == ((68, 69) if 'cat' in name else (12, 16) if side == 640 else (19, 27))

    epochs = 40 if 'cat' in name else 300
    scheduler = cfg.default_hooks.param_scheduler
    assert (scheduler.lr_factor, scheduler.max_epochs) == (lr_factor, epochs) and cfg.param_scheduler is None
    assert cfg.train_cfg.max_epochs == epochs and len(cfg.custom_hooks) == 1
    if epochs == 300:
        assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 1
        assert cfg.train_cfg.dynamic_intervals == [(270, 1)]
    assert cfg.default_hooks.checkpoint.save_param_scheduler is False

    pipeline = cfg.train_dataloader.dataset.pipeline
    assert kinds(pipeline) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomChoice',
        'YOLOv5MixUp',
        'YOLOv5HSVRandomAug',
        'RandomFlip',
        'PackDetInputs',
    ]
    choice, mix = pipeline[2:4]
    assert choice.prob == [0.8, 0.2] and [kinds(option) for option in choice.transforms] == [
        ['Mosaic', 'YOLOv5RandomAffine'],
        ['Mosaic9', 'YOLOv5RandomAffine'],
    ]
    for mosaic, affine in choice.transforms:
        assert mosaic.img_scale == (side, side) and affine.border == (-side // 2, -side // 2)
        assert (affine.max_translate_ratio, affine.scaling_ratio_range) == (translate, scales)
    assert (mix.alpha, mix.beta, mix.prob) == (8.0, 8.0, mixup) and mix.pre_transform == pipeline[:3]


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_activations(name):
    register_all_modules()
    with torch.device('meta'):
        model = MODELS.build(config(name).model)
    parts = (model.backbone, model.neck, model.bbox_head)
    kinds = ('SiLU', 'ReLU', 'LeakyReLU')
    found = [Counter(type(m).__name__ for m in part.modules() if type(m).__name__ in kinds) for part in parts]
    assert tuple(map(dict, found)) == ACTIVATIONS[name]
