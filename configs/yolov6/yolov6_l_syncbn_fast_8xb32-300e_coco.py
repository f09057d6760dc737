# Size l: plain convolutions as blocks.
_base_ = './yolov6_m_syncbn_fast_8xb32-300e_coco.py'

deepen_factor = 1
widen_factor = 1

model = {
    'backbone': {
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'hidden_ratio': 1.0 / 2,
        'block_cfg': {'type': 'ConvWrapper', 'norm_cfg': {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}},
        'act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'neck': {
        'deepen_factor': deepen_factor,
        'widen_factor': widen_factor,
        'hidden_ratio': 1.0 / 2,
        'block_cfg': {'type': 'ConvWrapper', 'norm_cfg': {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}},
        'block_act_cfg': {'type': 'SiLU', 'inplace': True},
    },
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}
