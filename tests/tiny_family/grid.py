# The config of the tiny family's only model.
_base_ = '../../configs/_base_/default_runtime.py'

img_scale = (64, 64)
model = {
    'type': 'GridDetector',
    'num_classes': 80,
    'data_preprocessor': {'type': 'mmdet.DetDataPreprocessor', 'mean': [128.0] * 3, 'std': [64.0] * 3},
}
resize = {'type': 'mmdet.Resize', 'scale': img_scale, 'keep_ratio': False}
pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'mmdet.LoadAnnotations', 'with_bbox': True},
    resize,
    {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]
train_dataloader = {
    'batch_size': 4,
    'num_workers': 0,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {'type': 'mmdet.CocoDataset', 'pipeline': pipeline},
}
val_dataloader = {
    'batch_size': 4,
    'num_workers': 0,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {'type': 'mmdet.CocoDataset', 'pipeline': pipeline, 'test_mode': True},
}
test_dataloader = val_dataloader
val_evaluator = {'type': 'CellMetric'}
test_evaluator = val_evaluator
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 50}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.02}}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 100},
    {'type': 'MultiStepLR', 'milestones': [40], 'gamma': 0.1},
]
custom_hooks = []
