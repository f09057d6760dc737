# YOLOv6, size s, on COCO: the root of the family. Every other file here lists only what differs from its base.
_base_ = ['../_base_/default_runtime.py', '../_base_/det_p5_tta.py']

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

num_classes = 80
train_batch_size_per_gpu = 32  # the recipe is for 8 processes: 256 images a step
train_num_workers = 8  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.01  # for 256 images a step
max_epochs = 400
num_last_epochs = 15  # the last epochs see whole images instead of mosaics
lr_factor = 0.01  # the rate falls along a cosine to base_lr * lr_factor
weight_decay = 0.0005  # for 64 images a step; the constructor scales it to the real batch
save_epoch_intervals = 10  # epochs between checkpoints, and between validations
val_interval_stage2 = 1  # the same for validations in the last epochs
max_keep_ckpts = 3  # of the periodic ones; the best is kept besides

model_test_cfg = {
    'multi_label': True,  # a box may be predicted once per class
    'nms_pre': 30000,  # candidates with the highest scores that go into NMS
    'score_thr': 0.001,  # low, because average precision wants the whole curve
    'nms': {'type': 'nms', 'iou_threshold': 0.65},
    'max_per_img': 300,
}

# ======================= images =======================
img_scale = (640, 640)  # width, height
dataset_type = 'YOLOv5CocoDataset'
val_batch_size_per_gpu = 1
val_num_workers = 2

# Validation images of like shape share a batch, padded no further than they need.
batch_shapes_cfg = {
    'type': 'BatchShapePolicy',
    'batch_size': val_batch_size_per_gpu,
    'img_size': img_scale[0],
    'size_divisor': 32,  # the largest stride
    'extra_pad_ratio': 0.5,
}  # of size_divisor, a border around the image

affine_scale = 0.5  # training images are scaled by a factor of 1 - affine_scale to 1 + affine_scale

# ======================= model and its targets =======================
deepen_factor = 0.33  # times the number of blocks of a stage
widen_factor = 0.5  # times the number of channels
strides = [8, 16, 32]
norm_cfg = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}

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
        'type': 'YOLOv6EfficientRep',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'ReLU', 'inplace': True},
    },
    'neck': {
        'type': 'YOLOv6RepPAFPN',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'in_channels': [256, 512, 1024],
        'out_channels': [128, 256, 512],
        'num_csp_blocks': 12,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'ReLU', 'inplace': True},
    },
    'bbox_head': {
        'type': 'YOLOv6Head',
        'head_module': {
            'type': 'YOLOv6HeadModule',
            'num_classes': num_classes,
            'in_channels': [128, 256, 512],
            'widen_factor': widen_factor,
            'norm_cfg': norm_cfg,
            'act_cfg': {'type': 'SiLU', 'inplace': True},
            'featmap_strides': strides,
        },
        'loss_bbox': {
            'type': 'IoULoss',
            'iou_mode': 'giou',
            'bbox_format': 'xyxy',
            'reduction': 'mean',
            'loss_weight': 2.5,
            'return_iou': False,
        },
    },
    'train_cfg': {
        'initial_epoch': 4,  # epochs in which priors are assigned by distance, while predictions say little
        'initial_assigner': {
            'type': 'BatchATSSAssigner',
            'num_classes': num_classes,
            'topk': 9,
        },  # candidates per level
        # A ground truth takes the 13 best aligned cells, where alignment is score**alpha * IoU**beta.
        'assigner': {'type': 'BatchTaskAlignedAssigner', 'num_classes': num_classes, 'topk': 13, 'alpha': 1, 'beta': 6},
    },
    'test_cfg': model_test_cfg,
}

pre_transform = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]

mosaic = {'type': 'Mosaic', 'img_scale': img_scale, 'pad_val': 114.0, 'pre_transform': pre_transform}

# Cuts the mosaic of twice the size back to img_scale, shifted by up to a tenth.
random_affine = {
    'type': 'YOLOv5RandomAffine',
    'max_rotate_degree': 0.0,
    'max_translate_ratio': 0.1,
    'max_shear_degree': 0.0,
    'scaling_ratio_range': (1 - affine_scale, 1 + affine_scale),
    'border': (-img_scale[0] // 2, -img_scale[1] // 2),
    'border_val': (114, 114, 114),
}

# In place of the mosaic in the last epochs.
letter_resize = [
    {'type': 'YOLOv5KeepRatioResize', 'scale': img_scale},
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': True, 'pad_val': {'img': 114}},
]

last_transform = [
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

optim_wrapper = {
    'type': 'OptimWrapper',
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
    'param_scheduler': {  # sets rate and momentum
        'type': 'YOLOv5ParamSchedulerHook',
        'scheduler_type': 'cosine',
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
        'switch_epoch': max_epochs - num_last_epochs,
        'switch_pipeline': train_pipeline_stage2,
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
