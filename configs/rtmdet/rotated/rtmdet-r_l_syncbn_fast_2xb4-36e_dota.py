# RTMDet-R, size l, for rotated boxes, on DOTA v1.0: the root of this folder. Every other file lists only what differs
# from its base. The data are patches of the images: tools/dataset_converters/dota/dota_split.py makes them.
_base_ = '../../_base_/default_runtime.py'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/cspnext-l_8xb256-rsb-a1-600e_in1k-6a760974.pth'  # noqa: E501

# ======================= data =======================
data_root = 'data/split_ss_dota/'
train_ann_file = 'trainval/annfiles/'  # below data_root, as are the next five; a text file per patch
train_data_prefix = 'trainval/images/'
val_ann_file = 'trainval/annfiles/'  # objects of DOTA's test set are not published, so that training data are validated
val_data_prefix = 'trainval/images/'
test_data_prefix = 'test/images/'
submission_dir = './work_dirs/{{fileBasenameNoExtension}}/submission'  # of the files for DOTA's evaluation server

num_classes = 15
train_batch_size_per_gpu = 4  # the recipe is for 2 processes: 8 images a step
train_num_workers = 8  # loader processes beside each training process
persistent_workers = True  # keep them between epochs; must be False where the number of workers is 0

# ======================= schedule =======================
base_lr = 0.00025  # of AdamW, for 8 images a step
max_epochs = 36
lr_start_factor = 1.0e-5  # the rate starts at base_lr * lr_start_factor and reaches base_lr after 1000 iterations
weight_decay = 0.05  # of weights; biases and norms have none
save_checkpoint_intervals = 1  # epochs between checkpoints, and between validations
max_keep_ckpts = 3  # of the periodic ones; the best is kept besides

angle_version = 'le90'  # the width is the longer side; angles from -90 to below 90 degrees

model_test_cfg = {
    'multi_label': True,  # a box may be predicted once per class
    'decode_with_angle': True,  # False: boxes were trained as if they were not turned
    'nms_pre': 30000,  # candidates with the highest scores that go into NMS
    'score_thr': 0.05,
    'nms': {'type': 'nms_rotated', 'iou_threshold': 0.1},  # low, because rotated objects hardly overlap from above
    'max_per_img': 2000,
}

# ======================= images =======================
img_scale = (1024, 1024)  # width, height
random_rotate_ratio = 0.5  # share of training images that are rotated
rotate_rect_obj_labels = [9, 11]  # storage-tank and roundabout, whose boxes are upright: with them right angles only
dataset_type = 'YOLOv5DOTADataset'
val_batch_size_per_gpu = 8
val_num_workers = 8
batch_shapes_cfg = None  # the data set does not know the sizes of images before it loads them

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
        'init_cfg': {'type': 'Pretrained', 'prefix': 'backbone.', 'checkpoint': checkpoint},
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
        'type': 'RTMDetRotatedHead',
        'head_module': {
            'type': 'RTMDetRotatedSepBNHeadModule',
            'num_classes': num_classes,
            'widen_factor': widen_factor,
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
        'bbox_coder': {'type': 'DistanceAnglePointCoder', 'angle_version': angle_version},
        'loss_cls': {
            'type': 'mmdet.QualityFocalLoss',
            'use_sigmoid': True,
            'beta': qfl_beta,
            'loss_weight': loss_cls_weight,
        },
        'loss_bbox': {'type': 'mmrotate.RotatedIoULoss', 'mode': 'linear', 'loss_weight': loss_bbox_weight},
        'angle_version': angle_version,
        'angle_coder': {'type': 'mmrotate.PseudoAngleCoder'},  # the angle is a number, trained by loss_bbox
        'use_hbbox_loss': False,
        'loss_angle': None,
    },
    'train_cfg': {
        'assigner': {
            'type': 'BatchDynamicSoftLabelAssigner',
            'num_classes': num_classes,
            'topk': dsl_topk,
            'iou_calculator': {'type': 'mmrotate.RBboxOverlaps2D'},
            'batch_iou': False,
        },  # this calculator takes the boxes of one image at a time
        'allowed_border': -1,
        'pos_weight': -1,
        'debug': False,
    },
    'test_cfg': model_test_cfg,
}

_load_rotated = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'box_type': 'qbox'},
    {'type': 'mmrotate.ConvertBoxType', 'box_type_mapping': {'gt_bboxes': 'rbox'}},
]

train_pipeline = [
    *_load_rotated,
    {'type': 'mmdet.Resize', 'scale': img_scale, 'keep_ratio': True},
    {'type': 'mmdet.RandomFlip', 'prob': 0.75, 'direction': ['horizontal', 'vertical', 'diagonal']},
    {
        'type': 'mmrotate.RandomRotate',
        'prob': random_rotate_ratio,
        'angle_range': 180,  # degrees, either way
        'rotate_type': 'mmrotate.Rotate',
        'rect_obj_labels': rotate_rect_obj_labels,
    },
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
    {'type': 'RegularizeRotatedBox', 'angle_version': angle_version},
    {'type': 'mmdet.PackDetInputs'},
]

val_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'mmdet.Resize', 'scale': img_scale, 'keep_ratio': True},
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'box_type': 'qbox', '_scope_': 'mmdet'},
    {'type': 'mmrotate.ConvertBoxType', 'box_type_mapping': {'gt_bboxes': 'rbox'}},
    {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]

# For images without objects, see the end of this file.
test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'mmdet.Resize', 'scale': img_scale, 'keep_ratio': True},
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
    {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
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
        'data_prefix': {'img_path': train_data_prefix},
        'filter_cfg': {'filter_empty_gt': True},  # drop patches without objects
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
        'data_prefix': {'img_path': val_data_prefix},
        'test_mode': True,
        'batch_shapes_cfg': batch_shapes_cfg,
        'pipeline': val_pipeline,
    },
}
test_dataloader = val_dataloader

val_evaluator = {'type': 'mmrotate.DOTAMetric', 'metric': 'mAP'}
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
    'checkpoint': {
        'type': 'CheckpointHook',
        'interval': save_checkpoint_intervals,
        'max_keep_ckpts': max_keep_ckpts,
        'save_best': 'auto',
    }
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

train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': max_epochs, 'val_interval': save_checkpoint_intervals}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}

visualizer = {'type': 'mmrotate.RotLocalVisualizer'}

# To make the files for DOTA's evaluation server, test with these in place of the validation data:
# test_dataloader = dict(
#     batch_size=val_batch_size_per_gpu,
#     num_workers=val_num_workers,
#     persistent_workers=True,
#     drop_last=False,
#     sampler=dict(type='DefaultSampler', shuffle=False),
#     dataset=dict(
#         type=dataset_type,
#         data_root=data_root,
#         data_prefix=dict(img_path=test_data_prefix),
#         test_mode=True,
#         batch_shapes_cfg=batch_shapes_cfg,
#         pipeline=test_pipeline))
# test_evaluator = dict(
#     type='mmrotate.DOTAMetric', format_only=True, merge_patches=True, outfile_prefix=submission_dir)
