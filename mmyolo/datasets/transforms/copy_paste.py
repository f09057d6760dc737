"""Copy-paste of objects onto the mirrored side of the same image (Simple Copy-Paste, as YOLOv5 does it).

Differs from mmyolo 0.6.0 on purpose: the given image array is left as it was.
"""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import PolygonMasks
from numpy import random

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import TRANSFORMS

from .polygons import fill_polygons


@TRANSFORMS.register_module()
class YOLOv5CopyPaste(BaseTransform):
    """Pastes mirrored objects where they cover little of the others.

    Args:
        ioa_thresh: A mirrored box may cover less than this share of every box.
        prob: Share of such objects to paste.
    """

    def __init__(self, ioa_thresh: float = 0.3, prob: float = 0.5) -> None:
        self.ioa_thresh = ioa_thresh
        self.prob = prob

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Paste.

        Args:
            results: Has `img`, `gt_bboxes` and `gt_masks` (polygons); may have `gt_bboxes_labels`, `gt_ignore_flags`.

        Returns:
            The results with the pasted objects appended; as given where there are no masks or nothing to paste.
        """
        if len(results.get('gt_masks', [])) == 0:
            return results
        image, boxes, masks = results['img'], results['gt_bboxes'], results['gt_masks']
        if not isinstance(masks, PolygonMasks):
            raise ArgumentTypeError(
                f'YOLOv5CopyPaste pastes polygons only, not {type(masks).__name__}: load masks with poly2mask=False'
            )
        height, width = image.shape[:2]
        flipped = boxes.clone()
        flipped.flip_((height, width))
        # (N, N) share of each box under each mirrored one
        covered = _intersection_over_area(flipped.numpy(), boxes.numpy())
        candidates = np.nonzero((covered < self.ioa_thresh).all(axis=1))[0]  # those that would hide no object
        chosen = random.choice(candidates, size=round(self.prob * len(candidates)), replace=False)
        if len(chosen) == 0:
            return results

        pasted = PolygonMasks(masks.masks, height, width)[chosen].flip()
        under = fill_polygons(pasted.masks, height, width).astype(bool)  # (H, W)
        image = image.copy()
        image[under] = image[:, ::-1][under]
        results['img'] = image
        results['gt_bboxes'] = boxes.cat((boxes, flipped[chosen]), dim=0)
        results['gt_masks'] = PolygonMasks(masks.masks + pasted.masks, height, width)
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            if key in results:
                results[key] = np.concatenate((results[key], results[key][chosen]))
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(ioa_thresh={self.ioa_thresh}, prob={self.prob})'


def _intersection_over_area(first: np.ndarray, second: np.ndarray, eps: float = 1e-7) -> np.ndarray:
    """Share of each second box (M, 4) xyxy that each first box (N, 4) covers, (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])  # (N, M, 2)
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)  # (N, M)
    return intersection / ((second[:, 2:] - second[:, :2]).prod(axis=-1) + eps)
