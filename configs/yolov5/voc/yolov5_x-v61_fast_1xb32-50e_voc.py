_base_ = './yolov5_l-v61_fast_1xb32-50e_voc.py'

deepen_factor = 1.33
widen_factor = 1.25
load_from = None
model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}
