# The small sizes start from weights of ImageNet and see less small images.
_base_ = './rtmdet_l_syncbn_fast_8xb32-300e_coco.py'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-s_imagenet_600e.pth'

deepen_factor = 0.33
widen_factor = 0.5
img_scale = _base_.img_scale

random_resize_ratio_range = (0.5, 2.0)
mosaic_max_cached_images = 40
mixup_max_cached_images = 20

model = {
    'backbone': {
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'init_cfg': {'type': 'Pretrained', 'prefix': 'backbone.', 'checkpoint': checkpoint, 'map_location': 'cpu'},
    },
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

_load = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]
_resize = {
    'type': 'mmdet.RandomResize',
    'scale': img_scale,
    'ratio_range': random_resize_ratio_range,
    'resize_type': 'mmdet.Resize',
    'keep_ratio': True,
}
_augment = [
    {'type': 'mmdet.RandomCrop', 'crop_size': img_scale},
    {'type': 'mmdet.YOLOXHSVRandomAug'},
    {'type': 'mmdet.RandomFlip', 'prob': 0.5},
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
]

train_pipeline = [
    *_load,
    {
        'type': 'Mosaic',
        'img_scale': img_scale,
        'use_cached': True,
        'max_cached_images': mosaic_max_cached_images,
        'pad_val': 114.0,
    },
    dict(_resize, scale=(img_scale[0] * 2, img_scale[1] * 2)),
    *_augment,
    {'type': 'YOLOv5MixUp', 'use_cached': True, 'max_cached_images': mixup_max_cached_images},
    {'type': 'mmdet.PackDetInputs'},
]

train_pipeline_stage2 = [*_load, _resize, *_augment, {'type': 'mmdet.PackDetInputs'}]

train_dataloader = {'dataset': {'pipeline': train_pipeline}}

_ema, _pipeline_switch = _base_.custom_hooks
custom_hooks = [_ema, dict(_pipeline_switch, switch_pipeline=train_pipeline_stage2)]
