# Distils size l into size m over the outputs of the neck, with the package mmrazor, which must be installed.
_base_ = ['../rtmdet_m_syncbn_fast_8xb32-300e_coco.py', '../../_base_/rtmdet_distiller.py']
globals().update(_base_._distillations.m)

custom_hooks = [
    *_base_.custom_hooks,
    {'type': 'mmrazor.StopDistillHook', 'stop_epoch': _base_.max_epochs - _base_.num_epochs_stage2},
]
