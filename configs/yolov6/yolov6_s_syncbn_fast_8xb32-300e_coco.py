# 300 epochs instead of 400.
_base_ = './yolov6_s_syncbn_fast_8xb32-400e_coco.py'

max_epochs = 300
num_last_epochs = 15

default_hooks = {'param_scheduler': {'max_epochs': max_epochs}}
custom_hooks = [_base_.ema_hook, dict(_base_.custom_hooks[1], switch_epoch=max_epochs - num_last_epochs)]
train_cfg = {
    'max_epochs': max_epochs,
    'dynamic_intervals': [(max_epochs - num_last_epochs, _base_.val_interval_stage2)],
}
