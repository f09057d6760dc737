# Distillation of RTMDet over the outputs of the necks, level by level: per student, the settings that its config takes
# over whole with `globals().update(_base_._distillations.SIZE)`.
_URL = 'https://download.openmmlab.com/mmyolo/v0/rtmdet'
_channels = {'tiny': 96, 's': 128, 'm': 192, 'l': 256, 'x': 320}  # of the neck's outputs
_checkpoints = {
    's': 'rtmdet_s_syncbn_fast_8xb32-300e_coco_20221230_182329-0a8c901a',
    'm': 'rtmdet_m_syncbn_fast_8xb32-300e_coco_20230102_135952-40af4fe8',
    'l': 'rtmdet_l_syncbn_fast_8xb32-300e_coco_20230102_135928-ee3abdc4',
    'x': 'rtmdet_x_syncbn_fast_8xb32-300e_coco_20221231_100345-b85cd476',
}


def _distillation(student, teacher, channels, checkpoint, url):
    """Return the settings with which a size learns from the next one."""
    norm_cfg = {
        'type': 'BN',
        'affine': False,
        'track_running_stats': False,
    }  # compares shapes of maps, not their ranges
    to_teacher = {
        'type': 'ConvModuleConnector',
        'in_channel': channels[student],
        'out_channel': channels[teacher],
        'bias': False,
        'norm_cfg': norm_cfg,
        'act_cfg': None,
    }
    normalise = {'type': 'NormConnector', 'in_channels': channels[teacher], 'norm_cfg': norm_cfg}
    name = 'rtmdet_{}_syncbn_fast_8xb32-300e_coco'
    teacher_ckpt = f'{url}/{name.format(teacher)}/{checkpoint}.pth'
    levels = ('fpn0', 'fpn1', 'fpn2')
    recorders = {
        level: {'type': 'ModuleOutputs', 'source': f'neck.out_layers.{index}.conv'}
        for index, level in enumerate(levels)
    }
    distiller = {
        'type': 'ConfigurableDistiller',
        'student_recorders': recorders,
        'teacher_recorders': recorders,
        'distill_losses': {f'loss_{level}': {'type': 'ChannelWiseDivergence', 'loss_weight': 1} for level in levels},
        'connectors': {f'{level}_{end}': to_teacher if end == 's' else normalise for level in levels for end in 'st'},
        'loss_forward_mappings': {
            f'loss_{level}': {
                'preds_S': {'from_student': True, 'recorder': level, 'connector': f'{level}_s'},
                'preds_T': {'from_student': False, 'recorder': level, 'connector': f'{level}_t'},
            }
            for level in levels
        },
    }
    return {
        'teacher_ckpt': teacher_ckpt,
        'student_channels': channels[student],
        'teacher_channels': channels[teacher],
        'norm_cfg': norm_cfg,
        'model': {
            '_delete_': True,
            '_scope_': 'mmrazor',
            'type': 'FpnTeacherDistill',
            'architecture': {'cfg_path': f'mmyolo::rtmdet/{name.format(student)}.py'},
            'teacher': {'cfg_path': f'mmyolo::rtmdet/{name.format(teacher)}.py'},
            'teacher_ckpt': teacher_ckpt,
            'distiller': distiller,
        },
        'find_unused_parameters': True,
    }


_distillations = {
    _student: _distillation(_student, _teacher, _channels, _checkpoints[_teacher], _URL)
    for _student, _teacher in (('tiny', 's'), ('s', 'm'), ('m', 'l'), ('l', 'x'))
}
