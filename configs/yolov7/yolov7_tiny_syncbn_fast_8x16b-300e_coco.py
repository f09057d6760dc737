# Size tiny: other blocks and activations, weaker augmentation.
_base_ = './yolov7_l_syncbn_fast_8x16b-300e_coco.py'

loss_cls_weight = 0.5
loss_obj_weight = 1.0
lr_factor = 0.01
max_translate_ratio = 0.1
scaling_ratio_range = (0.5, 1.6)
mixup_prob = 0.05

num_classes = _base_.num_classes
num_det_layers = _base_.num_det_layers
img_scale = _base_.img_scale

model = {
    'backbone': {'arch': 'Tiny', 'act_cfg': {'type': 'LeakyReLU', 'negative_slope': 0.1, 'inplace': True}},
    'neck': {
        'is_tiny_version': True,
        'in_channels': [128, 256, 512],
        'out_channels': [64, 128, 256],
        'block_cfg': {'_delete_': True, 'type': 'TinyDownSampleBlock', 'middle_ratio': 0.25},
        'act_cfg': {'type': 'LeakyReLU', 'negative_slope': 0.1, 'inplace': True},
        'use_repconv_outs': False,
    },
    'bbox_head': {
        'head_module': {'in_channels': [128, 256, 512]},
        'loss_cls': {'loss_weight': loss_cls_weight * (num_classes / 80 * 3 / num_det_layers)},
        'loss_obj': {'loss_weight': loss_obj_weight * ((img_scale[0] / 640) ** 2 * 3 / num_det_layers)},
    },
}

random_affine = dict(
    _base_.random_affine, max_translate_ratio=max_translate_ratio, scaling_ratio_range=scaling_ratio_range
)
mosiac4_pipeline = [_base_.mosiac4_pipeline[0], random_affine]
mosiac9_pipeline = [_base_.mosiac9_pipeline[0], random_affine]
randchoice_mosaic_pipeline = {
    'type': 'RandomChoice',
    'transforms': [mosiac4_pipeline, mosiac9_pipeline],
    'prob': _base_.randchoice_mosaic_prob,
}
train_pipeline = [
    *_base_.pre_transform,
    randchoice_mosaic_pipeline,
    {
        'type': 'YOLOv5MixUp',
        'alpha': _base_.mixup_alpha,
        'beta': _base_.mixup_beta,
        'prob': mixup_prob,
        'pre_transform': [*_base_.pre_transform, randchoice_mosaic_pipeline],
    },
    *_base_.last_transform,
]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

default_hooks = {'param_scheduler': {'lr_factor': lr_factor}}
