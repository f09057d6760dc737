_base_ = './yolov5_l-v61_fast_1xb32-50e_voc.py'

deepen_factor = 1.33
widen_factor = 1.25

load_from = None

model = dict(
    backbone=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    neck=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor)))
