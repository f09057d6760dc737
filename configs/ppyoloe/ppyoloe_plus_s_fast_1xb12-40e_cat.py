# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = ['./ppyoloe_plus_s_fast_8xb8-80e_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

load_from = 'https://download.openmmlab.com/mmyolo/v0/ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco/ppyoloe_plus_s_fast_8xb8-80e_coco_20230101_154052-9fee7619.pth'  # noqa: E501

max_epochs = 40
num_last_epochs = 5  # read by files that build on this one; nothing changes in the last epochs here
save_epoch_intervals = 10
max_keep_ckpts = 2

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}},
    'train_cfg': {
        'initial_assigner': {'num_classes': _base_._cat.num_classes},
        'assigner': {'num_classes': _base_._cat.num_classes},
    },
}

default_hooks = {
    'checkpoint': {'interval': save_epoch_intervals, 'max_keep_ckpts': max_keep_ckpts},
    'logger': {'interval': 5},
    'param_scheduler': {'warmup_min_iter': 10, 'total_epochs': int(max_epochs * _base_.cosine_ratio)},
}
train_cfg = {'max_epochs': max_epochs, 'val_interval': save_epoch_intervals}
