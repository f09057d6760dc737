# The small sizes start from weights of ImageNet and see less small images.
_base_ = './rtmdet_l_syncbn_fast_8xb32-300e_coco.py'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-s_imagenet_600e.pth'

deepen_factor = 0.33
widen_factor = 0.5

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

_resize = dict(_base_._resize, ratio_range=random_resize_ratio_range)
_load, _augment, _mosaic, _mixup = _base_._load, _base_._augment, _base_.train_pipeline[2], _base_.train_pipeline[8]
train_pipeline = [
    *_load,
    dict(_mosaic, max_cached_images=mosaic_max_cached_images),
    dict(_base_.train_pipeline[3], ratio_range=random_resize_ratio_range),
    *_augment,
    dict(_mixup, max_cached_images=mixup_max_cached_images),
    _base_.train_pipeline[-1],
]
train_pipeline_stage2 = [*_load, _resize, *_augment, _base_.train_pipeline[-1]]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

_ema, _pipeline_switch = _base_.custom_hooks
custom_hooks = [_ema, dict(_pipeline_switch, switch_pipeline=train_pipeline_stage2)]
