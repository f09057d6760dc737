# YOLOX, size s, on COCO: the root of the family. Every other file here lists only what differs from its base.
_base_ = ['../_base_/default_runtime.py', 'yolox_p5_tta.py']

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

num_classes = 80
train_batch_size_per_gpu = 8  # the recipe is for 8 processes: 64 images a step
train_num_workers = 8  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.01  # for 64 images a step
max_epochs = 300
num_last_epochs = 15  # the last epochs see whole images, at a constant rate and with a further loss
warmup_epochs = 5  # the rate rises with the square of the time
lr_factor = 0.05  # then falls along a cosine to base_lr * lr_factor
weight_decay = 0.0005
save_epoch_intervals = 10  # epochs between checkpoints, and between validations
val_interval_stage2 = 1  # the same for validations in the last epochs
max_keep_ckpts = 3  # of the periodic ones; the best is kept besides
ema_momentum = 0.0001

model_test_cfg = {
    'yolox_style': True,  # max_per_img does not count: every box that is left after NMS is kept
    'multi_label': True,  # a box may be predicted once per class
    'score_thr': 0.001,  # low, because average precision wants the whole curve
    'max_per_img': 300,
    'nms': {'type': 'nms', 'iou_threshold': 0.65},
}

# ======================= images =======================
img_scale = (640, 640)  # width, height
dataset_type = 'YOLOv5CocoDataset'
val_batch_size_per_gpu = 1
val_num_workers = 2

batch_augments_interval = 10  # steps until batches get another size
random_size_range = (480, 800)  # which is one of these, a multiple of 32
random_affine_scaling_ratio_range = (0.1, 2)
mixup_ratio_range = (0.8, 1.6)  # the image mixed in is scaled by this

# ======================= model and its targets =======================
deepen_factor = 0.33  # times the number of blocks of a stage
widen_factor = 0.5  # times the number of channels
norm_cfg = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}
act_cfg = {'type': 'SiLU', 'inplace': True}

loss_cls_weight = 1.0
loss_bbox_weight = 5.0
loss_obj_weight = 1.0
loss_bbox_aux_weight = 1.0  # in the last epochs
center_radius = 2.5  # a cell this near, in cells, to the middle of a box may answer for it; as may cells within it

model = {
    'type': 'YOLODetector',
    'init_cfg': {
        'type': 'Kaiming',
        'layer': 'Conv2d',
        'a': 2.23606797749979,  # the square root of 5
        'distribution': 'uniform',
        'mode': 'fan_in',
        'nonlinearity': 'leaky_relu',
    },
    'use_syncbn': False,  # statistics are averaged by a hook instead
    'data_preprocessor': {
        'type': 'YOLOv5DetDataPreprocessor',  # images stay BGR with values from 0 to 255
        'pad_size_divisor': 32,
        'batch_augments': [
            {
                'type': 'YOLOXBatchSyncRandomResize',
                'random_size_range': random_size_range,
                'size_divisor': 32,
                'interval': batch_augments_interval,
            }
        ],
    },
    'backbone': {
        'type': 'YOLOXCSPDarknet',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'out_indices': (2, 3, 4),
        'spp_kernal_sizes': (5, 9, 13),
        'norm_cfg': norm_cfg,
        'act_cfg': act_cfg,
    },
    'neck': {
        'type': 'YOLOXPAFPN',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'in_channels': [256, 512, 1024],
        'out_channels': 256,
        'norm_cfg': norm_cfg,
        'act_cfg': act_cfg,
    },
    'bbox_head': {
        'type': 'YOLOXHead',
        'head_module': {
            'type': 'YOLOXHeadModule',
            'num_classes': num_classes,
            'in_channels': 256,
            'feat_channels': 256,
            'widen_factor': widen_factor,
            'stacked_convs': 2,
            'featmap_strides': (8, 16, 32),
            'use_depthwise': False,
            'norm_cfg': norm_cfg,
            'act_cfg': act_cfg,
        },
        'loss_cls': {
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'reduction': 'sum',
            'loss_weight': loss_cls_weight,
        },
        'loss_bbox': {
            'type': 'mmdet.IoULoss',
            'mode': 'square',
            'eps': 1e-16,
            'reduction': 'sum',
            'loss_weight': loss_bbox_weight,
        },
        'loss_obj': {
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'reduction': 'sum',
            'loss_weight': loss_obj_weight,
        },
        'loss_bbox_aux': {'type': 'mmdet.L1Loss', 'reduction': 'sum', 'loss_weight': loss_bbox_aux_weight},
    },
    'train_cfg': {
        'assigner': {
            'type': 'SimOTAAssigner',  # mmdet's, some ten times faster
            'center_radius': center_radius,
            'iou_calculator': {'type': 'mmdet.BboxOverlaps2D'},
        }
    },
    'test_cfg': model_test_cfg,
}

