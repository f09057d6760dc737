_base_ = './ppyoloe_plus_s_fast_8xb8-80e_coco.py'

load_from = 'weights/ppyoloe_plus_x_obj365_pretrained.pth'
deepen_factor = 1.33
widen_factor = 1.25
model = {
    'backbone': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'neck': {'deepen_factor': deepen_factor, 'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}},
}
