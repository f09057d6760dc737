"""A detector of two shapes that trains in seconds, and pictures of these shapes."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('square', 'disc')
SIZE = 128  # input of the network
CONFIG = f"""_base_ = '{(ROOT / 'configs/yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py').as_posix()}'
classes = {CLASSES}
img_scale = ({SIZE}, {SIZE})
metainfo = dict(classes=classes, palette=[(220, 20, 60), (0, 160, 80)])
model = dict(
    backbone=dict(widen_factor=0.125),
    neck=dict(widen_factor=0.125),
    bbox_head=dict(head_module=dict(num_classes=2, widen_factor=0.125)),
    train_cfg=dict(assigner=dict(num_classes=2)),
    test_cfg=dict(nms=dict(iou_threshold=0.3)))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='YOLOv5KeepRatioResize', scale=img_scale),
    dict(type='LetterResize', scale=img_scale, allow_scale_up=False, pad_val=dict(img=114)),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param'))
]
tta_model = dict(tta_cfg=dict(nms=dict(iou_threshold=0.3)))
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='LetterResize', scale=scale, allow_scale_up=True, pad_val=dict(img=114))
         for scale in (img_scale, (160, 160))],
        [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)],
        [dict(type='mmdet.LoadAnnotations', with_bbox=True)],
        [dict(type='PackDetInputs',
              meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param', 'flip',
                         'flip_direction'))]])
]
test_dataloader = dict(dataset=dict(metainfo=metainfo, pipeline=test_pipeline, batch_shapes_cfg=None))
"""
Box = tuple[int, int, int, int, int]
"""Label and x1, y1, x2, y2 in pixels."""


def picture(seed: int, height: int, width: int, count: int, scale: float = 1) -> tuple[np.ndarray, list[Box]]:
    """Draws red squares and green discs on a dark ground; no two touch.

    Returns:
        (height, width, 3) uint8 BGR, and the boxes.
    """
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 90, (height, width, 3), dtype=np.uint8), (0, 0), 2)
    taken, boxes = np.zeros((height, width), bool), []
    for _ in range(50 * count):
        half = int(rng.integers(10, 20) * scale)
        x, y = int(rng.integers(half + 3, width - half - 3)), int(rng.integers(half + 3, height - half - 3))
        area = np.s_[max(y - half - 6, 0) : y + half + 6, max(x - half - 6, 0) : x + half + 6]
        if len(boxes) == count or taken[area].any():
            continue
        taken[area] = True
        label = int(rng.integers(2))
        colour = (40, 40 + int(rng.integers(60)), 230) if label == 0 else (40 + int(rng.integers(60)), 220, 60)
        if label == 0:
            cv2.rectangle(image, (x - half, y - half), (x + half, y + half), colour, -1)
        else:
            cv2.circle(image, (x, y), half, colour, -1)
        boxes.append((label, x - half, y - half, x + half + 1, y + half + 1))
    return image, boxes


def train(folder: Path, steps: int = 140) -> tuple[str, str]:
    """Trains the detector.

    Returns:
        Paths of its config and its checkpoint.
    """
    config, checkpoint = folder / 'shapes.py', folder / 'shapes.pth'
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    init_default_scope('mmyolo')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    MMLogger.get_current_instance().setLevel('WARNING')  # else it lists every parameter
    model.init_weights()
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1
    optimizer = torch.optim.AdamW(model.parameters(), 0.004, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.004, total_steps=steps)
    for step in range(steps):
        images, rows = _batch(step)
        data = {'inputs': images, 'data_samples': {'bboxes_labels': rows, 'img_metas': None}}
        losses = model(**model.data_preprocessor(data, training=True), mode='loss')
        loss = sum(value for name, value in losses.items() if 'loss' in name)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': {'classes': CLASSES}}}, checkpoint)
    return str(config), str(checkpoint)


def _batch(step: int, size: int = 6) -> tuple[Tensor, Tensor]:
    images, rows = [], []
    for index in range(size):
        image, boxes = picture(1000 + size * step + index, SIZE, SIZE, 1 + (step + index) % 4)
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        rows += [(index, *box) for box in boxes]
    return torch.stack(images), torch.tensor(rows, dtype=torch.float32)
