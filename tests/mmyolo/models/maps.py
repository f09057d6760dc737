"""Maps, ground truth and meta information that the head tests share: waves, whose results are published."""

import torch
from mmengine.structures import InstanceData

SIZES = ((8, 8), (4, 4), (2, 2))  # of a 64 x 64 input at strides 8, 16, 32
GT_ROWS = torch.tensor(
    [[0, 1, 4, 6, 30, 40], [0, 2, 20, 10, 60, 50], [1, 0, 2, 2, 14, 18], [1, 2, 31, 33, 63, 60]], dtype=torch.float
)
TRAIN_METAS = [{'batch_input_shape': (64, 64)}, {'batch_input_shape': (64, 64)}]
TEST_METAS = [{'ori_shape': (50, 60), 'scale_factor': (1, 1), 'pad_param': [7, 7, 2, 2]} for _ in range(2)]


def wave(shape, step, amplitude=1.0, shift=0.0):
    """Amplitude * sin(step * j) + shift over the flat index j."""
    j = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (amplitude * torch.sin(step * j) + shift).float().reshape(shape)


def yolov5_maps(num_classes=3, batch_size=2):
    """Class logits, boxes and objectness of three anchors."""

    def kind(channels, step, shift=0.0):
        return [wave((batch_size, 3 * channels, *size), step + 0.01 * i, 1.0, shift) for i, size in enumerate(SIZES)]

    return kind(num_classes, 0.11), kind(4, 0.07), kind(1, 0.05, -1.0)


def yolov8_maps(num_classes=3, batch_size=2):
    """Class logits, distances and logits of the distances' distributions."""
    cls = [wave((batch_size, num_classes, *size), 0.11 + 0.01 * i, 1.0, -1.0) for i, size in enumerate(SIZES)]
    dist = [wave((batch_size, h * w, 4, 16), 0.013 + 0.01 * i, 2.0) for i, (h, w) in enumerate(SIZES)]
    bins = torch.arange(16.0)
    distances = [(level.softmax(-1) @ bins).transpose(1, 2) for level in dist]
    bbox = [level.reshape(batch_size, 4, *size) for level, size in zip(distances, SIZES)]
    return cls, bbox, dist


def as_instances(rows, batch_size=2):
    """Ground-truth rows as one InstanceData per image."""
    images = [rows[rows[:, 0] == image] for image in range(batch_size)]
    return [InstanceData(bboxes=image[:, 2:], labels=image[:, 1].long()) for image in images]
