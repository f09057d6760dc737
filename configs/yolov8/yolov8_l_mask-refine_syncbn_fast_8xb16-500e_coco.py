_base_ = './yolov8_m_mask-refine_syncbn_fast_8xb16-500e_coco.py'

deepen_factor = 1.0
widen_factor = 1.0
last_stage_out_channels = 512
mixup_prob = 0.15
copypaste_prob = 0.3

model = {
    'backbone': {
        'last_stage_out_channels': last_stage_out_channels,
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
    },
    'neck': {
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'in_channels': [256, 512, last_stage_out_channels],
        'out_channels': [256, 512, last_stage_out_channels],
    },
    'bbox_head': {'head_module': {'widen_factor': widen_factor, 'in_channels': [256, 512, last_stage_out_channels]}},
}

pre_transform = _base_.pre_transform
copypaste = dict(_base_.copypaste, prob=copypaste_prob)
mosaic_affine_transform = [_base_.mosaic, copypaste, _base_.random_affine]
mixup = {'type': 'YOLOv5MixUp', 'prob': mixup_prob, 'pre_transform': [*pre_transform, *mosaic_affine_transform]}

train_pipeline = [*pre_transform, *mosaic_affine_transform, mixup, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
