# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = './yolov8_s_syncbn_fast_8xb16-500e_coco.py'

data_root = './data/cat/'
train_ann_file = 'annotations/trainval.json'
train_data_prefix = 'images/'
val_ann_file = 'annotations/test.json'
val_data_prefix = 'images/'
class_name = ('cat',)
num_classes = len(class_name)
metainfo = {'classes': class_name, 'palette': [(20, 220, 60)]}
max_epochs = 40
close_mosaic_epochs = 5
train_batch_size_per_gpu = 12
train_num_workers = 4

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov8/yolov8_s_syncbn_fast_8xb16-500e_coco/yolov8_s_syncbn_fast_8xb16-500e_coco_20230117_180101-5aa5f0f1.pth'  # noqa: E501

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': num_classes}},
    'train_cfg': {'assigner': {'num_classes': num_classes}},
}

train_dataloader = {
    'batch_size': train_batch_size_per_gpu,
    'num_workers': train_num_workers,
    'dataset': {
        'data_root': data_root,
        'metainfo': metainfo,
        'ann_file': train_ann_file,
        'data_prefix': {'img': train_data_prefix},
    },
}
val_dataloader = {
    'dataset': {
        'data_root': data_root,
        'metainfo': metainfo,
        'ann_file': val_ann_file,
        'data_prefix': {'img': val_data_prefix},
    }
}
test_dataloader = val_dataloader

val_evaluator = {'ann_file': data_root + val_ann_file}
test_evaluator = val_evaluator

optim_wrapper = {'optimizer': {'batch_size_per_gpu': train_batch_size_per_gpu}}
default_hooks = {'logger': {'interval': 5}, 'param_scheduler': {'max_epochs': max_epochs, 'warmup_mim_iter': 10}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_epoch=max_epochs - close_mosaic_epochs)]
train_cfg = {'max_epochs': max_epochs}
