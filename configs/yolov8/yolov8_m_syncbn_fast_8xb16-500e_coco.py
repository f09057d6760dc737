_base_ = './yolov8_s_syncbn_fast_8xb16-500e_coco.py'

deepen_factor = 0.67
widen_factor = 0.75
last_stage_out_channels = 768
affine_scale = 0.9
mixup_prob = 0.1

_size = {'deepen_factor': deepen_factor, 'widen_factor': widen_factor}
_channels = [256, 512, last_stage_out_channels]

model = {
    'backbone': dict(_size, last_stage_out_channels=last_stage_out_channels),
    'neck': dict(_size, in_channels=_channels, out_channels=_channels),
    'bbox_head': {'head_module': {'widen_factor': widen_factor, 'in_channels': _channels}},
}

random_affine = dict(_base_.random_affine, scaling_ratio_range=(1 - affine_scale, 1 + affine_scale))
mosaic_affine_transform = [_base_.mosaic, random_affine]
mixup = {'type': 'YOLOv5MixUp', 'prob': mixup_prob, 'pre_transform': [*_base_.pre_transform, *mosaic_affine_transform]}

train_pipeline = [*_base_.pre_transform, *mosaic_affine_transform, mixup, *_base_.last_transform]
train_pipeline_stage2 = [
    *_base_.pre_transform,
    *_base_.letter_resize,
    dict(random_affine, border=(0, 0)),
    *_base_.last_transform,
]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_pipeline=train_pipeline_stage2)]
