"""The collate function of the fast training path: one tensor of boxes for the batch instead of a list of samples."""

from collections.abc import Sequence

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.dataset import COLLATE_FUNCTIONS
from torch.utils.data import default_collate

UNCHANGED = torch.arange(256, dtype=torch.uint8).expand(3, 256)
# Direction -> whether an image is flipped horizontally and vertically.
FLIPS = {None: (False, False), 'horizontal': (True, False), 'vertical': (False, True), 'diagonal': (True, True)}


@COLLATE_FUNCTIONS.register_module()
def yolov5_collate(data_batch: Sequence[dict], use_ms_training: bool = False) -> dict:
    """Join packed samples into what YOLOv5DetDataPreprocessor and the heads take in training.

    Ignored instances are dropped.

    Args:
        data_batch: Packed samples with `inputs` (3, H, W) and `data_samples`.
        use_ms_training: Leave the images a list, for preprocessors that resize them one by one.

    Returns:
        `inputs`: (B, 3, H, W), or a list of (3, H, W). `data_samples`: a dict with `bboxes_labels`, float32 rows
        (N, 6) of image index, label, x1, y1, x2, y2 in pixels; `masks`, concatenated over the batch, if any sample
        has tensor masks or a panoptic map; `keypoints` (N, K, 2) and `keypoints_visible` (N, K) if there are any;
        `hsv_tables` (B, 3, 256) bytes, `flips` (B, 2) bool, horizontal and vertical, and `canvases`, dicts with the
        fields of Canvas, where transforms leave them to the device.
    """
    boxes, masks, keypoints, keypoints_visible = [], [], [], []
    for index, data in enumerate(data_batch):
        sample = data['data_samples']
        instances = sample.gt_instances
        bboxes = get_box_tensor(instances.bboxes)
        labels = instances.labels[:, None].to(bboxes.dtype)
        boxes.append(torch.cat((torch.full_like(labels, index), labels, bboxes), dim=1))
        if isinstance(instances.get('masks'), torch.Tensor):
            masks.append(instances.masks)
        if 'gt_panoptic_seg' in sample:
            masks.append(sample.gt_panoptic_seg.pan_seg)
        if 'keypoints' in instances:
            keypoints.append(instances.keypoints)
            keypoints_visible.append(instances.keypoints_visible)

    data_samples = {'bboxes_labels': torch.cat(boxes)}
    if masks:
        data_samples['masks'] = torch.cat(masks)
    if keypoints:
        data_samples['keypoints'] = torch.cat(keypoints)
        data_samples['keypoints_visible'] = torch.cat(keypoints_visible)
    samples = [data['data_samples'] for data in data_batch]
    tables = [sample.get('hsv_tables') for sample in samples]
    if any(table is not None for table in tables):
        data_samples['hsv_tables'] = torch.stack(
            [UNCHANGED if table is None else torch.from_numpy(table) for table in tables]
        )
    directions = [sample.get('flip_left') for sample in samples]
    if any(directions):
        data_samples['flips'] = torch.tensor([FLIPS[direction] for direction in directions])
    canvases = [sample.get('canvas_left') for sample in samples]
    if all(canvas is not None for canvas in canvases):
        data_samples['canvases'] = [canvas._asdict() for canvas in canvases]
    inputs = [data['inputs'] for data in data_batch]
    # In a loader process default_collate stacks straight into shared memory; torch.stack would copy once more.
    return {'inputs': inputs if use_ms_training else default_collate(inputs), 'data_samples': data_samples}
