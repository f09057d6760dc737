"""Packing: from the results of a pipeline to a tensor and a data sample."""

import cv2
import numpy as np
import torch
from mmcv.transforms import to_tensor
from mmdet.datasets.transforms import PackDetInputs as MMDETPackDetInputs
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mmyolo.registry import TRANSFORMS

from .keypoint_structure import Keypoints

LEFT_TO_DEVICE = ('hsv_tables', 'flip_left', 'canvas_left')
"""Entries by which transforms leave pixels to the data preprocessor."""


@TRANSFORMS.register_module()
class PackDetInputs(MMDETPackDetInputs):
    """mmdet's PackDetInputs with keypoints and panoptic maps, and in half of its time.

    Args:
        meta_keys: Entries of the results that go to the sample's metainfo; all have to be there. What transforms leave
            to the device goes along.
    """

    mapping_table = {
        'gt_bboxes': 'bboxes',
        'gt_bboxes_labels': 'labels',
        'gt_masks': 'masks',
        'gt_keypoints': 'keypoints',
        'gt_keypoints_visible': 'keypoints_visible',
    }

    def transform(self, results: dict) -> dict:
        """Pack.

        Args:
            results: Has `img` (H, W, C) or (H, W) and any annotations.

        Returns:
            `inputs`: (C, H, W) tensor of the image's type. `data_samples`: a DetDataSample with `gt_instances` and
            `ignored_instances`, split by `gt_ignore_flags`.
        """
        sample = DetDataSample()
        flags = results.get('gt_ignore_flags')
        if flags is None or not flags.any():
            valid, ignored = slice(None), slice(0, 0)
        else:
            valid, ignored = np.nonzero(flags == 0)[0], np.nonzero(flags)[0]
        sample.gt_instances = self._instances(results, valid)
        sample.ignored_instances = InstanceData() if flags is None else self._instances(results, ignored)

        if 'proposals' in results:
            sample.proposals = InstanceData(
                bboxes=to_tensor(results['proposals']), scores=to_tensor(results['proposals_scores'])
            )
        if 'gt_seg_map' in results:
            sample.gt_sem_seg = PixelData(sem_seg=to_tensor(results['gt_seg_map'][None].copy()))
        if 'gt_panoptic_seg' in results:
            sample.gt_panoptic_seg = PixelData(pan_seg=results['gt_panoptic_seg'])

        missing = [key for key in self.meta_keys if key not in results]
        assert not missing, f'PackDetInputs: meta_keys {missing} are not in the results, which have {sorted(results)}'
        left = [key for key in LEFT_TO_DEVICE if key in results]
        sample.set_metainfo({key: results[key] for key in (*self.meta_keys, *left)})
        packed = {'data_samples': sample}
        if 'img' in results:
            packed['inputs'] = _to_chw(results['img'])
        return packed

    def _instances(self, results: dict, index) -> InstanceData:
        instances = InstanceData()
        for key, name in self.mapping_table.items():
            if key not in results:
                continue
            value = results[key][index]
            if isinstance(value, Keypoints):
                instances[name], instances['keypoints_visible'] = value.keypoints, value.keypoints_visible
                continue
            instances[name] = to_tensor(value) if isinstance(value, np.ndarray) else value
        return instances


def _to_chw(image: np.ndarray) -> torch.Tensor:
    """(H, W, C) or (H, W) to a contiguous (C, H, W) tensor; OpenCV splits channels faster than a permute copies."""
    if image.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(image)[None])
    planes = image.transpose(2, 0, 1)
    if planes.flags.c_contiguous:  # drawn that way
        return torch.from_numpy(planes)
    planes = np.empty((image.shape[2], *image.shape[:2]), dtype=image.dtype)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)
