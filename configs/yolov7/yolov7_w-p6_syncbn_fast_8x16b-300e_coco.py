# Size w with a fourth map of stride 64, for inputs of 1280, and predictions that help in training only.
_base_ = './yolov7_l_syncbn_fast_8x16b-300e_coco.py'

img_scale = (1280, 1280)
num_classes = _base_.num_classes
anchors = [
    [(19, 27), (44, 40), (38, 94)],  # stride 8
    [(96, 68), (86, 152), (180, 137)],  # stride 16
    [(140, 301), (303, 264), (238, 542)],  # stride 32
    [(436, 615), (739, 380), (925, 792)],  # stride 64
]
strides = [8, 16, 32, 64]
num_det_layers = 4
obj_level_weights = [4.0, 1.0, 0.25, 0.06]
simota_candidate_topk = 20
lr_factor = 0.2
batch_shapes_cfg = {'img_size': img_scale[0], 'size_divisor': 64}

model = {
    'backbone': {'arch': 'W', 'out_indices': (2, 3, 4, 5)},
    'neck': {
        'in_channels': [256, 512, 768, 1024],
        'out_channels': [128, 256, 384, 512],
        'use_maxpool_in_downsample': False,
        'use_repconv_outs': False,
    },
    'bbox_head': {
        'head_module': {
            'type': 'YOLOv7p6HeadModule',
            'in_channels': [128, 256, 384, 512],
            'main_out_channels': [256, 512, 768, 1024],
            'aux_out_channels': [320, 640, 960, 1280],
            'featmap_strides': strides,
            'norm_cfg': _base_.norm_cfg,
            'act_cfg': {'type': 'SiLU', 'inplace': True},
        },
        'prior_generator': {'base_sizes': anchors, 'strides': strides},
        'loss_cls': {'loss_weight': _base_.loss_cls_weight * (num_classes / 80 * 3 / num_det_layers)},
        'loss_bbox': {'loss_weight': _base_.loss_bbox_weight * (3 / num_det_layers)},
        'loss_obj': {'loss_weight': _base_.loss_obj_weight * ((img_scale[0] / 640) ** 2 * 3 / num_det_layers)},
        'obj_level_weights': obj_level_weights,
        'simota_candidate_topk': simota_candidate_topk,
    },
}

random_affine = dict(_base_.random_affine, border=(-img_scale[0] // 2, -img_scale[1] // 2))
mosiac4_pipeline = [dict(_base_.mosiac4_pipeline[0], img_scale=img_scale), random_affine]
mosiac9_pipeline = [dict(_base_.mosiac9_pipeline[0], img_scale=img_scale), random_affine]
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
        'prob': _base_.mixup_prob,
        'pre_transform': [*_base_.pre_transform, randchoice_mosaic_pipeline],
    },
    *_base_.last_transform,
]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], scale=img_scale),
    dict(_base_.test_pipeline[2], scale=img_scale),
    *_base_.test_pipeline[3:],
]
val_dataloader = {'dataset': {'pipeline': test_pipeline, 'batch_shapes_cfg': batch_shapes_cfg}}
test_dataloader = val_dataloader

default_hooks = {'param_scheduler': {'lr_factor': lr_factor}}

tta_img_scales = [(1280, 1280), (1024, 1024), (1536, 1536)]
_multiscale_resize_transforms = [
    {
        'type': 'Compose',
        'transforms': [
            {'type': 'YOLOv5KeepRatioResize', 'scale': _scale},
            {'type': 'LetterResize', 'scale': _scale, 'allow_scale_up': False, 'pad_val': {'img': 114}},
        ],
    }
    for _scale in tta_img_scales
]
tta_pipeline = [
    _base_.tta_pipeline[0],
    {'type': 'TestTimeAug', 'transforms': [_multiscale_resize_transforms, *_base_.tta_pipeline[1].transforms[1:]]},
]
