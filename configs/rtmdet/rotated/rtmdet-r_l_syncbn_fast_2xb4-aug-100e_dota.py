# Long training on mosaics and blended images, as of horizontal boxes.
_base_ = './rtmdet-r_l_syncbn_fast_2xb4-36e_dota.py'

max_epochs = 100
num_epochs_stage2 = 10  # the last epochs see whole images instead of mosaics
val_interval_stage2 = 1  # epochs between validations once mosaics have ended
img_scale = _base_.img_scale
random_resize_ratio_range = (0.1, 2.0)  # training images are scaled by a factor from this range
mosaic_max_cached_images = 40  # mosaics take three of the last so many images, which spares loading them again
mixup_max_cached_images = 20

_load_rotated = _base_._load_rotated
_augment = [
    {
        'type': 'mmrotate.RandomRotate',
        'prob': _base_.random_rotate_ratio,
        'angle_range': 180,
        'rotate_type': 'mmrotate.Rotate',
        'rect_obj_labels': _base_.rotate_rect_obj_labels,
    },
    {'type': 'mmdet.RandomCrop', 'crop_size': img_scale},
    {'type': 'mmdet.YOLOXHSVRandomAug'},
    {'type': 'mmdet.RandomFlip', 'prob': 0.75, 'direction': ['horizontal', 'vertical', 'diagonal']},
    {'type': 'mmdet.Pad', 'size': img_scale, 'pad_val': {'img': (114, 114, 114)}},
]

train_pipeline = [
    *_load_rotated,
    {
        'type': 'Mosaic',
        'img_scale': img_scale,
        'use_cached': True,
        'max_cached_images': mosaic_max_cached_images,
        'pad_val': 114.0,
    },
    {
        'type': 'mmdet.RandomResize',
        'scale': (img_scale[0] * 2, img_scale[1] * 2),  # that of the mosaic
        'ratio_range': random_resize_ratio_range,
        'resize_type': 'mmdet.Resize',
        'keep_ratio': True,
    },
    *_augment,
    {'type': 'YOLOv5MixUp', 'use_cached': True, 'max_cached_images': mixup_max_cached_images},
    {'type': 'mmdet.PackDetInputs'},
]

train_pipeline_stage2 = [
    *_load_rotated,
    {
        'type': 'mmdet.RandomResize',
        'scale': img_scale,
        'ratio_range': random_resize_ratio_range,
        'resize_type': 'mmdet.Resize',
        'keep_ratio': True,
    },
    *_augment,
    {'type': 'mmdet.PackDetInputs'},
]

train_dataloader = {'dataset': {'pipeline': train_pipeline}}

_warmup, _cosine = _base_.param_scheduler
param_scheduler = [_warmup, dict(_cosine, begin=max_epochs // 2, end=max_epochs, T_max=max_epochs // 2)]

custom_hooks = [
    *_base_.custom_hooks,
    {
        'type': 'mmdet.PipelineSwitchHook',
        'switch_epoch': max_epochs - num_epochs_stage2,
        'switch_pipeline': train_pipeline_stage2,
    },
]

train_cfg = {'max_epochs': max_epochs, 'dynamic_intervals': [(max_epochs - num_epochs_stage2, val_interval_stage2)]}
