# Distils size s into size tiny over the outputs of the neck, with the package mmrazor, which must be installed.
_base_ = ['../rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py', '../../_base_/rtmdet_distiller.py']

teacher_ckpt = 'https://download.openmmlab.com/mmyolo/v0/rtmdet/rtmdet_s_syncbn_fast_8xb32-300e_coco/rtmdet_s_syncbn_fast_8xb32-300e_coco_20221230_182329-0a8c901a.pth'  # noqa: E501
student_channels = 96  # of the neck's outputs
teacher_channels = 128

norm_cfg = {'type': 'BN', 'affine': False, 'track_running_stats': False}  # compares shapes of maps, not their ranges

_to_teacher = {
    'type': 'ConvModuleConnector',
    'in_channel': student_channels,
    'out_channel': teacher_channels,
    'bias': False,
    'norm_cfg': norm_cfg,
    'act_cfg': None,
}
_normalise = {'type': 'NormConnector', 'in_channels': teacher_channels, 'norm_cfg': norm_cfg}

model = {
    '_delete_': True,
    '_scope_': 'mmrazor',
    'type': 'FpnTeacherDistill',
    'architecture': {'cfg_path': 'mmyolo::rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py'},
    'teacher': {'cfg_path': 'mmyolo::rtmdet/rtmdet_s_syncbn_fast_8xb32-300e_coco.py'},
    'teacher_ckpt': teacher_ckpt,
    'distiller': dict(
        _base_._distiller,
        connectors={
            'fpn0_s': _to_teacher,
            'fpn0_t': _normalise,
            'fpn1_s': _to_teacher,
            'fpn1_t': _normalise,
            'fpn2_s': _to_teacher,
            'fpn2_t': _normalise,
        },
    ),
}

find_unused_parameters = True

custom_hooks = [
    *_base_.custom_hooks,
    {'type': 'mmrazor.StopDistillHook', 'stop_epoch': _base_.max_epochs - _base_.num_epochs_stage2},
]
