"""Top-level variables that users' configs read through `_base_.NAME` are where public mmyolo has them."""

import fnmatch
import functools
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2] / 'configs'
FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob('*.py'))
MASKS = ['yolov5/ins_seg/*', 'yolov5/mask_refine/*', 'yolov5/yolov5u/*mask-refine*', 'yolov8/*mask-refine*']
LARGE = [
    'yolov5/yolov5_[mlx]-v61_*',
    'yolov5/yolov5_[mlx]-p6-*',
    'yolov5/mask_refine/yolov5_[mlx]_*',
    'yolov5/ins_seg/yolov5_ins_[mlx]-*',
    'yolov6/*_m_*',
    'yolov6/*_l_*',
]
ROTATED = ['rtmdet/rotated/*']
# What is without a recipe for detection: classifiers of mmpretrain, and parts of other files.
WITHOUT_TTA = [
    '_base_/default_runtime*',
    '_base_/pose/*',
    '_base_/rtmdet_distiller*',
    '_base_/small_data*',
    'rtmdet/cspnext*',
    *ROTATED,
    'vidt/*',
    'yolox/*',
]

# Name -> patterns of the files that have it, number of these files, value where the recipe gives one.
VARIABLES = {
    'save_epoch_intervals': (['yolov8/*', 'yolox/*fast*', 'yolox/pose/*'], 26, 10),
    'use_mask2refine': (MASKS, 22, True),
    'mosaic_affine_pipeline': (LARGE, 16, None),
    'mosaic_affine_transform': (['yolov5/yolov5u/yolov5u_[mlx]_mask-*', 'yolov8/yolov8_[mlx]_*'], 9, None),
    'tta_img_scales': (['yolov5/voc/*', 'yolov5/*-p6-*', 'yolov7/*-p6_*'], 14, None),
    'num_det_layers': (['yolov8/*'], 11, 3),
    'submission_dir': (ROTATED, 10, None),
    'random_rotate_ratio': (ROTATED, 10, 0.5),
    'rotate_rect_obj_labels': (ROTATED, 10, [9, 11]),
    'mosiac4_pipeline': (['yolov7/*'], 8, None),
    'mosiac9_pipeline': (['yolov7/*'], 8, None),
    'scaling_ratio_range': (['yolox/pose/*', 'yolox/yolox_tiny_fast*', 'yolox/yolox_nano_fast*'], 8, None),
    'half_pad_param': (['yolov5/ins_seg/*'], 7, True),
    'with_mosiac_pipeline': (['yolov5/voc/*'], 5, None),
    'without_mosaic_pipeline': (['yolov5/voc/*'], 5, None),
    'randchoice_mosaic_pipeline': (['yolov5/voc/*'], 5, None),
    'log_interval': (['yolov5/*balloon*'], 2, 1),
    'num_last_epochs': (['ppyoloe/*cat*'], 1, 5),
    'val_interval_stage2': (['rtmdet/rotated/*-aug-100e*', 'rtmdet/rtmdet_*'], 7, 1),
    '_multiscale_resize_transforms': (['*'], 101, None),
    # Those of the root of RTMDet, which every size inherits.
    **{
        name: (['rtmdet/rtmdet_*'], 6, None)
        for name in (
            'data_root',
            'train_ann_file',
            'train_data_prefix',
            'val_ann_file',
            'val_data_prefix',
            'num_classes',
            'train_batch_size_per_gpu',
            'train_num_workers',
            'persistent_workers',
            'base_lr',
            'max_epochs',
            'num_epochs_stage2',
            'model_test_cfg',
            'img_scale',
            'random_resize_ratio_range',
            'mosaic_max_cached_images',
            'mixup_max_cached_images',
            'dataset_type',
            'val_batch_size_per_gpu',
            'val_num_workers',
            'batch_shapes_cfg',
            'deepen_factor',
            'widen_factor',
            'strides',
            'norm_cfg',
            'lr_start_factor',
            'dsl_topk',
            'loss_cls_weight',
            'loss_bbox_weight',
            'qfl_beta',
            'weight_decay',
            'save_checkpoint_intervals',
            'max_keep_ckpts',
            'env_cfg',
            'model',
            'train_pipeline',
            'train_pipeline_stage2',
            'test_pipeline',
        )
    },
}


