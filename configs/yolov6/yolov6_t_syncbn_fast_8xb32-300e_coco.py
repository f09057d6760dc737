# Size t.
_base_ = './yolov6_s_syncbn_fast_8xb32-300e_coco.py'

widen_factor = 0.375

model = {
    'backbone': {'widen_factor': widen_factor},
    'neck': {'widen_factor': widen_factor},
    'bbox_head': {'head_module': {'widen_factor': widen_factor}, 'loss_bbox': {'iou_mode': 'siou'}},
}
