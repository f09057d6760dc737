# YOLOv8, size s, on COCO: the root of the family. Every other file here lists only what differs from its base.
_base_ = ['../_base_/default_runtime.py', '../_base_/det_p5_tta.py']

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

num_classes = 80
train_batch_size_per_gpu = 16  # the recipe is for 8 processes: 128 images a step
train_num_workers = 8  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.01  # for 128 images a step
max_epochs = 500
close_mosaic_epochs = 10  # the last epochs see whole images instead of mosaics
lr_factor = 0.01  # the rate falls linearly to base_lr * lr_factor
weight_decay = 0.0005  # for 64 images a step; the constructor scales it to the real batch
save_epoch_intervals = 10  # epochs between checkpoints, and between validations
val_interval_stage2 = 1  # the same for validations once mosaics have ended
max_keep_ckpts = 2  # of the periodic ones; the best is kept besides

model_test_cfg = {
    'multi_label': True,  # a box may be predicted once per class
    'nms_pre': 30000,  # candidates with the highest scores that go into NMS
    'score_thr': 0.001,  # low, because average precision wants the whole curve
    'nms': {'type': 'nms', 'iou_threshold': 0.7},
    'max_per_img': 300,
}

# ======================= images =======================
img_scale = (640, 640)  # width, height
dataset_type = 'YOLOv5CocoDataset'
val_batch_size_per_gpu = 1
val_num_workers = 2
batch_shapes_cfg = None  # every validation image is padded to img_scale

affine_scale = 0.5  # training images are scaled by a factor of 1 - affine_scale to 1 + affine_scale
max_aspect_ratio = 100  # boxes cut to a longer shape than this are dropped

# ======================= model and its targets =======================
deepen_factor = 0.33  # times the number of blocks of a stage
widen_factor = 0.5  # times the number of channels
strides = [8, 16, 32]
num_det_layers = 3  # feature maps that predict, one per stride
last_stage_out_channels = 1024  # before widen_factor; less for the large sizes
norm_cfg = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}

loss_cls_weight = 0.5
loss_bbox_weight = 7.5
loss_dfl_weight = 1.5 / 4  # the sum over the four sides of a box counts 1.5
tal_topk = 10  # a ground truth takes the 10 best aligned cells, where alignment is score**alpha * IoU**beta
tal_alpha = 0.5
tal_beta = 6.0

env_cfg = {'cudnn_benchmark': True}

model = {
    'type': 'YOLODetector',
    'data_preprocessor': {
        'type': 'YOLOv5DetDataPreprocessor',
        'mean': [0.0, 0.0, 0.0],
        'std': [255.0, 255.0, 255.0],
        'bgr_to_rgb': True,
    },
    'backbone': {
        'type': 'YOLOv8CSPDarknet',
        'arch': 'P5',
        'last_stage_out_channels': last_stage_out_channels,
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'neck': {
        'type': 'YOLOv8PAFPN',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'in_channels': [256, 512, last_stage_out_channels],
        'out_channels': [256, 512, last_stage_out_channels],
        'num_csp_blocks': 3,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'bbox_head': {
        'type': 'YOLOv8Head',
        'head_module': {
            'type': 'YOLOv8HeadModule',
            'num_classes': num_classes,
            'in_channels': [256, 512, last_stage_out_channels],
            'widen_factor': widen_factor,
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
    'test_cfg': model_test_cfg,
}

# Colour noise on one image in a hundred each. Needs the package albumentations; without it images pass unchanged.
albu_train_transforms = [
    {'type': 'Blur', 'p': 0.01},
    {'type': 'MedianBlur', 'p': 0.01},
    {'type': 'ToGray', 'p': 0.01},
    {'type': 'CLAHE', 'p': 0.01},
]

pre_transform = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]

mosaic = {'type': 'Mosaic', 'img_scale': img_scale, 'pad_val': 114.0, 'pre_transform': pre_transform}

# Cuts the mosaic of twice the size back to img_scale, shifted by up to a tenth.
random_affine = {
    'type': 'YOLOv5RandomAffine',
    'max_rotate_degree': 0.0,
    'max_shear_degree': 0.0,
    'scaling_ratio_range': (1 - affine_scale, 1 + affine_scale),
    'max_aspect_ratio': max_aspect_ratio,
    'border': (-img_scale[0] // 2, -img_scale[1] // 2),
    'border_val': (114, 114, 114),
}

# In place of the mosaic in the last epochs. The number of pad_val fills one channel only: the border is blue.
letter_resize = [
    {'type': 'YOLOv5KeepRatioResize', 'scale': img_scale},
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': True, 'pad_val': {'img': 114.0}},
]

last_transform = [
    {
        'type': 'mmdet.Albu',
        'transforms': albu_train_transforms,
        'bbox_params': {
            'type': 'BboxParams',
            'format': 'pascal_voc',
            'label_fields': ['gt_bboxes_labels', 'gt_ignore_flags'],
        },
        'keymap': {'img': 'image', 'gt_bboxes': 'bboxes'},
    },
    {'type': 'YOLOv5HSVRandomAug'},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')},
]

train_pipeline = [*pre_transform, mosaic, random_affine, *last_transform]
train_pipeline_stage2 = [*pre_transform, *letter_resize, dict(random_affine, border=(0, 0)), *last_transform]

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'persistent_workers': persistent_workers,
    'pin_memory': True,
    'collate_fn': {'type': 'yolov5_collate'},
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
        'filter_cfg': {
            'filter_empty_gt': False,
            'min_size': 32,
        },  # keep images without objects, drop those under 32 pixels
        'pipeline': train_pipeline,
    },
}

test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'YOLOv5KeepRatioResize', 'scale': img_scale},
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': False, 'pad_val': {'img': 114}},
    {'type': 'LoadAnnotations', 'with_bbox': True, '_scope_': 'mmdet'},
    {
        'type': 'PackDetInputs',
        'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param'),
    },
]

