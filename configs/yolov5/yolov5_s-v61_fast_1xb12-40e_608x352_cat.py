# As its base, at an input that is wider than high.
_base_ = './yolov5_s-v61_fast_1xb12-40e_cat.py'

img_scale = (608, 352)  # width, height
anchors = [
    [(65, 35), (159, 45), (119, 80)],  # stride 8
    [(215, 77), (224, 116), (170, 166)],  # stride 16
    [(376, 108), (339, 176), (483, 190)],  # stride 32
]

model = {
    'bbox_head': {
        'prior_generator': {'base_sizes': anchors},
        'loss_obj': {'loss_weight': _base_.loss_obj_weight * ((img_scale[1] / 640) ** 2 * 3 / _base_.num_det_layers)},
    }
}

mosaic = dict(_base_.mosaic, img_scale=img_scale)
random_affine = dict(_base_.random_affine, border=(-img_scale[0] // 2, -img_scale[1] // 2))
train_pipeline = [*_base_.pre_transform, mosaic, random_affine, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], scale=img_scale),
    dict(_base_.test_pipeline[2], scale=img_scale),
    *_base_.test_pipeline[3:],
]
val_dataloader = {'dataset': {'pipeline': test_pipeline, 'batch_shapes_cfg': None}}
test_dataloader = val_dataloader
