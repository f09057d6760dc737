# Distils size s into size tiny over the outputs of the neck, with the package mmrazor, which must be installed.
_base_ = ['../rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py', '../../_base_/rtmdet_distiller.py']
globals().update(_base_._distillations.tiny)

custom_hooks = [
    *_base_.custom_hooks,
    {'type': 'mmrazor.StopDistillHook', 'stop_epoch': _base_.max_epochs - _base_.num_epochs_stage2},
]
