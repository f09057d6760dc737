# YOLOv5 with instance masks, size s, on COCO: the root of this folder. Every anchor mixes prototype masks into its own.
_base_ = '../yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

mask_overlap = True  # one map of numbers per image, smaller objects on top, instead of a map per object
downsample_ratio = 4  # masks are learnt at a quarter of the image's size, that of the prototypes
mask_channels = 32  # prototypes per image
proto_channels = 256  # of the layers that draw them, before widen_factor
loss_mask_weight = 0.05
use_mask2refine = True  # boxes are drawn anew around the outline of each object
min_area_ratio = 0.01  # boxes are drawn anew around outlines, so smaller remainders of an object are worth keeping
half_pad_param = True  # in tests both sides get the same padding, as masks are cropped
max_aspect_ratio = 100  # boxes cut to a longer shape than this are dropped

model = {
    'bbox_head': {
        'type': 'YOLOv5InsHead',
        'head_module': {
            'type': 'YOLOv5InsHeadModule',
            'mask_channels': mask_channels,
            'proto_channels': proto_channels,
        },
        'mask_overlap': mask_overlap,
        'loss_mask': {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'none'},
        'loss_mask_weight': loss_mask_weight,
    },
    'test_cfg': {
        'nms': {'type': 'nms', 'iou_threshold': 0.6},
        'min_bbox_size': 0,
        'mask_thr_binary': 0.5,  # least probability of a mask's pixel
        'fast_test': True,
    },
}  # enlarge probabilities on the device; False enlarges bits on the CPU

pre_transform = [
    _base_.pre_transform[0],
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': use_mask2refine, 'mask2bbox': use_mask2refine},
]
mosaic = dict(_base_.mosaic, pre_transform=pre_transform)
random_affine = dict(
    _base_.random_affine,
    min_area_ratio=min_area_ratio,
    max_aspect_ratio=max_aspect_ratio,
    use_mask_refine=use_mask2refine,
)
last_transform = [
    *_base_.last_transform[:-1],
    {'type': 'Polygon2Mask', 'downsample_ratio': downsample_ratio, 'mask_overlap': mask_overlap},
    _base_.last_transform[-1],
]

train_pipeline = [*pre_transform, mosaic, random_affine, *last_transform]
train_dataloader = {'dataset': {'pipeline': train_pipeline}}

_load, _resize, _pad, _annotations, _pack = _base_.test_pipeline
test_pipeline = [_load, _resize, dict(_pad, half_pad_param=half_pad_param), dict(_annotations, with_mask=True), _pack]
val_dataloader = {'dataset': {'pipeline': test_pipeline}}
test_dataloader = val_dataloader

val_evaluator = {'metric': ['bbox', 'segm']}
test_evaluator = val_evaluator
