# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = './yolox_s_fast_8xb32-300e-rtmdet-hyp_coco.py'

data_root = './data/cat/'
train_ann_file = 'annotations/trainval.json'
train_data_prefix = 'images/'
val_ann_file = 'annotations/test.json'
val_data_prefix = 'images/'
class_name = ('cat',)
num_classes = len(class_name)
metainfo = {'classes': class_name, 'palette': [(20, 220, 60)]}
max_epochs = 40
num_last_epochs = 5
warmup_epochs = 3
train_batch_size_per_gpu = 12
train_num_workers = 4

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolox/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco_20230210_134645-3a8dfbd7.pth'  # noqa: E501

model = {'backbone': {'frozen_stages': 4}, 'bbox_head': {'head_module': {'num_classes': num_classes}}}

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

_warmup, _cosine, _constant = _base_.param_scheduler
_stage2_epoch = max_epochs - num_last_epochs
param_scheduler = [
    dict(_warmup, end=warmup_epochs),
    dict(_cosine, begin=5, T_max=_stage2_epoch, end=_stage2_epoch),
    dict(_constant, begin=_stage2_epoch, end=max_epochs),
]

_mode_switch, _sync_norm, _ema = _base_.custom_hooks
custom_hooks = [dict(_mode_switch, num_last_epochs=num_last_epochs), _sync_norm, _ema]
default_hooks = {'checkpoint': {'max_keep_ckpts': 2}, 'logger': {'interval': 5}}
train_cfg = {'max_epochs': max_epochs}
