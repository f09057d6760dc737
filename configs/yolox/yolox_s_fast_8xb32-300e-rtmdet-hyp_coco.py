# YOLOX with the optimizer, batch size and average of RTMDet.
_base_ = './yolox_s_fast_8xb8-300e_coco.py'

train_batch_size_per_gpu = 32  # 256 images a step
batch_augments_interval = 1
num_last_epochs = 20
base_lr = 0.004  # for 256 images a step
weight_decay = 0.05
ema_momentum = 0.0002

model = {
    'data_preprocessor': {
        'batch_augments': [
            {
                'type': 'YOLOXBatchSyncRandomResize',
                'random_size_range': _base_.random_size_range,
                'size_divisor': 32,
                'interval': batch_augments_interval,
            }
        ]
    }
}

train_dataloader = {'batch_size': train_batch_size_per_gpu}

optim_wrapper = {
    'optimizer': {'_delete_': True, 'type': 'AdamW', 'lr': base_lr, 'weight_decay': weight_decay},
    'paramwise_cfg': {'norm_decay_mult': 0, 'bias_decay_mult': 0, 'bypass_duplicate': True},
}

_warmup, _cosine, _constant = _base_.param_scheduler
_stage2_epoch = _base_.max_epochs - num_last_epochs
param_scheduler = [
    _warmup,
    dict(_cosine, eta_min=base_lr * _base_.lr_factor, T_max=_stage2_epoch, end=_stage2_epoch),
    dict(_constant, begin=_stage2_epoch),
]

_mode_switch, _sync_norm, _ema = _base_.custom_hooks
custom_hooks = [dict(_mode_switch, num_last_epochs=num_last_epochs), _sync_norm, dict(_ema, momentum=ema_momentum)]
train_cfg = {'dynamic_intervals': [(_stage2_epoch, _base_.val_interval_stage2)]}

auto_scale_lr = {'base_batch_size': 256}