pre_transform = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]

mosaic = {'type': 'Mosaic', 'img_scale': img_scale, 'pad_val': 114.0, 'pre_transform': pre_transform}

# Cuts the mosaic of twice the size back to img_scale.
random_affine = {
    'type': 'RandomAffine',
    'scaling_ratio_range': random_affine_scaling_ratio_range,
    'border': (-img_scale[0] // 2, -img_scale[1] // 2),
}

mixup = {
    'type': 'YOLOXMixUp',
    'img_scale': img_scale,
    'ratio_range': mixup_ratio_range,
    'pad_val': 114.0,
    'pre_transform': pre_transform,
}

# In place of mosaic and mixup in the last epochs.
resize_and_pad = [
    {'type': 'Resize', 'scale': img_scale, 'keep_ratio': True},
    {'type': 'mmdet.Pad', 'pad_to_square': True, 'pad_val': {'img': (114.0, 114.0, 114.0)}},
]

last_transform = [
    {'type': 'mmdet.YOLOXHSVRandomAug'},
    {'type': 'RandomFlip', 'prob': 0.5},
    # keep_empty=False keeps images without a box; the name means the opposite.
    {'type': 'FilterAnnotations', 'min_gt_bbox_wh': (1, 1), 'keep_empty': False},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')},
]

train_pipeline_stage1 = [*pre_transform, mosaic, random_affine, mixup, *last_transform]
train_pipeline_stage2 = [*pre_transform, *resize_and_pad, *last_transform]

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
        'pipeline': train_pipeline_stage1,
    },
}

test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    *resize_and_pad,  # at the right and the bottom, so that boxes need not be shifted back
    {'type': 'LoadAnnotations', 'with_bbox': True, '_scope_': 'mmdet'},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
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
        'ann_file': val_ann_file,
        'data_prefix': {'img': val_data_prefix},
        'test_mode': True,
        'pipeline': test_pipeline,
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

optim_wrapper = {
    'type': 'OptimWrapper',
    'optimizer': {'type': 'SGD', 'lr': base_lr, 'momentum': 0.9, 'weight_decay': weight_decay, 'nesterov': True},
    'paramwise_cfg': {'norm_decay_mult': 0.0, 'bias_decay_mult': 0.0},
}

# Epochs; the first two change the rate at every iteration.
param_scheduler = [
    {
        'type': 'mmdet.QuadraticWarmupLR',
        'by_epoch': True,
        'begin': 0,
        'end': warmup_epochs,
        'convert_to_iter_based': True,
    },
    {
        'type': 'CosineAnnealingLR',
        'eta_min': base_lr * lr_factor,
        'begin': warmup_epochs,
        'T_max': max_epochs - num_last_epochs,
        'end': max_epochs - num_last_epochs,
        'by_epoch': True,
        'convert_to_iter_based': True,
    },
    {'type': 'ConstantLR', 'by_epoch': True, 'factor': 1, 'begin': max_epochs - num_last_epochs, 'end': max_epochs},
]

default_hooks = {
    'checkpoint': {
        'type': 'CheckpointHook',
        'interval': save_epoch_intervals,
        'save_best': 'auto',
        'max_keep_ckpts': max_keep_ckpts,
    }
}

custom_hooks = [
    {
        'type': 'YOLOXModeSwitchHook',
        'num_last_epochs': num_last_epochs,
        'new_train_pipeline': train_pipeline_stage2,
        'priority': 48,
    },
    {'type': 'mmdet.SyncNormHook', 'priority': 48},
    {
        'type': 'EMAHook',  # validates and saves an average of the weights over about the last 1 / momentum iterations
        'ema_type': 'ExpMomentumEMA',
        'momentum': ema_momentum,
        'update_buffers': True,
        'strict_load': False,
        'priority': 49,
    },
]

train_cfg = {
    'type': 'EpochBasedTrainLoop',
    'max_epochs': max_epochs,
    'val_interval': save_epoch_intervals,
    'dynamic_intervals': [(max_epochs - num_last_epochs, val_interval_stage2)],
}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}

auto_scale_lr = {'base_batch_size': 64}  # with `tools/train.py --auto-scale-lr`
