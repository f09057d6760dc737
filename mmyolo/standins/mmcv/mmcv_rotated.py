"""The operators of rotated boxes in the form in which mmcv.ops calls its extension."""

import torch
from torch import Tensor

from . import nms as _nms
from . import rotated_iou as _iou

_KEPT = 9  # an intersection has up to 8 corners, and the first one closes the polygon


def box_iou_rotated(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode_flag: int = 0, aligned: bool = False) -> None:
    """Write overlaps into `ious`.

    Args:
        bboxes1: (N, 5) rotated boxes.
        bboxes2: (M, 5) rotated boxes.
        ious: (N,) if `aligned`, else (N * M,) or (N, M), written in place.
        mode_flag: 0 for IoU, 1 for the share of the first box that is covered.
        aligned: compare row by row.
    """
    overlaps = _iou.box_iou_rotated(bboxes1, bboxes2, 'iof' if mode_flag else 'iou', aligned)
    ious.copy_(overlaps.view(ious.shape))


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Suppress rotated boxes.

    Args:
        dets: (N, 5), or (N, 6) with the label last if `multi_label`.
        scores: (N,).
        order: order of the scores; not needed here.
        dets_sorted: boxes in that order; not needed here.
        labels: (N,), used if `multi_label`.
        iou_threshold: a candidate whose IoU with a kept one is larger goes.
        multi_label: candidates of different labels do not suppress each other.

    Returns:
        Indices (n,) int64 of the kept boxes, highest score first.
    """
    return _nms.nms_rotated(dets[:, :5], scores, iou_threshold, labels if multi_label else None)


@torch.no_grad()
def diff_iou_rotated_sort_vertices_forward(vertices: Tensor, mask: Tensor, num_valid: Tensor) -> Tensor:
    """Sort the corners of intersections around their middle.

    Args:
        vertices: (B, N, 24, 2) points relative to the middle of the valid ones.
        mask: (B, N, 24) bool, the valid ones.
        num_valid: (B, N) how many are valid; not needed here.

    Returns:
        (B, N, 9) int64 indices of the corners in their order, then of the first one, then of points that are not valid.
        Fewer than three corners give none. Points that coincide with their forerunner are left out.
    """
    angle = torch.atan2(vertices[..., 1], vertices[..., 0]).masked_fill(~mask, torch.inf)
    angle, order = angle.sort(dim=-1, stable=True)
    points = torch.gather(vertices, -2, order[..., None].expand_as(vertices))
    last = mask.sum(-1, keepdim=True) - 1
    place = torch.arange(mask.shape[-1], device=mask.device).expand_as(mask)
    before = torch.where(place > 0, place - 1, last.clamp(min=0))
    moved = (points - torch.gather(points, -2, before[..., None].expand_as(points))).abs().amax(-1)
    size = vertices.abs().amax((-1, -2), keepdim=False)[..., None]
    distinct = (place <= last) & (moved > 1e-6 * size)
    count = distinct.sum(-1, keepdim=True)
    distinct &= count > 2
    count = torch.where(count > 2, count, torch.full_like(count, -1))
    rank = (~distinct).to(torch.int8).argsort(dim=-1, stable=True)
    chosen = torch.gather(order, -1, rank)[..., :_KEPT]
    place = place[..., :_KEPT]
    # An intersection of two boxes has at most 16 of the 24 points, so the last place is one that is not valid.
    chosen = torch.where(place == count, chosen[..., :1], chosen)
    return torch.where(place > count, order[..., -1:], chosen)
