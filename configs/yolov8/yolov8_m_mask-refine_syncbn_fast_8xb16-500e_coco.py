_base_ = './yolov8_m_syncbn_fast_8xb16-500e_coco.py'

use_mask2refine = True  # boxes are drawn anew around the outline of each object
min_area_ratio = 0.01
copypaste_prob = 0.1  # share of the objects of a mosaic that are pasted once more, mirrored

pre_transform = [
    _base_.pre_transform[0],
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': use_mask2refine, 'mask2bbox': use_mask2refine},
]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)
copypaste = {'type': 'YOLOv5CopyPaste', 'prob': copypaste_prob}
random_affine = dict(_base_.random_affine, min_area_ratio=min_area_ratio, use_mask_refine=use_mask2refine)
mosaic_affine_transform = [mosaic, copypaste, random_affine]
mixup = dict(_base_.mixup, pre_transform=[*pre_transform, *mosaic_affine_transform])
last_transform = [{'type': 'RemoveDataElement', 'keys': ['gt_masks']}, *_base_.last_transform]

train_pipeline = [*pre_transform, *mosaic_affine_transform, mixup, *last_transform]
train_pipeline_stage2 = [*pre_transform, *_base_.letter_resize, dict(random_affine, border=(0, 0)), *last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_pipeline=train_pipeline_stage2)]