val_dataloader = {
    'batch_size': val_batch_size_per_gpu,
    'num_workers': val_num_workers,
    'persistent_workers': persistent_workers,
    'pin_memory': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'test_mode': True,
        'data_prefix': {'img': val_data_prefix},
        'ann_file': val_ann_file,
        'pipeline': test_pipeline,
        'batch_shapes_cfg': batch_shapes_cfg,
    },
}
test_dataloader = val_dataloader

val_evaluator = {
    'type': 'FastCocoMetric',
    'proposal_nums': (100, 1, 10),
    'ann_file': data_root + val_ann_file,
    'metric': 'bbox',
}
test_evaluator = val_evaluator

param_scheduler = None  # the hook below sets rate and momentum
optim_wrapper = {
    'type': 'OptimWrapper',
    'clip_grad': {'max_norm': 10.0},
    'optimizer': {
        'type': 'SGD',
        'lr': base_lr,
        'momentum': 0.937,
        'weight_decay': weight_decay,
        'nesterov': True,
        'batch_size_per_gpu': train_batch_size_per_gpu,
    },  # read and removed by the constructor
    'constructor': 'YOLOv5OptimizerConstructor',
}

default_hooks = {
    'param_scheduler': {
        'type': 'YOLOv5ParamSchedulerHook',
        'scheduler_type': 'linear',
        'lr_factor': lr_factor,
        'max_epochs': max_epochs,
    },
    'checkpoint': {
        'type': 'CheckpointHook',
        'interval': save_epoch_intervals,
        'save_best': 'auto',
        'max_keep_ckpts': max_keep_ckpts,
    },
}

ema_hook = {
    'type': 'EMAHook',  # validates and saves an average of the weights over about the last 1 / momentum iterations
    'ema_type': 'ExpMomentumEMA',
    'momentum': 0.0001,
    'update_buffers': True,
    'strict_load': False,
    'priority': 49,
}
custom_hooks = [
    ema_hook,
    {
        'type': 'mmdet.PipelineSwitchHook',
        'switch_epoch': max_epochs - close_mosaic_epochs,
        'switch_pipeline': train_pipeline_stage2,
    },
]

train_cfg = {
    'type': 'EpochBasedTrainLoop',
    'max_epochs': max_epochs,
    'val_interval': save_epoch_intervals,
    'dynamic_intervals': [(max_epochs - close_mosaic_epochs, val_interval_stage2)],
}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
