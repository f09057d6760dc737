"""Distances from a point to the four sides of a box, counted in strides."""

from collections.abc import Sequence

from mmdet.models.task_modules.coders import DistancePointBBoxCoder as _DistancePointBBoxCoder
from mmdet.structures.bbox import bbox2distance, distance2bbox
from torch import Tensor

from mmyolo.registry import TASK_UTILS


@TASK_UTILS.register_module()
class DistancePointBBoxCoder(_DistancePointBBoxCoder):
    """mmdet's coder with distances in units of the stride of their point."""

    def encode(self, points: Tensor, gt_bboxes: Tensor, max_dis: float = 16.0, eps: float = 0.01) -> Tensor:
        """Distances from points to the sides of boxes.

        Args:
            points: (N, 2) or (B, N, 2) points x, y; unlike in `decode`, already in strides, as are the boxes.
            gt_bboxes: (N, 4) or (B, N, 4) boxes, xyxy.
            max_dis: upper bound of a distance.
            eps: how far below that bound a distance stays.

        Returns:
            Left, top, right, bottom distances of the boxes' shape, within [0, max_dis - eps].
        """
        return bbox2distance(points, gt_bboxes, max_dis, eps)

    def decode(
        self,
        points: Tensor,
        pred_bboxes: Tensor,
        stride: Tensor,
        max_shape: Sequence[int] | Tensor | Sequence[Sequence[int]] | None = None,
    ) -> Tensor:
        """Return boxes of distances.

        Args:
            points: (N, 2) or (B, N, 2) points x, y in input pixels.
            pred_bboxes: (B, N, 4) left, top, right, bottom distances in strides.
            stride: (N,) strides of the points.
            max_shape: height and width to clip to if `clip_border`, of all images or one each.

        Returns:
            (B, N, 4) boxes, xyxy in input pixels.
        """
        return distance2bbox(points, pred_bboxes * stride[None, :, None], max_shape if self.clip_border else None)