def matching(patterns):
    return [name for name in FILES if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


@functools.cache
def config(name):
    return Config.fromfile(ROOT / name)


@pytest.mark.parametrize('variable', VARIABLES)
def test_variable(variable):
    patterns, count, value = VARIABLES[variable]
    names = matching(patterns)
    if variable == '_multiscale_resize_transforms':
        names = sorted(set(names) - set(matching(WITHOUT_TTA)))
    assert len(names) == count, names
    assert not [name for name in names if variable not in config(name)]
    if value is not None:
        assert {name: config(name)[variable] for name in names} == dict.fromkeys(names, value)


# What the recipe makes of them: they hold the parts that are trained with, not copies that say something else.
@pytest.mark.parametrize(
    'name, variable, path',
    [
        (
            'yolov5/yolov5_m-v61_syncbn_fast_8xb16-300e_coco',
            'mosaic_affine_pipeline',
            lambda cfg: cfg.train_pipeline[2:4],
        ),
        (
            'yolov6/yolov6_v3_l_syncbn_fast_8xb32-300e_coco',
            'mosaic_affine_pipeline',
            lambda cfg: cfg.train_pipeline[2:4],
        ),
        (
            'yolov5/mask_refine/yolov5_x_mask-refine-v61_syncbn_fast_8xb16-300e_coco',
            'mosaic_affine_pipeline',
            lambda cfg: cfg.train_pipeline[2:6],
        ),
        (
            'yolov8/yolov8_x_mask-refine_syncbn_fast_8xb16-500e_coco',
            'mosaic_affine_transform',
            lambda cfg: cfg.train_pipeline[2:5],
        ),
        (
            'yolov7/yolov7_e2e-p6_syncbn_fast_8x16b-300e_coco',
            'mosiac9_pipeline',
            lambda cfg: cfg.train_pipeline[2].transforms[1],
        ),
        (
            'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco',
            'mosiac4_pipeline',
            lambda cfg: cfg.train_pipeline[2].transforms[0],
        ),
        ('yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc', 'randchoice_mosaic_pipeline', lambda cfg: cfg.train_pipeline[2]),
        (
            'yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc',
            'with_mosiac_pipeline',
            lambda cfg: cfg.train_dataloader.dataset.datasets[1].pipeline[2].transforms[0],
        ),
        (
            'yolov5/voc/yolov5_n-v61_fast_1xb64-50e_voc',
            'without_mosaic_pipeline',
            lambda cfg: cfg.train_dataloader.dataset.datasets[0].pipeline[2].transforms[1],
        ),
        (
            'yolov7/yolov7_d-p6_syncbn_fast_8x16b-300e_coco',
            'tta_img_scales',
            lambda cfg: [step.transforms[1].scale for step in cfg.tta_pipeline[1].transforms[0]],
        ),
        (
            'yolox/pose/yolox-pose_l_8xb32-300e-rtmdet-hyp_coco',
            'scaling_ratio_range',
            lambda cfg: cfg.train_pipeline_stage1[3].scaling_ratio_range,
        ),
        (
            'yolox/yolox_nano_fast_8xb32-300e-rtmdet-hyp_coco',
            'scaling_ratio_range',
            lambda cfg: cfg.train_pipeline_stage1[3].scaling_ratio_range,
        ),
        (
            'rtmdet/rtmdet_x_syncbn_fast_8xb32-300e_coco',
            '_multiscale_resize_transforms',
            lambda cfg: cfg.tta_pipeline[1].transforms[0],
        ),
    ],
)
def test_variable_is_what_is_used(name, variable, path):
    cfg = config(f'{name}.py')
    assert cfg[variable] and cfg[variable] == path(cfg)


def test_a_config_reads_them_through_its_base(tmp_path):
    base = ROOT / 'yolov8/yolov8_m_mask-refine_syncbn_fast_8xb16-500e_coco.py'
    path = tmp_path / 'mine.py'
    path.write_text(f"""_base_ = {str(base)!r}
use_mask2refine = _base_.use_mask2refine
mosaic_affine_transform = [_base_.mosaic_affine_transform[0], _base_.mosaic_affine_transform[-1]]
train_pipeline = [*_base_.pre_transform, *mosaic_affine_transform, *_base_.last_transform]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(interval=_base_.save_epoch_intervals * 2))
""")
    cfg = Config.fromfile(path)
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds[2:4] == ['Mosaic', 'YOLOv5RandomAffine'] and 'YOLOv5CopyPaste' not in kinds
    assert cfg.default_hooks.checkpoint.interval == 20


# Epochs between checkpoints and between validations, checkpoints kept, frozen stages: alike for all that fine-tune.
@pytest.mark.parametrize('name', matching(['*_cat.py']))
def test_cat_configs_save_and_validate_every_ten_epochs(name):
    cfg = config(name)
    assert cfg.model.backbone.frozen_stages == 4
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts, cfg.train_cfg.val_interval) == (10, 2, 10)
    assert cfg.default_hooks.logger.interval == 5 and cfg.train_cfg.max_epochs == 40
    stages = [epoch for epoch, _ in cfg.train_cfg.get('dynamic_intervals') or () if epoch < 40]
    assert stages == ([35] if 'yolov6' in name else [])
