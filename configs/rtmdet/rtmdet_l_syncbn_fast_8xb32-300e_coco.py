# RTMDet, size l, on COCO: the root of the family. Every other file here lists only what differs from its base.
_base_ = ['../_base_/default_runtime.py', '../_base_/det_p5_tta.py']

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

num_classes = 80
train_batch_size_per_gpu = 32  # the recipe is for 8 processes: 256 images a step
train_num_workers = 10  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.004  # of AdamW, for 256 images a step
max_epochs = 300
num_epochs_stage2 = 20  # the last epochs see whole images instead of mosaics
lr_start_factor = 1.0e-5  # the rate starts at base_lr * lr_start_factor and reaches base_lr after 1000 iterations
weight_decay = 0.05  # of weights; biases and norms have none
save_checkpoint_intervals = 10  # epochs between checkpoints, and between validations
val_interval_stage2 = 1  # the same for validations once mosaics have ended
max_keep_ckpts = 3  # of the periodic ones

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
val_batch_size_per_gpu = 32
val_num_workers = 10
batch_shapes_cfg = {
    'type': 'BatchShapePolicy',  # a validation batch is padded to the least common shape
    'batch_size': val_batch_size_per_gpu,
    'img_size': img_scale[0],
    'size_divisor': 32,
    'extra_pad_ratio': 0.5,
}  # half a divisor more than needed

random_resize_ratio_range = (0.1, 2.0)  # training images are scaled by a factor from this range
mosaic_max_cached_images = 40  # mosaics take three of the last so many images, which spares loading them again
mixup_max_cached_images = 20

# ======================= model and its targets =======================
deepen_factor = 1.0  # times the number of blocks of a stage
widen_factor = 1.0  # times the number of channels
strides = [8, 16, 32]
norm_cfg = {'type': 'BN'}

dsl_topk = 13  # a ground truth takes as many cells as its 13 best overlaps add up to
loss_cls_weight = 1.0
loss_bbox_weight = 2.0
qfl_beta = 2.0  # the larger, the less well predicted cells count

env_cfg = {'cudnn_benchmark': True}

