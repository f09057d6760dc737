"""The overlap calculator of assigners of rotated boxes; stands in for mmrotate's where that is not installed."""

from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from mmyolo.registry import TASK_UTILS, stand_in
from mmyolo.standins.mmcv.rotated_iou import box_iou_rotated


@stand_in(TASK_UTILS, 'mmrotate').register_module()
class RBboxOverlaps2D:
    """Overlaps of rotated boxes, whose sides count as 0.001 pixels at least."""

    def __call__(
        self, bboxes1: Tensor | BaseBoxes, bboxes2: Tensor | BaseBoxes, mode: str = 'iou', is_aligned: bool = False
    ) -> Tensor:
        """Compute overlaps.

        Args:
            bboxes1: (N, 5) rotated boxes.
            bboxes2: (M, 5) rotated boxes.
            mode: 'iou', or 'iof': the share of a box of `bboxes1` that is covered.
            is_aligned: compare row by row, with N = M.

        Returns:
            (N, M), or (N,) if `is_aligned`.
        """
        first, second = (get_box_tensor(boxes).detach().clone() for boxes in (bboxes1, bboxes2))
        for boxes in (first, second):
            boxes[..., 2:4] = boxes[..., 2:4].clamp(min=1e-3)
        return box_iou_rotated(first, second, mode=mode, aligned=is_aligned)

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
