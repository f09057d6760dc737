# Size m: cross-stage partial layers, stronger augmentation.
_base_ = './yolov6_s_syncbn_fast_8xb32-300e_coco.py'

deepen_factor = 0.6
widen_factor = 0.75
affine_scale = 0.9
mixup_prob = 0.1  # share of mosaics that are blended with another

model = dict(
    backbone=dict(
        type='YOLOv6CSPBep',
        deepen_factor=deepen_factor,
        widen_factor=widen_factor,
        hidden_ratio=2. / 3,  # channels of the blocks within a layer
        block_cfg=dict(type='RepVGGBlock'),
        act_cfg=dict(type='ReLU', inplace=True)),
    neck=dict(
        type='YOLOv6CSPRepPAFPN',
        deepen_factor=deepen_factor,
        widen_factor=widen_factor,
        hidden_ratio=2. / 3,
        block_cfg=dict(type='RepVGGBlock'),
        block_act_cfg=dict(type='ReLU', inplace=True)),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor)))

# The pipeline of the last epochs stays as it is, with its own affine_scale.
mosaic_affine_pipeline = [
    _base_.mosaic,
    dict(_base_.random_affine, scaling_ratio_range=(1 - affine_scale, 1 + affine_scale))
]
train_pipeline = [
    *_base_.pre_transform, *mosaic_affine_pipeline,
    dict(type='YOLOv5MixUp', prob=mixup_prob, pre_transform=[*_base_.pre_transform, *mosaic_affine_pipeline]),
    *_base_.last_transform
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
