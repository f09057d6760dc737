# Test-time augmentation (`tools/test.py --tta`): three sizes, each plain and mirrored, merged by one more NMS.
_backend_args = None

tta_model = {
    'type': 'mmdet.DetTTAModel',
    'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.65}, 'max_per_img': 300},
}

img_scales = [(640, 640), (320, 320), (960, 960)]

_multiscale_resize_transforms = [
    {
        'type': 'Compose',
        'transforms': [
            {'type': 'YOLOv5KeepRatioResize', 'scale': _scale},
            {'type': 'LetterResize', 'scale': _scale, 'allow_scale_up': False, 'pad_val': {'img': 114}},
        ],
    }
    for _scale in img_scales
]

tta_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': _backend_args},
    {
        'type': 'TestTimeAug',
        'transforms': [
            _multiscale_resize_transforms,
            [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}],
            [{'type': 'mmdet.LoadAnnotations', 'with_bbox': True}],
            [
                {
                    'type': 'PackDetInputs',
                    'meta_keys': (
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'pad_param',
                        'flip',
                        'flip_direction',
                    ),
                }
            ],
        ],
    },
]
