# Fine-tunes on one class and 100 images, with the backbone frozen.
_base_ = ['./yolox_s_fast_8xb32-300e-rtmdet-hyp_coco.py', '../_base_/small_data.py']
globals().update(_base_._cat)

max_epochs = 40
num_last_epochs = 5
warmup_epochs = 3

load_from = 'https://download.openmmlab.com/mmyolo/v0/yolox/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco/yolox_s_fast_8xb32-300e-rtmdet-hyp_coco_20230210_134645-3a8dfbd7.pth'  # noqa: E501

model = {'backbone': {'frozen_stages': 4}, 'bbox_head': {'head_module': {'num_classes': _base_._cat.num_classes}}}

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
