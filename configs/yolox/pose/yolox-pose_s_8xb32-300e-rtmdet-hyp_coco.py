# YOLOX-pose, size s, on COCO's persons: the root of the family. It starts from a detector and learns keypoints with it.
_base_ = '../yolox_s_fast_8xb32-300e-rtmdet-hyp_coco.py'

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolox/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco_20230210_134645-3a8dfbd7.pth'  # noqa: E501

train_ann_file = 'annotations/person_keypoints_train2017.json'
val_ann_file = 'annotations/person_keypoints_val2017.json'
dataset_type = 'PoseCocoDataset'
metainfo_file = 'configs/_base_/pose/coco.py'  # what the keypoints are: names, mirror images, tolerances

num_classes = 1
num_keypoints = 17
score_thr = 0.01
scaling_ratio_range = (0.75, 1.0)

loss_pose_weight = 30.0  # of one minus the similarity of keypoints
oks_weight = 3.0  # share of the keypoints in the cost of a match; boxes have 3, classes 1

model = {
    'bbox_head': {
        'type': 'YOLOXPoseHead',
        'head_module': {'type': 'YOLOXPoseHeadModule', 'num_classes': num_classes, 'num_keypoints': num_keypoints},
        'loss_pose': {'type': 'OksLoss', 'metainfo': metainfo_file, 'loss_weight': loss_pose_weight},
    },
    'train_cfg': {
        'assigner': {
            'type': 'PoseSimOTAAssigner',
            'oks_weight': oks_weight,
            'oks_calculator': {'type': 'OksLoss', 'metainfo': metainfo_file},
        }
    },
    'test_cfg': {'score_thr': score_thr},
}

pre_transform = [
    {'type': 'LoadImageFromFile', 'backend_args': _base_.backend_args},
    {'type': 'LoadAnnotations', 'with_keypoints': True},
]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)
random_affine = dict(_base_.random_affine, scaling_ratio_range=scaling_ratio_range)
mixup = dict(_base_.mixup, pre_transform=pre_transform)

last_transform = [
    {'type': 'mmdet.YOLOXHSVRandomAug'},
    {'type': 'RandomFlip', 'prob': 0.5},
    # keep_empty=False keeps images without an object; the name means the opposite.
    {'type': 'FilterAnnotations', 'by_keypoints': True, 'keep_empty': False},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')},
]
train_pipeline_stage1 = [*pre_transform, mosaic, random_affine, mixup, *last_transform]
train_pipeline_stage2 = [*pre_transform, *_base_.resize_and_pad, *last_transform]
train_dataloader = {'dataset': {'type': dataset_type, 'ann_file': train_ann_file, 'pipeline': train_pipeline_stage1}}

test_pipeline = [
    pre_transform[0],
    *_base_.resize_and_pad,
    pre_transform[1],  # last, so that the ground truth is in pixels of the original image
    {
        'type': 'PackDetInputs',
        'meta_keys': ('id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip_indices'),
    },
]
val_dataloader = {'dataset': {'type': dataset_type, 'ann_file': val_ann_file, 'pipeline': test_pipeline}}
test_dataloader = val_dataloader

val_evaluator = {
    '_delete_': True,
    'type': 'mmpose.CocoMetric',
    'ann_file': _base_.data_root + val_ann_file,
    'score_mode': 'bbox',
}
test_evaluator = val_evaluator

_mode_switch, *_others = _base_.custom_hooks
custom_hooks = [dict(_mode_switch, new_train_pipeline=train_pipeline_stage2), *_others]
default_hooks = {'checkpoint': {'save_best': 'coco/AP', 'rule': 'greater'}}
visualizer = {'type': 'mmpose.PoseLocalVisualizer'}
