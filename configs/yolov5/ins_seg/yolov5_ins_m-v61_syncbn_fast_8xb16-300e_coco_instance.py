_base_ = './yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'

deepen_factor = 0.67
widen_factor = 0.75
lr_factor = 0.1
affine_scale = 0.9
loss_cls_weight = 0.3
loss_obj_weight = 0.7
mixup_prob = 0.1

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {
        'head_module': {'widen_factor': widen_factor},
        'loss_cls': {'loss_weight': loss_cls_weight * (_base_.num_classes / 80 * 3 / _base_.num_det_layers)},
        'loss_obj': {'loss_weight': loss_obj_weight * ((_base_.img_scale[0] / 640) ** 2 * 3 / _base_.num_det_layers)},
    },
}

random_affine = dict(_base_.random_affine, scaling_ratio_range=(1 - affine_scale, 1 + affine_scale))
mosaic_affine_pipeline = [_base_.mosaic, random_affine]
mixup = {'type': 'YOLOv5MixUp', 'prob': mixup_prob, 'pre_transform': [*_base_.pre_transform, *mosaic_affine_pipeline]}

train_pipeline = [*_base_.pre_transform, *mosaic_affine_pipeline, mixup, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

default_hooks = {'param_scheduler': {'lr_factor': lr_factor}}
