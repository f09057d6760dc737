# YOLOv6 3.0, size s: joints of three levels in the neck, which takes a map of stride 4 too; other pooling.
_base_ = './yolov6_s_syncbn_fast_8xb32-300e_coco.py'

model = {
    'backbone': {'out_indices': [1, 2, 3, 4], 'use_cspsppf': True},
    'neck': {'type': 'YOLOv6RepBiPAFPN', 'in_channels': [128, 256, 512, 1024]},
}
