# The smallest model trains on smaller images and without mixup.
_base_ = './yolox-pose_s_8xb32-300e-rtmdet-hyp_coco.py'

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolox/yolox_tiny_fast_8xb32-300e-rtmdet-hyp_coco/yolox_tiny_fast_8xb32-300e-rtmdet-hyp_coco_20230210_143637-4c338102.pth'  # noqa: E501

deepen_factor = 0.33
widen_factor = 0.375
random_size_range = (320, 640)
test_img_scale = (416, 416)
_augment = dict(_base_.model.data_preprocessor.batch_augments[0], random_size_range=random_size_range)

model = {
    'data_preprocessor': {'batch_augments': [_augment]},
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

train_pipeline_stage1 = [*_base_.pre_transform, _base_.mosaic, _base_.random_affine, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline_stage1}}

_load, _, *_rest = _base_.test_pipeline
test_pipeline = [_load, {'type': 'Resize', 'scale': test_img_scale, 'keep_ratio': True}, *_rest]
val_dataloader = {'dataset': {'pipeline': test_pipeline}}
test_dataloader = val_dataloader
