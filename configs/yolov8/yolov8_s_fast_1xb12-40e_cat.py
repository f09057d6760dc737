# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = ['./yolov8_s_syncbn_fast_8xb16-500e_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

max_epochs = 40
close_mosaic_epochs = 5

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolov8/yolov8_s_syncbn_fast_8xb16-500e_coco/yolov8_s_syncbn_fast_8xb16-500e_coco_20230117_180101-5aa5f0f1.pth'  # noqa: E501

model = {
    'backbone': {'frozen_stages': 4},
    'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}},
    'train_cfg': {'assigner': {'num_classes': _base_._cat.num_classes}},
}

optim_wrapper = {'optimizer': {'batch_size_per_gpu': _base_._cat.train_batch_size_per_gpu}}
default_hooks = {'logger': {'interval': 5}, 'param_scheduler': {'max_epochs': max_epochs, 'warmup_mim_iter': 10}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_epoch=max_epochs - close_mosaic_epochs)]
train_cfg = {'max_epochs': max_epochs}
