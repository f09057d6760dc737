# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = ['./yolov6_s_syncbn_fast_8xb32-400e_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

max_epochs = 40
num_last_epochs = 5

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov6/yolov6_s_syncbn_fast_8xb32-400e_coco/yolov6_s_syncbn_fast_8xb32-400e_coco_20221102_203035-932e1d91.pth'  # noqa: E501

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}},
    'train_cfg': {
        'initial_assigner': {'num_classes': _base_._cat.num_classes},
        'assigner': {'num_classes': _base_._cat.num_classes},
    },
}

optim_wrapper = {'optimizer': {'batch_size_per_gpu': _base_._cat.train_batch_size_per_gpu}}
default_hooks = {
    'logger': {'interval': 5},
    'param_scheduler': {'max_epochs': max_epochs, 'warmup_mim_iter': 10},
    'checkpoint': {'interval': 10, 'max_keep_ckpts': 2},
}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_epoch=max_epochs - num_last_epochs)]
train_cfg = {
    'max_epochs': max_epochs,
    'val_interval': 10,
    'dynamic_intervals': [(max_epochs - num_last_epochs, _base_.val_interval_stage2)],
}
