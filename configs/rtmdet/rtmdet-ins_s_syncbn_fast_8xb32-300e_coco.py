# Instance segmentation. Every cell predicts a small network that draws its mask; public mmyolo has no training of it.
_base_ = './rtmdet_s_syncbn_fast_8xb32-300e_coco.py'

widen_factor = 0.5

mask_overlap = False  # a map per object, so that objects under others are learnt whole
downsample_ratio = 4  # masks are learnt at a quarter of the image's size; prototypes have half of that
loss_mask_weight = 2.0

model = {
    'bbox_head': {
        'type': 'RTMDetInsSepBNHead',
        'head_module': {'type': 'RTMDetInsSepBNHeadModule', 'use_sigmoid_cls': True, 'widen_factor': widen_factor},
        'loss_mask': {'type': 'mmdet.DiceLoss', 'loss_weight': loss_mask_weight, 'eps': 5e-6, 'reduction': 'mean'},
        'mask_overlap': mask_overlap,
    },
    'test_cfg': {
        'multi_label': True,
        'nms_pre': 1000,
        'min_bbox_size': 0,
        'score_thr': 0.05,
        'nms': {'type': 'nms', 'iou_threshold': 0.6},
        'max_per_img': 100,
        'mask_thr_binary': 0.5,  # least probability of a mask's pixel
    },
}

# That of the base, with outlines: boxes of cut objects are drawn anew around what is left of them.
_load = [_base_._load[0], dict(_base_._load[1], with_mask=True)]
_crop, *_colour_flip_pad = _base_._augment
_augment = [dict(_crop, recompute_bbox=True), *_colour_flip_pad]
_end = [
    {'type': 'FilterAnnotations', 'min_gt_bbox_wh': (1, 1), 'keep_empty': False},  # of which nothing is left
    {'type': 'Polygon2Mask', 'downsample_ratio': downsample_ratio, 'mask_overlap': mask_overlap},
    _base_.train_pipeline[-1],
]
train_pipeline = [*_load, *_base_.train_pipeline[2:4], *_augment, _base_.train_pipeline[8], *_end]
train_pipeline_stage2 = [*_load, _base_._resize, *_augment, *_end]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

_ema, _pipeline_switch = _base_.custom_hooks
custom_hooks = [_ema, dict(_pipeline_switch, switch_pipeline=train_pipeline_stage2)]

*_steps, _annotations, _pack = _base_.test_pipeline
_test_pipeline = [*_steps, dict(_annotations, with_mask=True), _pack]

val_dataloader = {'dataset': {'pipeline': _test_pipeline}}
test_dataloader = val_dataloader

val_evaluator = {'metric': ['bbox', 'segm']}
test_evaluator = val_evaluator
