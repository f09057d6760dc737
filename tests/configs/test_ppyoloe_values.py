"""What the configs of PPYOLOE come to, one row per file."""

from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2] / 'configs/ppyoloe'
SIZES = {'s': (0.33, 0.5), 'm': (0.67, 0.75), 'l': (1, 1), 'x': (1.33, 1.25)}
# size, images per process, rate, epochs, epochs of the cosine, epochs of ATSS, least iterations of the warm-up
ROWS = {
    **{f'ppyoloe_plus_{size}_fast_8xb8-80e_coco': (size, 8, 0.001, 80, 96, 30, 1000) for size in SIZES},
    'ppyoloe_plus_s_fast_1xb12-40e_cat': ('s', 12, 0.001, 40, 48, 30, 10),
    'ppyoloe_s_fast_8xb32-300e_coco': ('s', 32, 0.01, 300, 360, 100, 1000),
    'ppyoloe_s_fast_8xb32-400e_coco': ('s', 32, 0.01, 400, 480, 133, 1000),
    'ppyoloe_m_fast_8xb28-300e_coco': ('m', 28, 0.01, 300, 360, 100, 1000),
    'ppyoloe_l_fast_8xb20-300e_coco': ('l', 20, 0.01, 300, 360, 100, 1000),
    'ppyoloe_x_fast_8xb16-300e_coco': ('x', 16, 0.01, 300, 360, 100, 1000),
}


def test_every_file_has_a_row():
    assert {path.stem for path in ROOT.glob('*.py')} == set(ROWS)


@pytest.mark.parametrize('name', ROWS)
def test_values(name):
    size, batch, rate, epochs, cosine, atss, least = ROWS[name]
    cfg = Config.fromfile(ROOT / f'{name}.py')
    plus = 'plus' in name
    model = cfg.model
    for part in (model.backbone, model.neck):
        assert (part.deepen_factor, part.widen_factor) == SIZES[size]
    assert model.bbox_head.head_module.widen_factor == SIZES[size][1]
    assert model.backbone.block_cfg == {'type': 'PPYOLOEBasicBlock', 'shortcut': True, 'use_alpha': plus}
    assert cfg.train_dataloader.batch_size == batch
    optimizer = {'type': 'SGD', 'lr': rate, 'momentum': 0.9, 'weight_decay': 5e-4, 'nesterov': False}
    assert cfg.optim_wrapper == {
        'type': 'OptimWrapper',
        'optimizer': optimizer,
        'paramwise_cfg': {'norm_decay_mult': 0.0},
    }
    assert cfg.default_hooks.param_scheduler == {
        'type': 'PPYOLOEParamSchedulerHook',
        'warmup_min_iter': least,
        'start_factor': 0.0,
        'warmup_epochs': 5,
        'min_lr_ratio': 0.0,
        'total_epochs': cosine,
    }
    every, keep = (10, 2) if 'cat' in name else (5, 3)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (epochs, every)
    assert (cfg.default_hooks.checkpoint.interval, cfg.default_hooks.checkpoint.max_keep_ckpts) == (every, keep)
    assert cfg.custom_hooks[0].momentum == 0.0002 and len(cfg.custom_hooks) == 1

    num_classes = 1 if 'cat' in name else 80
    assert model.bbox_head.head_module.num_classes == num_classes
    assert model.train_cfg.initial_epoch == atss
    assert model.train_cfg.initial_assigner.num_classes == model.train_cfg.assigner.num_classes == num_classes
    assert (model.train_cfg.initial_assigner.topk, model.train_cfg.assigner.topk) == (9, 13)
    assert model.train_cfg.assigner.eps == 1e-9
    assert model.test_cfg == {
        'multi_label': True,
        'nms_pre': 1000,
        'score_thr': 0.01,
        'nms': {'type': 'nms', 'iou_threshold': 0.7},
        'max_per_img': 300,
    }

    preprocessor = model.data_preprocessor
    if plus:
        assert (preprocessor.mean, preprocessor.std) == ([0.0] * 3, [255.0] * 3)
        assert cfg.load_from and 'init_cfg' not in model.backbone
    else:
        assert preprocessor.mean == pytest.approx([0.485 * 255, 0.456 * 255, 0.406 * 255])
        assert preprocessor.std == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255])
        assert cfg.load_from is None
        start = model.backbone.init_cfg
        assert (start.type, start.prefix, start.map_location) == ('Pretrained', 'backbone.', 'cpu')
        assert f'cspresnet_{size}_' in start.checkpoint
    assert preprocessor.pad_size_divisor == 32
    assert preprocessor.batch_augments[0].random_size_range == (320, 800)

    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert loader.dataset.filter_cfg == {'filter_empty_gt': True, 'min_size': 0}
        assert 'batch_shapes_cfg' not in loader.dataset
    assert cfg.train_dataloader.collate_fn == {'type': 'yolov5_collate', 'use_ms_training': True}
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'PPYOLOERandomDistort',
        'mmdet.Expand',
        'PPYOLOERandomCrop',
        'RandomFlip',
        'PackDetInputs',
    ]
    assert cfg.test_dataloader.dataset.pipeline[1] == {
        'type': 'mmdet.FixShapeResize',
        'width': 640,
        'height': 640,
        'keep_ratio': False,
        'interpolation': 'bicubic',
    }
