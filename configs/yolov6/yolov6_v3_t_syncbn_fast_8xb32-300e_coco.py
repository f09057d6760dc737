# v3, size t.
_base_ = './yolov6_v3_s_syncbn_fast_8xb32-300e_coco.py'

widen_factor = 0.375

model = dict(
    backbone=dict(widen_factor=widen_factor),
    neck=dict(widen_factor=widen_factor),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor), loss_bbox=dict(iou_mode='siou')))
