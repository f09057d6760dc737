# As its base, with boxes drawn anew around the outline of each object after the random affine.
_base_ = './yolov8_s_syncbn_fast_8xb16-500e_coco.py'

use_mask2refine = True  # boxes are drawn anew around the outline of each object
min_area_ratio = 0.01  # refined boxes are tight, so smaller remainders of an object are worth keeping

pre_transform = [
    _base_.pre_transform[0],
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': use_mask2refine, 'mask2bbox': use_mask2refine},
]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)
random_affine = dict(_base_.random_affine, min_area_ratio=min_area_ratio, use_mask_refine=use_mask2refine)
last_transform = [{'type': 'RemoveDataElement', 'keys': ['gt_masks']}, *_base_.last_transform]

train_pipeline = [*pre_transform, mosaic, random_affine, *last_transform]
train_pipeline_stage2 = [*pre_transform, *_base_.letter_resize, dict(random_affine, border=(0, 0)), *last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_pipeline=train_pipeline_stage2)]
