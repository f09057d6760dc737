"""The configs of YOLOX and YOLOX-pose come to the values of the published recipes, and their pipelines to batches."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import COLLATE_FUNCTIONS
from mmengine.registry import DefaultScope
from small_data import BOXES, write_all
from test_values import ROOT, config, of_type

from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules

SIZES = {
    'nano': (0.33, 0.25),
    'tiny': (0.33, 0.375),
    's': (0.33, 0.5),
    'm': (0.67, 0.75),
    'l': (1, 1),
    'x': (1.33, 1.25),
}
LARGE = {'resize': (480, 800), 'test': (640, 640), 'tta': [(640, 640), (320, 320), (960, 960)]}
SMALL = {'resize': (320, 640), 'test': (416, 416), 'mixup': None}
PLAIN = dict(
    LARGE,
    batch=8,
    optimizer='SGD',
    lr=0.01,
    decay=0.0005,
    interval=10,
    last=15,
    ema=0.0001,
    base_batch=64,
    epochs=300,
    warmup=5,
    affine=(0.1, 2),
    mixup=(0.8, 1.6),
    classes=80,
    frozen=None,
    load=None,
)
RTMDET = dict(PLAIN, batch=32, optimizer='AdamW', lr=0.004, decay=0.05, interval=1, last=20, ema=0.0002, base_batch=256)
POSE = dict(RTMDET, classes=1, affine=(0.75, 1.0))
TINY = dict(SMALL, affine=(0.5, 1.5))
TTA_TINY = [(416, 416), (320, 320), (640, 640)]
RECIPES = {
    **{f'yolox_{size}{fast}_8xb8-300e_coco': PLAIN for size in 'smlx' for fast in ('', '_fast')},
    **{
        f'yolox_{size}{fast}_8xb8-300e_coco': dict(PLAIN, **TINY, tta=TTA_TINY)
        for size in ('nano', 'tiny')
        for fast in ('', '_fast')
    },
    **{f'yolox_{size}_fast_8xb32-300e-rtmdet-hyp_coco': RTMDET for size in 'sm'},
    **{f'yolox_{size}_fast_8xb32-300e-rtmdet-hyp_coco': dict(RTMDET, **TINY) for size in ('nano', 'tiny')},
    'yolox_s_fast_1xb12-40e-rtmdet-hyp_cat': dict(
        RTMDET, classes=1, frozen=4, batch=12, epochs=40, last=5, warmup=3, load='s_fast_8xb32'
    ),
    'pose/yolox-pose_tiny_8xb32-300e-rtmdet-hyp_coco': dict(POSE, **SMALL, load='tiny_fast_8xb32'),
    'pose/yolox-pose_s_8xb32-300e-rtmdet-hyp_coco': dict(POSE, load='s_fast_8xb32'),
    'pose/yolox-pose_m_8xb32-300e-rtmdet-hyp_coco': dict(POSE, load='m_fast_8xb32'),
    'pose/yolox-pose_l_8xb32-300e-rtmdet-hyp_coco': dict(POSE, load='l_fast_8xb8'),
}


def yolox(name):
    return config(f'yolox/{name}')


def values_of(cfg):
    """The values of a config in the form of the rows above."""
    pipeline = cfg.train_dataloader.dataset.pipeline
    (affine,) = of_type(pipeline, 'RandomAffine')
    mixups = of_type(pipeline, 'YOLOXMixUp')
    (mosaic,) = of_type(pipeline, 'Mosaic')
    assert mosaic.img_scale == (640, 640) and affine.border == (-320, -320)
    switch, norm, ema = cfg.custom_hooks
    assert (switch.type, norm.type, ema.type) == ('YOLOXModeSwitchHook', 'mmdet.SyncNormHook', 'EMAHook')
    assert (switch.priority, norm.priority, ema.priority) == (48, 48, 49)
    assert not of_type(switch.new_train_pipeline, 'Mosaic')
    warmup, cosine, constant = cfg.param_scheduler
    end = cfg.train_cfg.max_epochs - switch.num_last_epochs
    optimizer = cfg.optim_wrapper.optimizer
    assert cosine.begin == 5 and cosine.T_max == cosine.end == constant.begin == end
    assert cosine.eta_min == pytest.approx(optimizer.lr * 0.05) and constant.end == cfg.train_cfg.max_epochs
    cat = cfg.filename.endswith(
        '_cat.py'
    )  # validates every ten epochs to its end, which comes before the interval of the base changes
    assert cfg.train_cfg.dynamic_intervals == [(280 if cat else end, 1)] and cfg.train_cfg.val_interval == 10
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == cfg.optim_wrapper.paramwise_cfg.bias_decay_mult == 0
    assert cfg.optim_wrapper.paramwise_cfg.get('bypass_duplicate', False) == (optimizer.type == 'AdamW')
    (augment,) = cfg.model.data_preprocessor.batch_augments
    (resize,) = of_type(cfg.test_pipeline, 'Resize')
    assert cfg.test_pipeline == cfg.val_dataloader.dataset.pipeline == cfg.test_dataloader.dataset.pipeline
    assert cfg.default_hooks.checkpoint.max_keep_ckpts == (2 if cat else 3) and cfg.model.test_cfg.yolox_style
    return {
        'batch': cfg.train_dataloader.batch_size,
        'optimizer': optimizer.type,
        'lr': optimizer.lr,
        'decay': optimizer.weight_decay,
        'interval': augment.interval,
        'resize': augment.random_size_range,
        'last': switch.num_last_epochs,
        'ema': ema.momentum,
        'base_batch': cfg.auto_scale_lr.base_batch_size,
        'epochs': cfg.train_cfg.max_epochs,
        'warmup': warmup.end,
        'affine': affine.scaling_ratio_range,
        'mixup': mixups[0].ratio_range if mixups else None,
        'test': resize.scale,
        'tta': [item.scale for item in cfg.tta_pipeline[1].transforms[0]],
        'classes': cfg.model.bbox_head.head_module.num_classes,
        'frozen': cfg.model.backbone.get('frozen_stages'),
        'load': cfg.load_from,
    }


def test_every_file_has_a_row():
    files = {str(path.relative_to(ROOT / 'yolox').with_suffix('')) for path in ROOT.glob('yolox/**/*.py')}
    assert files == {*RECIPES, 'yolox_p5_tta'}


@pytest.mark.parametrize('name', RECIPES)
def test_values(name):
    found, wanted = values_of(yolox(name)), dict(RECIPES[name])
    load, wanted_load = found.pop('load'), wanted.pop('load')
    assert load == wanted_load or f'/yolox_{wanted_load}' in load
    assert found == wanted
    model, size = yolox(name).model, name.split('_')[1]
    for part in (model.backbone, model.neck):
        assert (part.deepen_factor, part.widen_factor) == SIZES[size]
    assert model.bbox_head.head_module.widen_factor == SIZES[size][1]
    for part in (model.backbone, model.neck, model.bbox_head.head_module):
        assert part.get('use_depthwise', False) == (size == 'nano')


@pytest.mark.parametrize('name', [name for name in RECIPES if 'pose' in name])
def test_values_of_pose(name):
    cfg = yolox(name)
    head, assigner = cfg.model.bbox_head, cfg.model.train_cfg.assigner
    assert (head.type, head.head_module.type, head.head_module.num_keypoints) == (
        'YOLOXPoseHead',
        'YOLOXPoseHeadModule',
        17,
    )
    assert head.loss_pose == {'type': 'OksLoss', 'metainfo': 'configs/_base_/pose/coco.py', 'loss_weight': 30.0}
    assert (assigner.type, assigner.oks_weight, assigner.center_radius) == ('PoseSimOTAAssigner', 3.0, 2.5)
    assert cfg.model.test_cfg.score_thr == 0.01
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        assert loader.dataset.type == 'PoseCocoDataset'
        assert loader.dataset.ann_file == f'annotations/person_keypoints_{split}2017.json'
    for pipeline in (cfg.train_dataloader.dataset.pipeline, cfg.custom_hooks[0].new_train_pipeline):
        assert all(item.with_keypoints for item in of_type(pipeline, 'LoadAnnotations'))
        assert of_type(pipeline, 'FilterAnnotations')[0].by_keypoints
    assert (
        cfg.val_evaluator
        == cfg.test_evaluator
        == {
            'type': 'mmpose.CocoMetric',
            'score_mode': 'bbox',
            'ann_file': 'data/coco/annotations/person_keypoints_val2017.json',
        }
    )
    assert cfg.default_hooks.checkpoint.save_best == 'coco/AP' and cfg.visualizer.type == 'mmpose.PoseLocalVisualizer'


@pytest.mark.parametrize(
    'name',
    [
        'yolox_tiny_fast_8xb32-300e-rtmdet-hyp_coco',
        'yolox_s_fast_1xb12-40e-rtmdet-hyp_cat',
        'pose/yolox-pose_tiny_8xb32-300e-rtmdet-hyp_coco',
    ],
)
def test_dump_reads_back(name, tmp_path):
    yolox(name).dump(tmp_path / 'copy.py')
    assert Config.fromfile(tmp_path / 'copy.py').to_dict() == yolox(name).to_dict()


def test_initialisation():
    """The detector's init_cfg reaches all convolutions, the biases of the head come after it."""
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        model = MODELS.build(yolox('yolox_nano_fast_8xb8-300e_coco').model)
    torch.nn.init.constant_(model.backbone.stage3[0].pointwise_conv.conv.weight, 100)
    model.init_weights()
    weight = model.backbone.stage3[0].pointwise_conv.conv.weight
    bound = 1 / weight[0].numel() ** 0.5  # of a uniform distribution with a gain for a slope of the square root of 5
    assert bound * 0.9 < weight.abs().max() <= bound
    module = model.bbox_head.head_module
    assert module.multi_level_conv_obj[0].bias.tolist() == pytest.approx([-4.59512])
    assert module.multi_level_conv_cls[2].bias.tolist() == pytest.approx([-4.59512] * 80)
    assert module.multi_level_conv_reg[1].bias.tolist() == [0] * 4


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('small-data')
    write_all(root)
    for part in ('train2017', 'val2017'):
        source = root / 'data' / 'coco' / 'annotations' / f'instances_{part}.json'
        content = json.loads(source.read_text())
        content['categories'] = [{'id': 1, 'name': 'person'}]
        for annotation in content['annotations']:
            x, y, width, height = annotation['bbox']
            steps = np.linspace(0, 1, 17)
            points = np.stack((x + width * steps, y + height * steps, np.full(17, 2)), 1)
            annotation.update(category_id=1, keypoints=points.ravel().tolist(), num_keypoints=17)
        (source.parent / source.name.replace('instances', 'person_keypoints')).write_text(json.dumps(content))
    return root


