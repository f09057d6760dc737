# As its base, with the batch stacked by the loader and normalised in one go; annotations to ignore are dropped.
_base_ = './yolov5_s-v61_syncbn_8xb16-300e_coco.py'

model = {'data_preprocessor': {'type': 'YOLOv5DetDataPreprocessor'}}
train_dataloader = {'collate_fn': {'type': 'yolov5_collate'}}
