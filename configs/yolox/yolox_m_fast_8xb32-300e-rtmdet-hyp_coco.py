_base_ = './yolox_s_fast_8xb32-300e-rtmdet-hyp_coco.py'

deepen_factor = 0.67
widen_factor = 0.75

model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}
