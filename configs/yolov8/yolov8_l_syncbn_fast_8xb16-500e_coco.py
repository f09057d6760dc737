_base_ = './yolov8_m_syncbn_fast_8xb16-500e_coco.py'

deepen_factor = 1.0
widen_factor = 1.0
last_stage_out_channels = 512
mixup_prob = 0.15

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

mixup = dict(_base_.mixup, prob=mixup_prob)
train_pipeline = [*_base_.pre_transform, *_base_.mosaic_affine_transform, mixup, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
