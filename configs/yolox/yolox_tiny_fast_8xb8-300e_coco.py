# The small models train on smaller images, with a milder scaling and without mixup.
_base_ = './yolox_s_fast_8xb8-300e_coco.py'

deepen_factor = 0.33
widen_factor = 0.375
random_size_range = (320, 640)
scaling_ratio_range = (0.5, 1.5)
test_img_scale = (416, 416)
tta_img_scales = [(416, 416), (320, 320), (640, 640)]
_augment = dict(_base_.model.data_preprocessor.batch_augments[0], random_size_range=random_size_range)

model = {
    'data_preprocessor': {'batch_augments': [_augment]},
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

random_affine = dict(_base_.random_affine, scaling_ratio_range=scaling_ratio_range)
train_pipeline_stage1 = [*_base_.pre_transform, _base_.mosaic, random_affine, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline_stage1}}

_load, _, *_rest = _base_.test_pipeline
test_pipeline = [_load, {'type': 'Resize', 'scale': test_img_scale, 'keep_ratio': True}, *_rest]
val_dataloader = {'dataset': {'pipeline': test_pipeline}}
test_dataloader = val_dataloader

_load, _tta = _base_.tta_pipeline
_resizes = [{'type': 'Resize', 'scale': _scale, 'keep_ratio': True} for _scale in tta_img_scales]
tta_pipeline = [_load, dict(_tta, transforms=[_resizes, *_tta.transforms[1:]])]
