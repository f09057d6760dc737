"""A small head of every family, with maps, features, boxes and settings to train and predict with."""

from typing import NamedTuple

import torch

from mmyolo.registry import MODELS
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS

CHANNELS = (16, 24, 32)
TASK_ALIGNED = {
    'type': 'BatchTaskAlignedAssigner',
    'num_classes': 3,
    'topk': 10,
    'alpha': 0.5,
    'beta': 6.0,
    'eps': 1e-9,
}
SIM_OTA = {'type': 'mmdet.SimOTAAssigner', 'iou_calculator': {'type': 'mmdet.BboxOverlaps2D'}}
SOFT_LABEL = {'type': 'BatchDynamicSoftLabelAssigner', 'num_classes': 3, 'topk': 13}
INITIAL = {'initial_epoch': 4, 'initial_assigner': {'type': 'BatchATSSAssigner', 'topk': 9, 'num_classes': 3}}
TEST_CFG = {
    'multi_label': True,
    'nms_pre': 300,
    'score_thr': 0.01,
    'nms': {'type': 'nms', 'iou_threshold': 0.65},
    'max_per_img': 30,
}
TEST_METAS = [
    {'ori_shape': (50, 60), 'scale_factor': (1, 1), 'pad_param': [7, 7, 2, 2], 'batch_input_shape': (64, 64)}
] * 2


class Family(NamedTuple):
    """How to build a head: names of its classes, arguments of the layers, and settings of training."""

    head: str
    layers: str
    layer_args: dict
    train_cfg: dict = {}
    args: dict = {}


FAMILIES = {
    'yolov5': Family('YOLOv5Head', 'YOLOv5HeadModule', {'in_channels': CHANNELS}),
    'yolov5_ins': Family('YOLOv5InsHead', 'YOLOv5InsHeadModule', {'in_channels': CHANNELS, 'proto_channels': 16}),
    'yolov6': Family(
        'YOLOv6Head', 'YOLOv6HeadModule', {'in_channels': CHANNELS}, dict(assigner=TASK_ALIGNED, **INITIAL)
    ),
    'yolov6_dfl': Family(
        'YOLOv6Head',
        'YOLOv6HeadModule',
        {'in_channels': CHANNELS, 'reg_max': 16},
        dict(assigner=TASK_ALIGNED, **INITIAL),
    ),
    'yolov7': Family('YOLOv7Head', 'YOLOv7HeadModule', {'in_channels': CHANNELS}),
    'yolov7_aux': Family(
        'YOLOv7Head',
        'YOLOv7p6HeadModule',
        {'in_channels': CHANNELS, 'main_out_channels': CHANNELS, 'aux_out_channels': CHANNELS},
    ),
    'yolov8': Family(
        'YOLOv8Head', 'YOLOv8HeadModule', {'in_channels': CHANNELS}, {'assigner': dict(TASK_ALIGNED, use_ciou=True)}
    ),
    'ppyoloe': Family(
        'PPYOLOEHead', 'PPYOLOEHeadModule', {'in_channels': CHANNELS}, dict(assigner=TASK_ALIGNED, **INITIAL)
    ),
    'yolox': Family('YOLOXHead', 'YOLOXHeadModule', {'in_channels': 16, 'feat_channels': 16}, {'assigner': SIM_OTA}),
    'rtmdet': Family(
        'RTMDetHead', 'RTMDetSepBNHeadModule', {'in_channels': 16, 'feat_channels': 16}, {'assigner': SOFT_LABEL}
    ),
    'rtmdet_ins': Family(
        'RTMDetInsSepBNHead',
        'RTMDetInsSepBNHeadModule',
        {'in_channels': 16, 'feat_channels': 16},
        {'assigner': SOFT_LABEL},
        {'mask_overlap': True},
    ),
}


def build(family: str, head=None, layers=None, **kwargs):
    """Builds a head with seeded weights.

    Args:
        family: key of `FAMILIES`.
        head: class in place of the family's.
        layers: class of the layers in place of the family's.
        **kwargs: further arguments of the head.
    """
    one = FAMILIES[family]
    cfg = dict(
        head_module=dict(type=layers or one.layers, num_classes=3, **one.layer_args),
        train_cfg=one.train_cfg or None,
        test_cfg=TEST_CFG,
        **one.args,
        **kwargs,
    )
    torch.manual_seed(0)
    built = MODELS.build(dict(type=head or one.head, **cfg))
    generator = torch.Generator().manual_seed(1)
    for parameter in built.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0  # a loss leaves the statistics as they are
    return built


def features(family: str):
    """Maps of each level that a head of the family takes."""
    channels = CHANNELS if FAMILIES[family].layer_args['in_channels'] is CHANNELS else (16,) * 3
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(channels, SIZES)]


def batch(rows=GT_ROWS):
    """A batch as the preprocessor gives it, with masks for those who want them."""
    masks = torch.zeros(2, 16, 16)
    for image, _, *box in rows.int().tolist():
        x1, y1, x2, y2 = (side // 4 for side in box)
        masks[image, y1:y2, x1:x2] = masks[image].max() + 1
    return {'bboxes_labels': rows.clone(), 'masks': masks, 'img_metas': TRAIN_METAS}


def losses_of(head, family: str, rows=GT_ROWS):
    """Losses by name, as numbers, from features."""
    losses = head.train().loss(features(family), batch(rows))
    return {name: loss.detach().sum().item() for name, loss in losses.items()}


def predictions_of(head, family: str):
    """Predictions of each image from features."""
    samples = [type('Sample', (), {'metainfo': meta}) for meta in TEST_METAS]
    with torch.no_grad():
        return head.eval().predict(features(family), samples, rescale=True)


def noting(base, *names):
    """A subclass whose methods note their calls and do what the class does."""
    calls = []

    def replaced(name):

        def method(self, *args, **kwargs):
            calls.append((name, args, kwargs))
            return getattr(super(noted, self), name)(*args, **kwargs)

        return method

    noted = type(f'Noting{base.__name__}', (base,), {name: replaced(name) for name in names})
    noted.__module__ = __name__
    return noted, calls


def names_of(calls):
    return {name for name, _, _ in calls}
