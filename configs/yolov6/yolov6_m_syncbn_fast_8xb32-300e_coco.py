# Size m: cross-stage partial layers, stronger augmentation.
_base_ = './yolov6_s_syncbn_fast_8xb32-300e_coco.py'

deepen_factor = 0.6
widen_factor = 0.75
affine_scale = 0.9
mixup_prob = 0.1  # share of mosaics that are blended with another
_relu = {'type': 'ReLU', 'inplace': True}
_layers = {
    'deepen_factor': deepen_factor,
    'widen_factor': widen_factor,
    'hidden_ratio': 2.0 / 3,  # channels of the blocks within a layer
    'block_cfg': {'type': 'RepVGGBlock'},
}
model = {
    'backbone': dict(_layers, type='YOLOv6CSPBep', act_cfg=_relu),
    'neck': dict(_layers, type='YOLOv6CSPRepPAFPN', block_act_cfg=_relu),
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

# The pipeline of the last epochs stays as it is, with its own affine_scale.
_affine = dict(_base_.random_affine, scaling_ratio_range=(1 - affine_scale, 1 + affine_scale))
mosaic_affine_pipeline = [_base_.mosaic, _affine]
train_pipeline = [
    *_base_.pre_transform,
    *mosaic_affine_pipeline,
    {'type': 'YOLOv5MixUp', 'prob': mixup_prob, 'pre_transform': [*_base_.pre_transform, *mosaic_affine_pipeline]},
    *_base_.last_transform,
]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
