# Predicts as a demonstration does: few, certain boxes of one class each, on images padded only to a multiple of 32.
_base_ = './yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

test_pipeline = [
    _base_.test_pipeline[0],
    {
        'type': 'LetterResize',
        'scale': _base_.img_scale,
        'allow_scale_up': True,
        'use_mini_pad': True,
    },  # pads with black
    *_base_.test_pipeline[3:],
]
val_dataloader = {'dataset': {'pipeline': test_pipeline, 'batch_shapes_cfg': None}}
test_dataloader = val_dataloader

model = {'test_cfg': {'multi_label': False, 'score_thr': 0.25, 'nms': {'iou_threshold': 0.45}}}
