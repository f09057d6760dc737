_base_ = '../yolov5_m-v61_syncbn_fast_8xb16-300e_coco.py'

use_mask2refine = True  # boxes are drawn anew around the outline of each object
min_area_ratio = 0.01

pre_transform = [
    _base_.pre_transform[0],
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': use_mask2refine, 'mask2bbox': use_mask2refine},
]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)
random_affine = dict(_base_.random_affine, min_area_ratio=min_area_ratio, use_mask_refine=use_mask2refine)
remove_masks = {'type': 'RemoveDataElement', 'keys': ['gt_masks']}
mosaic_affine_pipeline = [mosaic, random_affine, remove_masks]
mixup = dict(_base_.mixup, pre_transform=[*pre_transform, *mosaic_affine_pipeline])

train_pipeline = [*pre_transform, *mosaic_affine_pipeline, mixup, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