model = {
    'type': 'YOLODetector',
    'data_preprocessor': {
        'type': 'YOLOv5DetDataPreprocessor',
        'mean': [103.53, 116.28, 123.675],  # of ImageNet, blue first
        'std': [57.375, 57.12, 58.395],
        'bgr_to_rgb': False,
    },
    'backbone': {
        'type': 'CSPNeXt',
        'arch': 'P5',
        'expand_ratio': 0.5,
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'channel_attention': True,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'neck': {
        'type': 'CSPNeXtPAFPN',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'in_channels': [256, 512, 1024],
        'out_channels': 256,
        'num_csp_blocks': 3,
        'expand_ratio': 0.5,
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'bbox_head': {
        'type': 'RTMDetHead',
        'head_module': {
            'type': 'RTMDetSepBNHeadModule',
            'num_classes': num_classes,
            'in_channels': 256,
            'stacked_convs': 2,
            'feat_channels': 256,
            'norm_cfg': norm_cfg,
            'act_cfg': {'type': 'SiLU', 'inplace': True},
            'share_conv': True,  # levels share convolutions, each has norms of its own
            'pred_kernel_size': 1,
            'featmap_strides': strides,
        },
        'prior_generator': {'type': 'mmdet.MlvlPointGenerator', 'offset': 0, 'strides': strides},
        'bbox_coder': {'type': 'DistancePointBBoxCoder'},
        'loss_cls': {
            'type': 'mmdet.QualityFocalLoss',
            'use_sigmoid': True,
            'beta': qfl_beta,
            'loss_weight': loss_cls_weight,
        },
        'loss_bbox': {'type': 'mmdet.GIoULoss', 'loss_weight': loss_bbox_weight},
    },
    'train_cfg': {
        'assigner': {
            'type': 'BatchDynamicSoftLabelAssigner',
            'num_classes': num_classes,
            'topk': dsl_topk,
            'iou_calculator': {'type': 'mmdet.BboxOverlaps2D'},
        },
        'allowed_border': -1,
        'pos_weight': -1,
        'debug': False,
    },
    'test_cfg': model_test_cfg,
}

# What images pass in both stages of the training.
_load = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]
_resize = {
    'type': 'mmdet.RandomResize',
    'scale': img_scale,
    'ratio_range': random_resize_ratio_range,
    'resize_type': 'mmdet.Resize',
    'keep_ratio': True,
}
_augment = [
    {'type': 'mmdet.RandomCrop', 'crop_size': img_scale},
    {'type': 'mmdet.YOLOXHSVRandomAug'},
    {'type': 'mmdet.RandomFlip', 'prob': 0.5},
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
]

train_pipeline = [
    *_load,
    {
        'type': 'Mosaic',
        'img_scale': img_scale,
        'use_cached': True,
        'max_cached_images': mosaic_max_cached_images,
        'pad_val': 114.0,
    },
    dict(_resize, scale=(img_scale[0] * 2, img_scale[1] * 2)),  # that of the mosaic
    *_augment,
    {'type': 'YOLOv5MixUp', 'use_cached': True, 'max_cached_images': mixup_max_cached_images},
    {'type': 'mmdet.PackDetInputs'},
]

train_pipeline_stage2 = [*_load, _resize, *_augment, {'type': 'mmdet.PackDetInputs'}]

test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'YOLOv5KeepRatioResize', 'scale': img_scale},
    {'type': 'LetterResize', 'scale': img_scale, 'allow_scale_up': False, 'pad_val': {'img': 114}},
    {'type': 'LoadAnnotations', 'with_bbox': True, '_scope_': 'mmdet'},
    {
        'type': 'mmdet.PackDetInputs',
        'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param'),
    },
]

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
            'filter_empty_gt': True,
            'min_size': 32,
        },  # drop images without objects and those under 32 pixels
        'pipeline': train_pipeline,
    },
}

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
        'batch_shapes_cfg': batch_shapes_cfg,
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
    'optimizer': {'type': 'AdamW', 'lr': base_lr, 'weight_decay': weight_decay},
    # the last is needed because levels share convolutions
    'paramwise_cfg': {'norm_decay_mult': 0, 'bias_decay_mult': 0, 'bypass_duplicate': True},
}

param_scheduler = [
    {'type': 'LinearLR', 'start_factor': lr_start_factor, 'by_epoch': False, 'begin': 0, 'end': 1000},
    {
        'type': 'CosineAnnealingLR',  # from half of the training on, down to a twentieth
        'eta_min': base_lr * 0.05,
        'begin': max_epochs // 2,
        'end': max_epochs,
        'T_max': max_epochs // 2,
        'by_epoch': True,
        'convert_to_iter_based': True,
    },
]

default_hooks = {
    'checkpoint': {'type': 'CheckpointHook', 'interval': save_checkpoint_intervals, 'max_keep_ckpts': max_keep_ckpts}
}

custom_hooks = [
    {
        'type': 'EMAHook',  # validates and saves an average of the weights over about the last 1 / momentum iterations
        'ema_type': 'ExpMomentumEMA',
        'momentum': 0.0002,
        'update_buffers': True,
        'strict_load': False,
        'priority': 49,
    },
    {
        'type': 'mmdet.PipelineSwitchHook',
        'switch_epoch': max_epochs - num_epochs_stage2,
        'switch_pipeline': train_pipeline_stage2,
    },
]

train_cfg = {
    'type': 'EpochBasedTrainLoop',
    'max_epochs': max_epochs,
    'val_interval': save_checkpoint_intervals,
    'dynamic_intervals': [(max_epochs - num_epochs_stage2, val_interval_stage2)],
}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
