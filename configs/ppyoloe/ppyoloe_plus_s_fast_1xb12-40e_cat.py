# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = './ppyoloe_plus_s_fast_8xb8-80e_coco.py'

load_from = 'https://download.openmmlab.com/mmyolo/v0/ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco/ppyoloe_plus_s_fast_8xb8-80e_coco_20230101_154052-9fee7619.pth'  # noqa: E501

data_root = './data/cat/'
train_ann_file = 'annotations/trainval.json'
train_data_prefix = 'images/'
val_ann_file = 'annotations/test.json'
val_data_prefix = 'images/'
class_name = ('cat',)
num_classes = len(class_name)
metainfo = {'classes': class_name, 'palette': [(20, 220, 60)]}
max_epochs = 40
num_last_epochs = 5  # read by files that build on this one; nothing changes in the last epochs here
save_epoch_intervals = 10
max_keep_ckpts = 2
train_batch_size_per_gpu = 12
train_num_workers = 4

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': num_classes}},
    'train_cfg': {'initial_assigner': {'num_classes': num_classes}, 'assigner': {'num_classes': num_classes}},
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

default_hooks = {
    'checkpoint': {'interval': save_epoch_intervals, 'max_keep_ckpts': max_keep_ckpts},
    'logger': {'interval': 5},
    'param_scheduler': {'warmup_min_iter': 10, 'total_epochs': int(max_epochs * _base_.cosine_ratio)},
}
train_cfg = {'max_epochs': max_epochs, 'val_interval': save_epoch_intervals}