@pytest.mark.parametrize('name', ['yolox_s_fast_8xb8-300e_coco', 'pose/yolox-pose_s_8xb32-300e-rtmdet-hyp_coco'])
def test_reads_its_data(name, data_root, monkeypatch):
    """Both stages of the training give batches whose boxes and keypoints lie in the images; so does validation."""
    monkeypatch.chdir(data_root)
    register_all_modules(init_default_scope=False)
    cfg, is_pose = yolox(name), 'pose' in name
    dataset = cfg.train_dataloader.dataset
    collate = COLLATE_FUNCTIONS.get('yolov5_collate')
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        for pipeline in (dataset.pipeline, cfg.custom_hooks[0].new_train_pipeline):
            data = DATASETS.build(dict(dataset, pipeline=pipeline))
            assert len(data) == len(BOXES)
            batch = collate([data[index] for index in range(4)])
            assert batch['inputs'].shape == (4, 3, 640, 640) and batch['inputs'].dtype == torch.uint8
            rows = batch['data_samples']['bboxes_labels']
            assert len(rows) >= 4 and (rows[:, 4:] > rows[:, 2:4]).all()
            assert (rows[:, 2:] >= 0).all() and (rows[:, 2:] <= 640).all()
            if is_pose:
                points, visible = batch['data_samples']['keypoints'], batch['data_samples']['keypoints_visible'] > 0
                assert points.shape == (len(rows), 17, 2) and visible.any(1).all()
                assert (points[visible] >= 0).all() and (points[visible] <= 640).all()
                # visible keypoints lie on their box; mosaics shear them a little
                inside = ((points >= rows[:, None, 2:4] - 3) & (points <= rows[:, None, 4:] + 3)).all(2)
                assert inside[visible].all()
        sample = DATASETS.build(cfg.val_dataloader.dataset)[0]
    assert sample['inputs'].shape == (3, 640, 640)
    assert sample['data_samples'].scale_factor == (4.0, 4.0)
    if is_pose:
        assert sample['data_samples'].gt_instances.keypoints[0, 0].tolist() == list(BOXES[0][0][:2])
        assert sample['data_samples'].id == 0 and len(sample['data_samples'].flip_indices) == 17
