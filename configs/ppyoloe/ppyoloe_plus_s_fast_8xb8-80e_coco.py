# PPYOLOE+, size s, on COCO: the root of the family. Every other file here lists only what differs from its base.
_base_ = ['../_base_/default_runtime.py', '../_base_/det_p5_tta.py']

# A detector trained on Objects365, without which 80 epochs are too few: convert PaddleDetection's
# ppyoloe_crn_s_obj365_pretrained.pdparams with tools/model_converters/ppyoloe_to_mmyolo.py and put it here.
load_from = 'weights/ppyoloe_plus_s_obj365_pretrained.pth'

# ======================= data =======================
data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'  # below data_root, as are the next three
train_data_prefix = 'train2017/'
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = 'val2017/'

dataset_type = 'YOLOv5CocoDataset'
num_classes = 80
train_batch_size_per_gpu = 8  # the recipe is for 8 processes: 64 images a step
train_num_workers = 8  # loader processes beside each training process
val_batch_size_per_gpu = 1
val_num_workers = 2
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.001  # for 64 images a step
max_epochs = 80
initial_epoch = 30  # epochs that are assigned by ATSS, which does not need good predictions; then task-aligned
warmup_epochs = 5  # over them the rate rises from 0
cosine_ratio = 1.2  # the rate falls along a cosine of this many times the epochs, and so does not reach 0
save_epoch_intervals = 5  # epochs between checkpoints, and between validations
max_keep_ckpts = 3  # of the periodic ones; the best is kept besides

model_test_cfg = {
    'multi_label': True,  # a box may be predicted once per class
    'nms_pre': 1000,  # candidates with the highest scores that go into NMS
    'score_thr': 0.01,
    'nms': {'type': 'nms', 'iou_threshold': 0.7},
    'max_per_img': 300,
}

# ======================= images =======================
img_scale = (640, 640)  # width, height of validation images
random_size_range = (320, 800)  # training batches are resized to a square of a multiple of 32 in this range

# ======================= model and its targets =======================
deepen_factor = 0.33  # times the number of blocks of a stage
widen_factor = 0.5  # times the number of channels
strides = [8, 16, 32]
norm_cfg = {'type': 'BN', 'momentum': 0.1, 'eps': 1e-5}
act_cfg = {'type': 'SiLU', 'inplace': True}

loss_cls_weight = 1.0
loss_bbox_weight = 2.5
loss_dfl_weight = 0.5 / 4  # the sum over the four sides of a box counts 0.5

