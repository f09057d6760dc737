# As its base, with a mask per object: objects under others are learnt whole, at the price of memory.
_base_ = './yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'

mask_overlap = False

model = {'bbox_head': {'mask_overlap': mask_overlap}}

last_transform = [
    *_base_.last_transform[:-2],
    dict(_base_.last_transform[-2], mask_overlap=mask_overlap),
    _base_.last_transform[-1],
]
train_pipeline = [*_base_.pre_transform, _base_.mosaic, _base_.random_affine, *last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
