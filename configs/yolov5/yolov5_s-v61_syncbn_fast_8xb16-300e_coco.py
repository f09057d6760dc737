# As its base, with the batch stacked by the loader and normalised in one go; annotations to ignore are dropped.
_base_ = './yolov5_s-v61_syncbn_8xb16-300e_coco.py'

model = dict(data_preprocessor=dict(type='YOLOv5DetDataPreprocessor'))
train_dataloader = dict(collate_fn=dict(type='yolov5_collate'))
