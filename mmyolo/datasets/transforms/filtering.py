"""Dropping annotations or whole entries of the results."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import FilterAnnotations as MMDETFilterAnnotations
from mmdet.structures.bbox import autocast_box_type

from mmyolo.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FilterAnnotations(MMDETFilterAnnotations):
    """mmdet's FilterAnnotations that can ask for visible keypoints as well.

    Args:
        by_keypoints: Drop objects without a visible keypoint.
        **kwargs: Of mmdet's FilterAnnotations (`min_gt_bbox_wh`, `by_box`, `by_mask`, `keep_empty`, ...). With
            `keep_empty`, an image that loses all its objects is dropped, as the name does not say.
    """

    def __init__(self, by_keypoints: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.by_keypoints = by_keypoints

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Filter.

        Args:
            results: Has `gt_bboxes`; may have `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks` and `gt_keypoints`.

        Returns:
            The results with the objects that are left; None if there are none and `keep_empty` is True.
        """
        boxes = results['gt_bboxes']
        if len(boxes) == 0:
            return results
        keep = np.ones(len(boxes), dtype=bool)
        if self.by_box:
            width, height = self.min_gt_bbox_wh
            keep &= ((boxes.widths > width) & (boxes.heights > height)).numpy()
        if self.by_mask:
            keep &= np.asarray(results['gt_masks'].areas) >= self.min_gt_mask_area
        if self.by_keypoints:
            keep &= (results['gt_keypoints'].num_keypoints > 0).numpy()
        if not keep.any() and self.keep_empty:
            return None
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_masks', 'gt_ignore_flags', 'gt_keypoints'):
            if key in results:
                results[key] = results[key][keep]
        return results

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, by_keypoints={self.by_keypoints})'


@TRANSFORMS.register_module()
class RemoveDataElement(BaseTransform):
    """Removes entries from the results.

    Args:
        keys: Name or names of the entries; a missing one is not an error.
    """

    def __init__(self, keys: str | Sequence[str]) -> None:
        self.keys = [keys] if isinstance(keys, str) else keys

    def transform(self, results: dict) -> dict:
        """Remove the entries.

        Args:
            results: Any results.

        Returns:
            The same dict without them.
        """
        for key in self.keys:
            results.pop(key, None)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(keys={self.keys})'