model = {
    'type': 'YOLODetector',
    'data_preprocessor': {
        'type': 'PPYOLOEDetDataPreprocessor',
        'pad_size_divisor': 32,
        'batch_augments': [
            {
                'type': 'PPYOLOEBatchRandomResize',
                'random_size_range': random_size_range,
                'interval': 1,  # another size for every batch
                'size_divisor': 32,
                'random_interp': True,  # and another interpolation
                'keep_ratio': False,
            }
        ],
        'mean': [0.0, 0.0, 0.0],
        'std': [255.0, 255.0, 255.0],
        'bgr_to_rgb': True,
    },
    'backbone': {
        'type': 'PPYOLOECSPResNet',
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'block_cfg': {'type': 'PPYOLOEBasicBlock', 'shortcut': True, 'use_alpha': True},
        'norm_cfg': norm_cfg,
        'act_cfg': act_cfg,
        'attention_cfg': {'type': 'EffectiveSELayer', 'act_cfg': {'type': 'HSigmoid'}},
        'use_large_stem': True,
    },
    'neck': {
        'type': 'PPYOLOECSPPAFPN',
        'in_channels': [256, 512, 1024],
        'out_channels': [192, 384, 768],
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'num_csplayer': 1,
        'num_blocks_per_layer': 3,
        'block_cfg': {'type': 'PPYOLOEBasicBlock', 'shortcut': False, 'use_alpha': False},
        'norm_cfg': norm_cfg,
        'act_cfg': act_cfg,
        'drop_block_cfg': None,
        'use_spp': True,
    },
    'bbox_head': {
        'type': 'PPYOLOEHead',
        'head_module': {
            'type': 'PPYOLOEHeadModule',
            'num_classes': num_classes,
            'in_channels': [192, 384, 768],
            'widen_factor': widen_factor,
            'featmap_strides': strides,
            'reg_max': 16,  # a side is a distribution over 0 to 16 strides
            'norm_cfg': norm_cfg,
            'act_cfg': act_cfg,
            'num_base_priors': 1,
        },
        'prior_generator': {'type': 'mmdet.MlvlPointGenerator', 'offset': 0.5, 'strides': strides},
        'bbox_coder': {'type': 'DistancePointBBoxCoder'},
        'loss_cls': {
            'type': 'mmdet.VarifocalLoss',
            'use_sigmoid': True,
            'alpha': 0.75,  # weight of background, whose easy examples count less by the power of gamma
            'gamma': 2.0,
            'iou_weighted': True,  # an object's weight is its target
            'reduction': 'sum',
            'loss_weight': loss_cls_weight,
        },
        'loss_bbox': {
            'type': 'IoULoss',
            'iou_mode': 'giou',
            'bbox_format': 'xyxy',
            'reduction': 'mean',
            'loss_weight': loss_bbox_weight,
            'return_iou': False,
        },
        'loss_dfl': {'type': 'mmdet.DistributionFocalLoss', 'reduction': 'mean', 'loss_weight': loss_dfl_weight},
    },
    'train_cfg': {
        'initial_epoch': initial_epoch,
        'initial_assigner': {
            'type': 'BatchATSSAssigner',
            'num_classes': num_classes,
            'topk': 9,  # candidates of a ground truth per level: those nearest to its centre
            'iou_calculator': {'type': 'mmdet.BboxOverlaps2D'},
        },
        'assigner': {
            'type': 'BatchTaskAlignedAssigner',
            'num_classes': num_classes,
            'topk': 13,  # a ground truth takes the 13 best aligned cells, where alignment is score**alpha * IoU**beta
            'alpha': 1,
            'beta': 6,
            'eps': 1e-9,
        },
    },
    'test_cfg': model_test_cfg,
}

train_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'PPYOLOERandomDistort'},
    {'type': 'mmdet.Expand', 'mean': (103.53, 116.28, 123.675)},  # on a canvas up to four times as wide and high
    {'type': 'PPYOLOERandomCrop'},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')},
]

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'persistent_workers': persistent_workers,
    'pin_memory': True,
    'collate_fn': {'type': 'yolov5_collate', 'use_ms_training': True},  # images of a batch have different sizes
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {
        'type': dataset_type,
        'data_root': data_root,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 0},  # drop images without objects
        'pipeline': train_pipeline,
    },
}

test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {
        'type': 'mmdet.FixShapeResize',
        'width': img_scale[0],
        'height': img_scale[1],
        'keep_ratio': False,
        'interpolation': 'bicubic',
    },
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
        'test_mode': True,
        'data_prefix': {'img': val_data_prefix},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 0},
        'ann_file': val_ann_file,
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

param_scheduler = None  # the hook below sets the rate
optim_wrapper = {
    'type': 'OptimWrapper',
    'optimizer': {'type': 'SGD', 'lr': base_lr, 'momentum': 0.9, 'weight_decay': 5e-4, 'nesterov': False},
    'paramwise_cfg': {'norm_decay_mult': 0.0},
}

default_hooks = {
    'param_scheduler': {
        'type': 'PPYOLOEParamSchedulerHook',
        'warmup_min_iter': 1000,  # the warm-up is at least this long
        'start_factor': 0.0,
        'warmup_epochs': warmup_epochs,
        'min_lr_ratio': 0.0,
        'total_epochs': int(max_epochs * cosine_ratio),
    },
    'checkpoint': {
        'type': 'CheckpointHook',
        'interval': save_epoch_intervals,
        'save_best': 'auto',
        'max_keep_ckpts': max_keep_ckpts,
    },
}

custom_hooks = [
    {
        'type': 'EMAHook',  # validates and saves an average of the weights over about the last 1 / momentum iterations
        'ema_type': 'ExpMomentumEMA',
        'momentum': 0.0002,
        'update_buffers': True,
        'strict_load': False,
        'priority': 49,
    }
]

train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': max_epochs, 'val_interval': save_epoch_intervals}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
