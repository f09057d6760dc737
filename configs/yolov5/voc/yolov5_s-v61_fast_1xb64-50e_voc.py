# Pascal VOC 2007 and 2012, with hyper-parameters found by evolution for fine-tuning; the odd decimals come from there.
_base_ = '../yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

dataset_type = 'YOLOv5VOCDataset'
data_root = 'data/VOCdevkit/'
num_classes = 20
img_scale = (512, 512)
max_epochs = 50
train_batch_size_per_gpu = 64
train_num_workers = 8
batch_shapes_cfg = {'img_size': img_scale[0]}

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco/yolov5_s-v61_syncbn_fast_8xb16-300e_coco_20220918_084700-86e02187.pth'  # noqa: E501

anchors = [
    [(26, 44), (67, 57), (61, 130)],  # stride 8
    [(121, 118), (120, 239), (206, 182)],  # stride 16
    [(376, 161), (234, 324), (428, 322)],  # stride 32
]
num_det_layers = _base_.num_det_layers
base_lr = 0.00334
lr_factor = 0.15135
momentum = 0.74832
weight_decay = 0.00025
warmup_epochs = 3.3835
warmup_momentum = 0.59462
warmup_bias_lr = 0.18657
loss_cls_weight = 0.21638
loss_bbox_weight = 0.02
loss_obj_weight = 0.51728
class_weight = 0.5  # how much a positive counts against a negative in the class loss
obj_pos_weight = 0.67198  # the same in the objectness loss
prior_match_thr = 3.3744
affine_scale = 0.75544
translate_ratio = 0.04591
mosaic_prob = 0.85834
mixup_prob = 0.04266
hsv = {'hue_delta': 0.01041, 'saturation_delta': 0.54703, 'value_delta': 0.27739}

model = {
    'bbox_head': {
        'head_module': {'num_classes': num_classes},
        'prior_generator': {'base_sizes': anchors},
        'loss_cls': {
            'loss_weight': loss_cls_weight * (num_classes / 80 * 3 / num_det_layers),
            'class_weight': class_weight,
        },
        'loss_bbox': {'loss_weight': loss_bbox_weight * (3 / num_det_layers)},
        'loss_obj': {
            'loss_weight': loss_obj_weight * ((img_scale[0] / 640) ** 2 * 3 / num_det_layers),
            'class_weight': obj_pos_weight,
        },
        'prior_match_thr': prior_match_thr,
    },
    'test_cfg': {'nms': {'iou_threshold': 0.6}},
}

pre_transform = _base_.pre_transform
mosaic = dict(_base_.mosaic, img_scale=img_scale)
random_affine = dict(
    _base_.random_affine,
    max_translate_ratio=translate_ratio,
    scaling_ratio_range=(1 - affine_scale, 1 + affine_scale),
    border=(-img_scale[0] // 2, -img_scale[1] // 2),
)
mosaic_affine = [mosaic, random_affine]
mixup = {'type': 'YOLOv5MixUp', 'prob': mixup_prob, 'pre_transform': [*pre_transform, *mosaic_affine]}
# The names with_mosiac_pipeline and without_mosaic_pipeline are spelled as in public mmyolo.
with_mosiac_pipeline = [*mosaic_affine, mixup]
without_mosaic_pipeline = [
    dict(random_affine, border=(0, 0)),
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': True, 'pad_val': {'img': 114}},
]
randchoice_mosaic_pipeline = {
    'type': 'RandomChoice',
    'transforms': [with_mosiac_pipeline, without_mosaic_pipeline],
    'prob': [mosaic_prob, 1 - mosaic_prob],
}
last_transform = [_base_.last_transform[0], dict(_base_.last_transform[1], **hsv), *_base_.last_transform[2:]]

train_pipeline = [*pre_transform, randchoice_mosaic_pipeline, *last_transform]

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'dataset': {
        '_delete_': True,
        'type': 'ConcatDataset',
        'datasets': [
            {
                'type': dataset_type,
                'data_root': data_root,
                'ann_file': f'{year}/ImageSets/Main/trainval.txt',
                'data_prefix': {'sub_data_root': f'{year}/'},
                'filter_cfg': {'filter_empty_gt': False, 'min_size': 32},
                'pipeline': train_pipeline,
            }
            for year in ('VOC2007', 'VOC2012')
        ],
        'ignore_keys': 'dataset_type',
    },
}  # the year, the one thing in which the two differ

test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], scale=img_scale),
    dict(_base_.test_pipeline[2], scale=img_scale),
    *_base_.test_pipeline[3:],
]
val_dataloader = {
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': 'VOC2007/ImageSets/Main/test.txt',
        'data_prefix': {'_delete_': True, 'sub_data_root': 'VOC2007/'},
        'pipeline': test_pipeline,
        'batch_shapes_cfg': batch_shapes_cfg,
    }
}
test_dataloader = val_dataloader

val_evaluator = {'_delete_': True, 'type': 'mmdet.VOCMetric', 'metric': 'mAP', 'eval_mode': 'area'}
test_evaluator = val_evaluator

optim_wrapper = {
    'optimizer': {
        'lr': base_lr,
        'momentum': momentum,
        'weight_decay': weight_decay,
        'batch_size_per_gpu': train_batch_size_per_gpu,
    }
}
default_hooks = {
    'param_scheduler': {
        'lr_factor': lr_factor,
        'max_epochs': max_epochs,
        'warmup_epochs': warmup_epochs,
        'warmup_momentum': warmup_momentum,
        'warmup_bias_lr': warmup_bias_lr,
    }
}
train_cfg = {'max_epochs': max_epochs}

tta_img_scales = [(512, 512), (416, 416), (640, 640)]
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
