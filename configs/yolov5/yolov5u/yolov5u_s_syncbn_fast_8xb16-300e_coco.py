# YOLOv5u, size s: the backbone and neck of YOLOv5 with the head, targets and last epochs of YOLOv8.
_base_ = '../yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

img_scale = _base_.img_scale
num_classes = _base_.num_classes
strides = _base_.strides
norm_cfg = _base_.norm_cfg
weight_decay = 0.001  # for 64 images a step; the constructor scales it to the real batch
close_mosaic_epochs = 10  # the last epochs see whole images instead of mosaics
max_aspect_ratio = 100  # boxes cut to a longer shape than this are dropped

loss_cls_weight = 0.5
loss_bbox_weight = 7.5
loss_dfl_weight = 1.5 / 4  # the sum over the four sides of a box counts 1.5
tal_topk = 10  # a ground truth takes the 10 best aligned cells, where alignment is score**alpha * IoU**beta
tal_alpha = 0.5
tal_beta = 6.0

model = {
    'bbox_head': {
        '_delete_': True,
        'type': 'YOLOv8Head',
        'head_module': {
            'type': 'YOLOv8HeadModule',
            'num_classes': num_classes,
            'in_channels': [256, 512, 1024],
            'widen_factor': _base_.widen_factor,
            'reg_max': 16,  # a side is a distribution over 0 to 15 strides
            'norm_cfg': norm_cfg,
            'act_cfg': {'type': 'SiLU', 'inplace': True},
            'featmap_strides': strides,
        },
        'prior_generator': {'type': 'mmdet.MlvlPointGenerator', 'offset': 0.5, 'strides': strides},
        'bbox_coder': {'type': 'DistancePointBBoxCoder'},
        'loss_cls': {
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'reduction': 'none',
            'loss_weight': loss_cls_weight,
        },
        'loss_bbox': {
            'type': 'IoULoss',
            'iou_mode': 'ciou',
            'bbox_format': 'xyxy',
            'reduction': 'sum',
            'loss_weight': loss_bbox_weight,
            'return_iou': False,
        },
        'loss_dfl': {'type': 'mmdet.DistributionFocalLoss', 'reduction': 'mean', 'loss_weight': loss_dfl_weight},
    },
    'train_cfg': {
        'assigner': {
            'type': 'BatchTaskAlignedAssigner',
            'num_classes': num_classes,
            'use_ciou': True,
            'topk': tal_topk,
            'alpha': tal_alpha,
            'beta': tal_beta,
            'eps': 1e-9,
        }
    },
    'test_cfg': {'nms': {'iou_threshold': 0.7}},
}

pre_transform = _base_.pre_transform
random_affine = dict(_base_.random_affine, max_aspect_ratio=max_aspect_ratio)

# In place of the mosaic in the last epochs. The number of pad_val fills one channel only: the border is blue.
letter_resize = [
    {'type': 'YOLOv5KeepRatioResize', 'scale': img_scale},
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': True, 'pad_val': {'img': 114.0}},
]

train_pipeline = [*pre_transform, _base_.mosaic, random_affine, *_base_.last_transform]
train_pipeline_stage2 = [*pre_transform, *letter_resize, dict(random_affine, border=(0, 0)), *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

optim_wrapper = {'optimizer': {'weight_decay': weight_decay}}

ema_hook = _base_.custom_hooks[0]
custom_hooks = [
    ema_hook,
    {
        'type': 'mmdet.PipelineSwitchHook',
        'switch_epoch': _base_.max_epochs - close_mosaic_epochs,
        'switch_pipeline': train_pipeline_stage2,
    },
]
