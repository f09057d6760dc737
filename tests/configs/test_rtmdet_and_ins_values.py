"""The values of the RTMDet and YOLOv5 instance recipes, and their pipelines on a small data set."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import COLLATE_FUNCTIONS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from small_data import write_all

from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[2] / 'configs'
RTMDET = 'rtmdet/rtmdet_{}_syncbn_fast_8xb32-300e_coco'
RTMDET_INS = 'rtmdet/rtmdet-ins_{}_syncbn_fast_8xb32-300e_coco'
INS = 'yolov5/ins_seg/yolov5_ins_{}-v61_syncbn_fast_8xb16-300e_coco_instance'
NON_OVERLAP = 'yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_non_overlap_8xb16-300e_coco_instance'


def config(name):
    return Config.fromfile(ROOT / f'{name}.py')


@pytest.fixture(autouse=True)
def scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


def one(pipeline, kind):
    (found,) = (item for item in pipeline if item['type'] == kind)
    return found


# size: depth, width, ratio range, mosaic cache, mixup cache, random_pop, mixup probability
SIZES = {
    'tiny': (0.167, 0.375, (0.5, 2.0), 20, 10, False, 0.5),
    's': (0.33, 0.5, (0.5, 2.0), 40, 20, None, None),
    'm': (0.67, 0.75, (0.1, 2.0), 40, 20, None, None),
    'l': (1.0, 1.0, (0.1, 2.0), 40, 20, None, None),
    'x': (1.33, 1.25, (0.1, 2.0), 40, 20, None, None),
}


@pytest.mark.parametrize('size', SIZES)
def test_rtmdet(size):
    cfg = config(RTMDET.format(size))
    depth, width, ratios, mosaic_cache, mixup_cache, random_pop, prob = SIZES[size]
    for part in (cfg.model.backbone, cfg.model.neck):
        assert (part.deepen_factor, part.widen_factor) == (depth, width)
    assert cfg.model.bbox_head.head_module.get('widen_factor', 1.0) == width
    pipeline = cfg.train_dataloader.dataset.pipeline
    mosaic, mixup = one(pipeline, 'Mosaic'), one(pipeline, 'YOLOv5MixUp')
    assert (mosaic.max_cached_images, mixup.max_cached_images) == (mosaic_cache, mixup_cache)
    assert (mosaic.get('random_pop'), mixup.get('random_pop'), mixup.get('prob')) == (random_pop, random_pop, prob)
    switch = cfg.custom_hooks[1]
    assert switch.switch_epoch == 280
    for stage, scale in ((pipeline, (1280, 1280)), (switch.switch_pipeline, (640, 640))):
        resize = one(stage, 'mmdet.RandomResize')
        assert (resize.ratio_range, resize.scale) == (ratios, scale)
    pretrained = cfg.model.backbone.get('init_cfg')
    assert (size in ('tiny', 's')) == (pretrained is not None)
    if pretrained:
        assert pretrained.checkpoint.endswith(f'/cspnext-{size}_imagenet_600e.pth')
    assert cfg.optim_wrapper.optimizer == {'type': 'AdamW', 'lr': 0.004, 'weight_decay': 0.05}
    assert cfg.param_scheduler[1].eta_min == pytest.approx(2e-4) and cfg.param_scheduler[1].begin == 150
    assert cfg.train_cfg.dynamic_intervals == [(280, 1)]


def test_rtmdet_decays_weights_only():
    cfg = config(RTMDET.format('tiny'))
    cfg.model.backbone.pop('init_cfg')
    groups = build_optim_wrapper(MODELS.build(cfg.model), cfg.optim_wrapper).optimizer.param_groups
    assert len(groups) == 240
    assert sum(group['weight_decay'] == 0 for group in groups) == 162
    assert sum(group['weight_decay'] == 0.05 for group in groups) == 78


def test_rtmdet_cat():
    cfg = config('rtmdet/rtmdet_tiny_fast_1xb12-40e_cat')
    assert cfg.custom_hooks[1].switch_epoch == 35 and cfg.train_cfg.max_epochs == 40
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.num_workers) == (12, 4)
    assert (cfg.val_dataloader.batch_size, cfg.val_dataloader.num_workers) == (1, 2)
    assert cfg.val_dataloader.dataset.batch_shapes_cfg.batch_size == 32
    assert cfg.model.backbone.frozen_stages == 4 and cfg.model.train_cfg.assigner.num_classes == 1
    linear, cosine = cfg.param_scheduler
    assert (linear.end, cosine.begin, cosine.end, cosine.T_max) == (30, 20, 40, 20)
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts, checkpoint.save_best) == (10, 2, 'auto')


@pytest.mark.parametrize('size', ['tiny', 's'])
def test_rtmdet_ins(size):
    """The recipe of RTMDet with masks: the same steps, then the outlines are drawn."""
    cfg, plain = config(RTMDET_INS.format(size)), config(RTMDET.format(size))
    assert cfg.model.backbone == plain.model.backbone and cfg.model.neck == plain.model.neck
    assert cfg.model.bbox_head.head_module.widen_factor == SIZES[size][1]
    assert cfg.model.test_cfg == {
        'multi_label': True,
        'nms_pre': 1000,
        'min_bbox_size': 0,
        'score_thr': 0.05,
        'nms': {'type': 'nms', 'iou_threshold': 0.6},
        'max_per_img': 100,
        'mask_thr_binary': 0.5,
    }
    assert cfg.test_evaluator.metric == ['bbox', 'segm']
    assert one(cfg.test_dataloader.dataset.pipeline, 'LoadAnnotations').with_mask
    for stage, base in (
        (cfg.train_dataloader.dataset.pipeline, plain.train_dataloader.dataset.pipeline),
        (cfg.custom_hooks[1].switch_pipeline, plain.custom_hooks[1].switch_pipeline),
    ):
        assert [step.type for step in stage[-3:]] == ['FilterAnnotations', 'Polygon2Mask', 'mmdet.PackDetInputs']
        assert (stage[-2].downsample_ratio, stage[-2].mask_overlap) == (4, cfg.model.bbox_head.mask_overlap)
        expected = copy.deepcopy(list(base[:-1]))
        expected[1].with_mask = one(expected, 'mmdet.RandomCrop').recompute_bbox = True
        assert list(stage[:-3]) == expected


def draw_shapes(root, count=5):
    """Writes a COCO set of white triangles and circles on black, and a crowd each, and gives its annotation file."""
    images, annotations = [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        width, height = int(rng.integers(300, 640)), int(rng.integers(300, 640))
        image = np.zeros((height, width, 3), np.uint8)
        for corners in (3, 40):
            centre, radius = rng.uniform(60, (width - 60, height - 60)), rng.uniform(30, 90)
            angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6)
            points = (centre + radius * np.stack((np.cos(angles), np.sin(angles)), 1)).clip(0, (width - 1, height - 1))
            cv2.fillPoly(image, [points.round().astype(np.int32)], (255, 255, 255))
            box = [*points.min(0), *np.ptp(points, 0)]
            annotations.append(
                dict(id=len(annotations), image_id=number, category_id=1, iscrowd=0, area=box[2] * box[3], bbox=box)
                | {'segmentation': [points.flatten().tolist()]}
            )
        crowd = {'size': [height, width], 'counts': [0, height * width]}  # all of the image, which must not be learnt
        annotations.append(dict(annotations[-1], id=len(annotations), iscrowd=1, segmentation=crowd))
        cv2.imwrite(str(root / f'{number}.png'), image)
        images.append({'id': number, 'file_name': f'{number}.png', 'width': width, 'height': height})
    categories = [{'id': 1, 'name': 'person'}]
    file = root / 'shapes.json'
    file.write_text(json.dumps({'images': images, 'categories': categories, 'annotations': annotations}))
    return file


@pytest.mark.parametrize('stage', ['mosaics', 'last epochs'])
def test_masks_lie_on_their_pixels(stage, tmp_path):
    """After all that moves images: what is white is within a mask, and each mask fills its box."""
    file = draw_shapes(tmp_path)
    np.random.seed(0)
    cfg = config(RTMDET_INS.format('tiny'))
    dataset = cfg.train_dataloader.dataset
    if stage == 'last epochs':
        dataset.pipeline = cfg.custom_hooks[1].switch_pipeline
    dataset.pipeline = [step for step in dataset.pipeline if step.type != 'mmdet.YOLOXHSVRandomAug']
    for step in dataset.pipeline:
        if 'pad_val' in step:
            step.pad_val = 0.0 if step.type == 'Mosaic' else {'img': (0, 0, 0)}
    dataset.update(
        data_root='', ann_file=str(file), data_prefix={'img': str(tmp_path)}, metainfo={'classes': ('person',)}
    )
    dataset = DATASETS.build(dataset)
    seen = 0
    for index in range(8):
        packed = dataset[index % len(dataset)]
        image, instances = packed['inputs'].numpy(), packed['data_samples'].gt_instances
        masks = instances.masks.numpy()
        assert masks.shape == (len(instances), 160, 160)
        # Two mixed images are as bright as their share, which is rarely below a fifth; borders are between.
        white = cv2.resize(image[0], (160, 160), interpolation=cv2.INTER_AREA) > 25
        assert (white != masks.any(0)).mean() < 0.02
        for mask, box in zip(masks, instances.bboxes.tensor / 4):
            if (box[2:] - box[:2]).min() > 2:
                seen += 1
                y, x = mask.nonzero()
                extent = torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1])
                assert (extent - box).abs().max() <= 1.5
    assert seen > 8


# size: depth, width, scale, class, objectness, lr factor, mixup, copy-paste
INS_SIZES = {
    'n': (0.33, 0.25, 0.5, 0.5, 1.0, 0.01, None, None),
    's': (0.33, 0.5, 0.5, 0.5, 1.0, 0.01, None, None),
    'm': (0.67, 0.75, 0.9, 0.3, 0.7, 0.1, 0.1, None),
    'l': (1.0, 1.0, 0.9, 0.3, 0.7, 0.1, 0.1, 0.1),
    'x': (1.33, 1.25, 0.9, 0.3, 0.7, 0.1, 0.1, 0.1),
}


@pytest.mark.parametrize('size', INS_SIZES)
def test_ins(size):
    cfg = config(INS.format(size))
    depth, width, scale, cls, objectness, lr_factor, mixup, copy_paste = INS_SIZES[size]
    head = cfg.model.bbox_head
    assert (cfg.model.backbone.deepen_factor, head.head_module.widen_factor) == (depth, width)
    assert (head.loss_cls.loss_weight, head.loss_obj.loss_weight) == pytest.approx((cls, objectness))
    assert (head.loss_mask_weight, head.head_module.mask_channels, head.head_module.proto_channels) == (0.05, 32, 256)
    assert cfg.default_hooks.param_scheduler.lr_factor == lr_factor
    pipeline = cfg.train_dataloader.dataset.pipeline
    affine = one(pipeline, 'YOLOv5RandomAffine')
    assert affine.scaling_ratio_range == pytest.approx((1 - scale, 1 + scale))
    assert (affine.min_area_ratio, affine.max_aspect_ratio) == (0.01, 100)
    kinds = [item['type'] for item in pipeline]
    assert kinds[-3:] == ['RandomFlip', 'Polygon2Mask', 'PackDetInputs']
    assert one(pipeline, 'YOLOv5MixUp').prob == mixup if mixup else 'YOLOv5MixUp' not in kinds
    assert one(pipeline, 'YOLOv5CopyPaste').prob == copy_paste if copy_paste else 'YOLOv5CopyPaste' not in kinds
    assert one(cfg.test_dataloader.dataset.pipeline, 'LetterResize').half_pad_param
    assert cfg.test_evaluator.metric == ['bbox', 'segm']
    test_cfg = cfg.model.test_cfg
    assert (test_cfg.nms.iou_threshold, test_cfg.min_bbox_size, test_cfg.mask_thr_binary, test_cfg.fast_test) == (
        0.6,
        0,
        0.5,
        True,
    )


def test_ins_without_overlap():
    cfg = config(NON_OVERLAP)
    assert not cfg.model.bbox_head.mask_overlap
    assert not one(cfg.train_dataloader.dataset.pipeline, 'Polygon2Mask').mask_overlap


@pytest.mark.parametrize('name', [INS.format('l'), NON_OVERLAP, RTMDET.format('tiny'), RTMDET_INS.format('tiny')])
def test_batches(name, tmp_path, monkeypatch):
    """Objects of a batch have their masks: what a mask covers lies in its box."""
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    cfg = config(name)
    dataset = DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset))
    collate = COLLATE_FUNCTIONS.get('yolov5_collate')
    batch = collate([dataset[index % len(dataset)] for index in range(6)])
    assert batch['inputs'].shape == (6, 3, 640, 640) and batch['inputs'].dtype == torch.uint8
    rows = batch['data_samples']['bboxes_labels']
    assert len(rows) > 4
    if 'ins_' not in name:
        return
    masks = batch['data_samples']['masks']
    overlap = cfg.model.bbox_head.mask_overlap
    assert masks.shape == ((6 if overlap else len(rows)), 160, 160)
    seen = 0
    for index, (image, _, *box) in enumerate(rows.tolist()):
        number = int((rows[: index + 1, 0] == image).sum())
        mask = masks[int(image)] == number if overlap else masks[index] > 0
        y, x = mask.nonzero().unbind(1)
        if len(y):
            seen += 1
            x1, y1, x2, y2 = (side / 4 for side in box)
            assert x1 - 1 <= x.min() and x.max() <= x2 + 1 and y1 - 1 <= y.min() and y.max() <= y2 + 1
    assert seen > 4
