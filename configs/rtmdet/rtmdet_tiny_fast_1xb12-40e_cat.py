# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = ['./rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

max_epochs = 40
num_epochs_stage2 = 5
val_batch_size_per_gpu = 1
val_num_workers = 2

load_from = 'https://download.openmmlab.com/mmyolo/v0/rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco/rtmdet_tiny_syncbn_fast_8xb32-300e_coco_20230102_140117-dbb1dc83.pth'  # noqa: E501

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}},
    'train_cfg': {'assigner': {'num_classes': _base_._cat.num_classes}},
}

val_dataloader = dict(_base_._cat.val_dataloader, batch_size=val_batch_size_per_gpu, num_workers=val_num_workers)
test_dataloader = val_dataloader

_warmup, _cosine = _base_.param_scheduler
param_scheduler = [dict(_warmup, end=30), dict(_cosine, begin=max_epochs // 2, end=max_epochs, T_max=max_epochs // 2)]

_base_.custom_hooks[1].switch_epoch = max_epochs - num_epochs_stage2

default_hooks = {
    'checkpoint': {'interval': 10, 'max_keep_ckpts': 2, 'save_best': 'auto'},
    'logger': {'type': 'LoggerHook', 'interval': 5},
}
train_cfg = {'max_epochs': max_epochs, 'val_interval': 10}
