# As its base, but cells inside boxes marked to be ignored give no objectness loss; this needs the batch as a list.
_base_ = './yolov5_s-v61_fast_8xb16-300e_crowdhuman.py'

model = {'data_preprocessor': {'type': 'mmdet.DetDataPreprocessor'}, 'bbox_head': {'ignore_iof_thr': 0.5}}

pre_transform = [_base_.pre_transform[0], {'type': 'mmdet.LoadAnnotations', 'with_bbox': True}]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)

train_pipeline = [*pre_transform, mosaic, _base_.random_affine, *_base_.last_transform]
train_dataloader = {'collate_fn': {'type': 'pseudo_collate'}, 'dataset': {'pipeline': train_pipeline}}
