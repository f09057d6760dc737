_base_ = './yolov5_ins_m-v61_syncbn_fast_8xb16-300e_coco_instance.py'

deepen_factor = 1.0
widen_factor = 1.0

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}

copypaste_prob = 0.1  # share of the objects of a mosaic that are pasted once more, mirrored

pre_transform = _base_.pre_transform
copypaste = {'type': 'YOLOv5CopyPaste', 'prob': copypaste_prob}
mosaic_affine_pipeline = [_base_.mosaic, copypaste, _base_.random_affine]
mixup = dict(_base_.mixup, pre_transform=[*pre_transform, *mosaic_affine_pipeline])

train_pipeline = [*pre_transform, *mosaic_affine_pipeline, mixup, *_base_.last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}
