"""Two training samples, as the data pipelines pack them, for heads of every kind."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

SIDE = 64


def train_samples(head, side=SIDE):
    """One box in the first image, two in the second.

    Args:
        head: config of the head, which decides about masks, keypoints and angles.
        side: height and width of the images.
    """
    boxes = np.array(
        [[[5.0, 8.0, 40.0, 50.0], [10.0, 2.0, 30.0, 60.0]], [[10.0, 2.0, 30.0, 60.0], [20.0, 20.0, 62.0, 44.0]]]
    )
    boxes *= side / 64
    samples = []
    for index, rows in enumerate((boxes[0, :1], boxes[1])):
        rows = torch.tensor(rows, dtype=torch.float32)
        sample = DetDataSample(
            metainfo={
                'img_id': index,
                'img_path': f'{index}.jpg',
                'ori_shape': (side // 2, side // 2),
                'img_shape': (side, side),
                'batch_input_shape': (side, side),
                'pad_shape': (side, side),
                'scale_factor': (2.0, 2.0),
                'pad_param': np.zeros(4, np.float32),
            }
        )
        labels = torch.arange(len(rows)) % (head.get('num_classes') or head.head_module.num_classes)
        sample.gt_instances = InstanceData(bboxes=rows, labels=labels)
        add = EXTRAS.get(head.type)
        if add is not None:
            add(sample.gt_instances, rows, side)
        if head.type in ('YOLOv5InsHead', 'RTMDetInsSepBNHead'):
            _masks(sample, rows, side, head.mask_overlap)
        sample.ignored_instances = sample.gt_instances[:0]
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 255, (3, side, side), generator=generator, dtype=torch.uint8)
        samples.append({'inputs': image, 'data_samples': sample})
    return samples


def _masks(sample, boxes, side, overlap):
    """Masks at a quarter of the size as Polygon2Mask makes them: one map numbered from 1, or a map per object."""
    masks = torch.zeros(len(boxes), side // 4, side // 4, dtype=torch.uint8)
    for mask, box in zip(masks, (boxes / 4).int().tolist()):
        mask[box[1] : box[3], box[0] : box[2]] = 1
    if overlap:
        numbers = torch.arange(1, len(boxes) + 1)[:, None, None]
        sample.gt_panoptic_seg = PixelData(pan_seg=(masks * numbers).amax(0, keepdim=True).byte())
    else:
        sample.gt_instances.masks = masks


def _keypoints(instances, boxes, side):
    """17 visible points on the diagonal of each box."""
    steps = torch.linspace(0, 1, 17)[None, :, None]
    instances.keypoints = boxes[:, None, :2] * (1 - steps) + boxes[:, None, 2:] * steps
    instances.keypoints_visible = torch.ones(len(boxes), 17)


def _angles(instances, boxes, side):
    from mmdet.structures.bbox import get_box_type

    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    angles = torch.linspace(0.1, 0.7, len(boxes))[:, None]
    instances.bboxes = get_box_type('rbox')[1](torch.cat([centres, sizes, angles], 1))


EXTRAS = {'YOLOXPoseHead': _keypoints, 'RTMDetRotatedHead': _angles}
