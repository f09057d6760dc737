# What the distillations of RTMDet compare: the outputs of the necks, level by level. Each adds connectors of its own,
# `<level>_s` and `<level>_t`, which bring student and teacher to the same channels.
_levels = ('fpn0', 'fpn1', 'fpn2')
_recorders = {
    _level: {'type': 'ModuleOutputs', 'source': f'neck.out_layers.{_index}.conv'}
    for _index, _level in enumerate(_levels)
}

_distiller = {
    'type': 'ConfigurableDistiller',
    'student_recorders': _recorders,
    'teacher_recorders': _recorders,
    'distill_losses': {f'loss_{_level}': {'type': 'ChannelWiseDivergence', 'loss_weight': 1} for _level in _levels},
    'loss_forward_mappings': {
        f'loss_{_level}': {
            'preds_S': {'from_student': True, 'recorder': _level, 'connector': f'{_level}_s'},
            'preds_T': {'from_student': False, 'recorder': _level, 'connector': f'{_level}_t'},
        }
        for _level in _levels
    },
}
