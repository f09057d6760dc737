# One class, 61 images. Losses and the optimizer keep the values that the base computes for COCO.
_base_ = ['./yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py', '../_base_/small_data.py']
globals().update(_base_._balloon)

log_interval = 1  # steps between lines of the log

model = {'bbox_head': {'head_module': {'num_classes': _base_._balloon.num_classes}}}

default_hooks = {'logger': {'interval': log_interval}}
