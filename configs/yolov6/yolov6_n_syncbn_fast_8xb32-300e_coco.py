# Size n.
_base_ = './yolov6_s_syncbn_fast_8xb32-300e_coco.py'
widen_factor = 0.25
lr_factor = 0.02
model = {
    'backbone': {'widen_factor': widen_factor},
    'neck': {'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}, 'loss_bbox': {'iou_mode': 'siou'}},
}
default_hooks = {'param_scheduler': {'lr_factor': lr_factor}}
