# YOLOv7, size l, on COCO: the root of the family. Every other file here lists only what differs from its base.
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
max_epochs = 300
lr_factor = 0.1  # the rate falls along a cosine to base_lr * lr_factor
weight_decay = 0.0005  # for 64 images a step; the constructor scales it to the real batch
save_epoch_intervals = 1  # epochs between checkpoints, and between validations
num_epoch_stage2 = 30  # last epochs, in which validations have an interval of their own
val_interval_stage2 = 1
max_keep_ckpts = 3  # of the periodic checkpoints; the best is kept besides

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

max_translate_ratio = 0.2  # mosaics are shifted by up to this part of their side
scaling_ratio_range = (0.1, 2.0)  # and scaled by a factor in this range
mixup_prob = 0.15  # share of mosaics that are blended with another
mixup_alpha = 8.0  # shares of the two come from a beta distribution
mixup_beta = 8.0
randchoice_mosaic_prob = [0.8, 0.2]  # of mosaics of four and of nine images

# ======================= model and its targets =======================
# Width and height of the three anchors of each stride, in pixels of an input of img_scale.
anchors = [
    [(12, 16), (19, 36), (40, 28)],  # stride 8
    [(36, 75), (76, 55), (72, 146)],  # stride 16
    [(142, 110), (192, 243), (459, 401)],  # stride 32
]
strides = [8, 16, 32]
num_det_layers = 3  # feature maps that predict; the loss weights below are for 3
norm_cfg = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}

loss_cls_weight = 0.3  # for 80 classes and 3 maps, scaled below
loss_bbox_weight = 0.05  # for 3 maps, scaled below
loss_obj_weight = 0.7  # for 640 x 640 and 3 maps, scaled below
obj_level_weights = [4.0, 1.0, 0.4]  # small strides have many more cells, most of them empty
prior_match_thr = 4.0  # an anchor matches a box if no side is this many times as long as the other's
simota_candidate_topk = 10  # matches whose overlaps, summed up, say how many of them train a box
simota_iou_weight = 3.0  # weights of overlap and classification in the choice of those
simota_cls_weight = 1.0

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
        'type': 'YOLOv7Backbone',
        'arch': 'L',
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'neck': {
        'type': 'YOLOv7PAFPN',
        'block_cfg': {
            'type': 'ELANBlock',
            'middle_ratio': 0.5,
            'block_ratio': 0.25,
            'num_blocks': 4,
            'num_convs_in_block': 1,
        },
        'upsample_feats_cat_first': False,
        'in_channels': [512, 1024, 1024],
        'out_channels': [128, 256, 512],  # the outputs have twice as many
        'norm_cfg': norm_cfg,
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'bbox_head': {
        'type': 'YOLOv7Head',
        'head_module': {
            'type': 'YOLOv7HeadModule',
            'num_classes': num_classes,
            'in_channels': [256, 512, 1024],
            'featmap_strides': strides,
            'num_base_priors': 3,
        },
        'prior_generator': {'type': 'mmdet.YOLOAnchorGenerator', 'base_sizes': anchors, 'strides': strides},
        'loss_cls': {
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'reduction': 'mean',
            'loss_weight': loss_cls_weight * (num_classes / 80 * 3 / num_det_layers),
        },
        'loss_bbox': {
            'type': 'IoULoss',
            'iou_mode': 'ciou',
            'bbox_format': 'xywh',
            'reduction': 'mean',
            'loss_weight': loss_bbox_weight * (3 / num_det_layers),
            'return_iou': True,
        },
        'loss_obj': {
            'type': 'mmdet.CrossEntropyLoss',
            'use_sigmoid': True,
            'reduction': 'mean',
            'loss_weight': loss_obj_weight * ((img_scale[0] / 640) ** 2 * 3 / num_det_layers),
        },
        'prior_match_thr': prior_match_thr,
        'obj_level_weights': obj_level_weights,
        'simota_candidate_topk': simota_candidate_topk,
        'simota_iou_weight': simota_iou_weight,
        'simota_cls_weight': simota_cls_weight,
    },
    'test_cfg': model_test_cfg,
}

pre_transform = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
]

# Either mosaic has twice the size of img_scale; this cuts it back.
random_affine = {
    'type': 'YOLOv5RandomAffine',
    'max_rotate_degree': 0.0,
    'max_shear_degree': 0.0,
    'max_translate_ratio': max_translate_ratio,
    'scaling_ratio_range': scaling_ratio_range,
    'border': (-img_scale[0] // 2, -img_scale[1] // 2),
    'border_val': (114, 114, 114),
}
# The names of the two lists are spelled as in public mmyolo.
mosiac4_pipeline = [
    {'type': 'Mosaic', 'img_scale': img_scale, 'pad_val': 114.0, 'pre_transform': pre_transform},
    random_affine,
]
mosiac9_pipeline = [
    {'type': 'Mosaic9', 'img_scale': img_scale, 'pad_val': 114.0, 'pre_transform': pre_transform},
    random_affine,
]
randchoice_mosaic_pipeline = {
    'type': 'RandomChoice',
    'transforms': [mosiac4_pipeline, mosiac9_pipeline],
    'prob': randchoice_mosaic_prob,
}

last_transform = [
    {'type': 'YOLOv5HSVRandomAug'},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')},
]

train_pipeline = [
    *pre_transform,
    randchoice_mosaic_pipeline,
    {
        'type': 'YOLOv5MixUp',
        'alpha': mixup_alpha,
        'beta': mixup_beta,
        'prob': mixup_prob,
        'pre_transform': [*pre_transform, randchoice_mosaic_pipeline],
    },
    *last_transform,
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
    'optimizer': {
        'type': 'SGD',
        'lr': base_lr,
        'momentum': 0.937,
        'weight_decay': weight_decay,
        'nesterov': True,
        'batch_size_per_gpu': train_batch_size_per_gpu,
    },  # read and removed by the constructor
    'constructor': 'YOLOv7OptimWrapperConstructor',
}

default_hooks = {
    'param_scheduler': {
        'type': 'YOLOv5ParamSchedulerHook',
        'scheduler_type': 'cosine',
        'lr_factor': lr_factor,
        'max_epochs': max_epochs,
    },
    'checkpoint': {
        'type': 'CheckpointHook',
        'save_param_scheduler': False,  # there is none
        'interval': save_epoch_intervals,
        'save_best': 'auto',
        'max_keep_ckpts': max_keep_ckpts,
    },
}

custom_hooks = [
    {
        'type': 'EMAHook',  # validates and saves an average of the weights over about the last 1 / momentum iterations
        'ema_type': 'ExpMomentumEMA',
        'momentum': 0.0001,
        'update_buffers': True,
        'strict_load': False,
        'priority': 49,
    }
]

train_cfg = {
    'type': 'EpochBasedTrainLoop',
    'max_epochs': max_epochs,
    'val_interval': save_epoch_intervals,
    'dynamic_intervals': [(max_epochs - num_epoch_stage2, val_interval_stage2)],
}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
