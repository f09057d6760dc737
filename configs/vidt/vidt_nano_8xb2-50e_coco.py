# ViDT (arXiv 2110.03921), size nano, on COCO: the root of the family. Every other file here lists only what differs.
# Sizes are those of the published executor; the published accuracies are those of img_scale = (1333, 800), with
# train_sizes from 480 to 800 and crops from 384 to 600.
_base_ = '../_base_/default_runtime.py'
custom_imports = {'imports': ['vidt'], 'allow_failed_imports': False}

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

num_classes = 80
train_batch_size_per_gpu = 2  # the recipe is for 8 processes: 16 images a step
train_num_workers = 2  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 1.0e-4  # of AdamW
max_epochs = 50
warmup_epochs = 1  # the published runs have none; short runs from random weights need one
lr_factor = 1.0e-3  # the rate falls to base_lr * lr_factor along a cosine
weight_decay = 1.0e-4  # times the rate it is nothing in single precision, in the published runs too
max_gradient = 0.1  # norm of all gradients
max_keep_ckpts = 3

# ======================= images =======================
img_scale = (800, 640)  # longest long side, and short side that is aimed at; both are rounded down to multiples of 16
train_sizes = list(range(416, 609, 16))  # short sides in training, one of which is drawn
crop_sizes = (384, 512)  # sides of crops, from and to
sizes_before_crop = [400, 500, 600]
dataset_type = 'YOLOv5CocoDataset'

# ======================= model and its losses =======================
model = {
    'type': 'mmdet.ViDT',
    'data_preprocessor': {
        'type': 'mmdet.DetDataPreprocessor',  # pads on the right and below to the largest image of the batch
        'mean': [123.675, 116.28, 103.53],  # of ImageNet, red first
        'std': [58.395, 57.12, 57.375],
        'bgr_to_rgb': True,
    },
    'backbone': {'type': 'mmdet.SwinWithRAM', 'arch': 'nano', 'num_det_tokens': 100},
    'num_classes': num_classes,
    'num_decoder_layers': 6,
    'box_refine': True,  # each layer of the decoder corrects the boxes of the one before
    'aux_loss': True,  # and each is trained by losses of its own
    'epff': False,  # fuse the maps of the backbone before the decoder (ViDT+)
    'iou_aware': False,  # predict how well each box fits, in training only (ViDT+)
    'teacher': None,  # file with the weights of a larger ViDT, whose tokens are learned in training, too
    'criterion': {'type': 'mmdet.ViDTCriterion', 'num_classes': num_classes},
    'max_detections': 100,
}

# ======================= pipelines and loaders =======================
_resize = {'type': 'mmdet.ViDTResize', 'sizes': train_sizes, 'max_size': img_scale[0]}
_crop = {
    'type': 'mmdet.ViDTRandomSizeCrop',
    'min_size': crop_sizes[0],
    'max_size': crop_sizes[1],
    'sizes': sizes_before_crop,
}

train_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'mmdet.RandomFlip', 'prob': 0.5},
    {'type': 'RandomChoice', 'transforms': [[_resize], [_crop, _resize]]},
    {'type': 'mmdet.PackDetInputs'},
]

test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'mmdet.ViDTResize', 'sizes': img_scale[1], 'max_size': img_scale[0]},
    {'type': 'LoadAnnotations', 'with_bbox': True, '_scope_': 'mmdet'},
    {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'persistent_workers': persistent_workers,
    'pin_memory': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
        'filter_cfg': {'filter_empty_gt': False, 'min_size': 1},
        'pipeline': train_pipeline,
    },
}

val_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
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

# ======================= optimizer and loops =======================
optim_wrapper = {
    'type': 'OptimWrapper',
    'constructor': 'mmdet.ViDTOptimWrapperConstructor',  # no weight decay for norms, biases and tokens of the backbone
    'optimizer': {'type': 'AdamW', 'lr': base_lr, 'weight_decay': weight_decay},
    'clip_grad': {'max_norm': max_gradient},
}

param_scheduler = [
    {
        'type': 'LinearLR',
        'start_factor': 0.01,
        'by_epoch': True,
        'convert_to_iter_based': True,
        'begin': 0,
        'end': warmup_epochs,
    },
    {
        'type': 'CosineAnnealingLR',
        'eta_min': base_lr * lr_factor,
        'begin': warmup_epochs,
        'end': max_epochs,
        'T_max': max_epochs - warmup_epochs,
        'by_epoch': True,
        'convert_to_iter_based': True,
    },
]

default_hooks = {
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1, 'save_best': 'auto', 'max_keep_ckpts': max_keep_ckpts}
}
custom_hooks = []

train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': max_epochs, 'val_interval': 1}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
