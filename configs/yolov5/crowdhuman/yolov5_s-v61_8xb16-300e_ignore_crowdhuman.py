# As its base, but cells inside boxes marked to be ignored give no objectness loss; this needs the batch as a list.
_base_ = './yolov5_s-v61_fast_8xb16-300e_crowdhuman.py'

model = dict(
    data_preprocessor=dict(type='mmdet.DetDataPreprocessor'),
    bbox_head=dict(ignore_iof_thr=0.5))

pre_transform = [_base_.pre_transform[0], dict(type='mmdet.LoadAnnotations', with_bbox=True)]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)

train_pipeline = [*pre_transform, mosaic, _base_.random_affine, *_base_.last_transform]
train_dataloader = dict(collate_fn=dict(type='pseudo_collate'), dataset=dict(pipeline=train_pipeline))
