"""What boxes given by a centre or by corners do alike: rotated boxes and quadrilaterals."""

import torch
from mmdet.structures.bbox import BaseBoxes
from torch import BoolTensor, Tensor


class PointBoxes(BaseBoxes):
    """Boxes that are inside an image when their centre is, and that cannot be clipped."""

    def clip_(self, img_shape: tuple[int, int]) -> None:
        """Leave the boxes alone: a clipped rotated box is none. Many transforms ask for it by default.

        Args:
            img_shape: height and width of the image.
        """

    def is_inside(self, img_shape: tuple[int, int], all_inside: bool = False, allowed_border: int = 0) -> BoolTensor:
        """Find the boxes whose centre is in the image.

        Args:
            img_shape: height and width of the image.
            all_inside: not supported by these boxes; the centre decides either way.
            allowed_border: how far outside, in pixels, still counts as inside.

        Returns:
            (...) bool.
        """
        x, y = self.centers.unbind(-1)
        height, width = img_shape[:2]
        return (
            (x >= -allowed_border)
            & (x <= width + allowed_border)
            & (y >= -allowed_border)
            & (y <= height + allowed_border)
        )

    @staticmethod
    def overlaps(
        boxes1: BaseBoxes, boxes2: BaseBoxes, mode: str = 'iou', is_aligned: bool = False, eps: float = 1e-6
    ) -> Tensor:
        """Overlaps of boxes as rotated boxes.

        Args:
            boxes1: (N, box_dim) boxes of any type.
            boxes2: (M, box_dim) boxes of any type.
            mode: 'iou', or 'iof': the share of a box of `boxes1` that is covered.
            is_aligned: compare row by row, with N = M.
            eps: not needed.

        Returns:
            (N, M), or (N,) if `is_aligned`.
        """
        from mmyolo.standins.mmcv.rotated_iou import box_iou_rotated

        return box_iou_rotated(
            boxes1.convert_to('rbox').tensor, boxes2.convert_to('rbox').tensor, mode=mode, aligned=is_aligned
        )

    @classmethod
    def from_instance_masks(cls, masks) -> 'PointBoxes':
        """Not supported; `qbox2rbox` makes boxes of four points."""
        raise NotImplementedError(f'{cls.__name__} cannot be made of masks')


def points_in_quadrilaterals(points: Tensor, corners: Tensor) -> BoolTensor:
    """Return which points lie in convex quadrilaterals, border included.

    Args:
        points: (..., 2).
        corners: (..., 4, 2) in order, either way round; broadcast with `points`.

    Returns:
        (...) bool.
    """
    side = corners.roll(-1, -2) - corners
    offset = points[..., None, :] - corners
    cross = side[..., 0] * offset[..., 1] - side[..., 1] * offset[..., 0]
    return (cross >= 0).all(-1) | (cross <= 0).all(-1)


def transform_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Apply a (2, 3) affine or (3, 3) projective map to points (..., 2)."""
    moved = torch.cat((points, torch.ones_like(points[..., :1])), dim=-1) @ matrix.T
    return moved if len(matrix) == 2 else moved[..., :2] / moved[..., 2:]
