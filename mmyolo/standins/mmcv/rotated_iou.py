"""Overlaps of rotated boxes, exact, vectorised and differentiable, on any device, without compiled code.

By Green's theorem the area common to a polygon and the rectangle |x| <= X, |y| <= Y is the integral of clamp(y, -Y, Y)
over dx along the part of the polygon's boundary with |x| <= X. Along a side that is the integral of a clamped linear
function, which has a closed form. No vertices are searched, sorted or compared, and the integral is continuous: shared
sides, identical boxes and boxes without area need no special case in any precision.

A rotated box is centre x, y, width, height and the angle in radians by which its width is turned clockwise from the x
axis, with y pointing down.
"""

import torch
from torch import Tensor

PAIRS_ON_CPU = 1 << 15  # pairs of boxes at once; their intermediates stay in the cache
PAIRS_ON_DEVICE = 1 << 21  # about 600 MB
_MODES = ('iou', 'iof')


def rotated_corners(boxes: Tensor) -> Tensor:
    """Return the corners of boxes.

    Args:
        boxes: (..., 5) rotated boxes.

    Returns:
        (..., 4, 2) corners: upper left, upper right, lower right, lower left of the box before it is turned.
    """
    centre, half, angle = boxes[..., :2], boxes[..., 2:4] / 2, boxes[..., 4:]
    along = torch.cat((angle.cos(), angle.sin()), dim=-1) * half[..., :1]  # (..., 2) from the centre to the right side
    across = torch.cat((-angle.sin(), angle.cos()), dim=-1) * half[..., 1:]  # (..., 2) to the lower side
    return torch.stack((-along - across, along - across, along + across, across - along), dim=-2) + centre[..., None, :]


def intersection_area(first: Tensor, second: Tensor) -> Tensor:
    """Return the area that boxes share; differentiable.

    Args:
        first: (..., 5) rotated boxes; where the product of the sides is negative, so is the area.
        second: (..., 5) rotated boxes, broadcast with `first`.

    Returns:
        (...) areas in square pixels.
    """
    # The first box in the frame of the second, which is then upright and centred at 0.
    offset = first[..., :2] - second[..., :2]
    cos, sin = second[..., 4].cos(), second[..., 4].sin()  # (...) each
    centre_x = offset[..., 0] * cos + offset[..., 1] * sin
    centre_y = offset[..., 1] * cos - offset[..., 0] * sin
    half_x, half_y = (second[..., 2:4].abs() / 2).unsqueeze(-1).unbind(-2)  # (..., 1) each
    sides = first[..., 2:4].expand(*offset.shape[:-1], 2)
    angle = first[..., 4] - second[..., 4]
    turned = torch.stack((centre_x, centre_y, *sides.unbind(-1), angle), dim=-1)  # (..., 5)
    x, y = rotated_corners(turned).unbind(-1)  # (..., 4), in the frame of the second box

    next_x, next_y = x.roll(-1, -1), y.roll(-1, -1)  # (..., 4) where each side ends
    run, rise = next_x - x, next_y - y
    # A side along y covers no x; its slope is not needed, only kept from dividing by zero.
    tiny = 1e-6
    safe_run = torch.where(run.abs() < tiny, torch.where(run < 0, -tiny, tiny).to(run), run)
    start_x = torch.maximum(torch.minimum(x, half_x), -half_x)  # (..., 4) where each side enters |x| <= X
    end_x = torch.maximum(torch.minimum(next_x, half_x), -half_x)
    start_y = y + ((start_x - x) / safe_run).clamp(0, 1) * rise
    end_y = y + ((end_x - x) / safe_run).clamp(0, 1) * rise
    # Any constant may be taken off, since the sides close; the centre keeps small boxes in large ones exact.
    level = centre_y.detach().unsqueeze(-1)
    level = torch.maximum(torch.minimum(level, half_y), -half_y).detach()
    mean = _mean_of_clamped(start_y - level, end_y - level, -half_y - level, half_y - level)  # (..., 4)
    return -(mean * (end_x - start_x)).sum(-1)


def _mean_of_clamped(start: Tensor, end: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """Return the mean of a quantity that goes evenly from `start` to `end` and is cut to [least, most]."""
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    span = (high - low).clamp(min=1e-6)
    below = ((least - low) / span).clamp(0, 1)  # share of the way that is cut at `least`
    above = ((high - most) / span).clamp(0, 1)
    middle = (torch.maximum(torch.minimum(low, most), least) + torch.maximum(torch.minimum(high, most), least)) / 2
    return below * least + above * most + (1 - below - above) * middle


def diff_iou_rotated_2d(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Overlaps of pairs of boxes, with gradients to both.

    Args:
        boxes1: (..., 5) rotated boxes.
        boxes2: (..., 5) rotated boxes.

    Returns:
        (...) IoU.
    """
    common = intersection_area(boxes1, boxes2)
    union = boxes1[..., 2] * boxes1[..., 3] + boxes2[..., 2] * boxes2[..., 3] - common
    return common / union.clamp(min=torch.finfo(union.dtype).eps)


@torch.no_grad()
def box_iou_rotated(
    bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', aligned: bool = False, clockwise: bool = True
) -> Tensor:
    """Overlaps of boxes; those of pairs too far apart to touch are not computed.

    Args:
        bboxes1: (N, 5) rotated boxes.
        bboxes2: (M, 5) rotated boxes.
        mode: 'iou', or 'iof': the share of a box of `bboxes1` that is covered.
        aligned: compare row by row, with N = M.
        clockwise: whether positive angles turn clockwise; all must turn the same way.

    Returns:
        (N, M), or (N,) if `aligned`, within [0, 1]; 0 for boxes without area.
    """
    if mode not in _MODES:
        raise ValueError(f'mode of box_iou_rotated is {mode!r}, allowed are {_MODES}')
    if aligned and len(bboxes1) != len(bboxes2):
        raise ValueError(f'box_iou_rotated compares row by row, but there are {len(bboxes1)} and {len(bboxes2)} boxes')
    dtype = torch.promote_types(bboxes1.dtype, torch.float32)
    bboxes1, bboxes2 = bboxes1.to(dtype), bboxes2.to(dtype)
    if not clockwise:
        bboxes1, bboxes2 = (torch.cat((boxes[:, :4], -boxes[:, 4:]), dim=1) for boxes in (bboxes1, bboxes2))
    if aligned:
        return aligned_overlaps(bboxes1, bboxes2, mode)
    overlaps = bboxes1.new_zeros(len(bboxes1), len(bboxes2))  # (N, M)
    rows = max((1 << 22) // max(len(bboxes2), 1), 1)
    for start in range(0, len(bboxes1), rows):
        part = bboxes1[start : start + rows]
        row, column = may_touch(part[:, None], bboxes2).nonzero(as_tuple=True)
        overlaps[start + row, column] = aligned_overlaps(part, bboxes2, mode, row, column)
    return overlaps


def may_touch(first: Tensor, second: Tensor) -> Tensor:
    """Return whether the circles around boxes (..., 5) overlap, and both have an area; broadcast."""
    reach = (first[..., 2:4].norm(dim=-1) + second[..., 2:4].norm(dim=-1)) / 2
    near = (first[..., 0] - second[..., 0]).square() + (first[..., 1] - second[..., 1]).square() < reach.square()
    return near & (first[..., 2] * first[..., 3] > 0) & (second[..., 2] * second[..., 3] > 0)


def aligned_overlaps(
    first: Tensor, second: Tensor, mode: str = 'iou', first_index: Tensor = None, second_index: Tensor = None
) -> Tensor:
    """Overlaps of pairs, a bounded number at a time.

    Args:
        first: (N, 5) rotated boxes.
        second: (M, 5) rotated boxes.
        mode: see `box_iou_rotated`.
        first_index: (K,) boxes of `first` in the pairs; None pairs row by row.
        second_index: (K,) boxes of `second` in the pairs.

    Returns:
        (K,) within [0, 1].
    """
    count = len(first) if first_index is None else len(first_index)
    size = PAIRS_ON_CPU if first.device.type == 'cpu' else PAIRS_ON_DEVICE
    parts = []
    for start in range(0, count, size):
        window = slice(start, start + size)
        one = first[window if first_index is None else first_index[window]]
        other = second[window if second_index is None else second_index[window]]
        area, other_area = one[:, 2] * one[:, 3], other[:, 2] * other[:, 3]  # (k,) each
        # (k,) Rounding may put the area a little over that of the smaller box.
        common = torch.minimum(intersection_area(one, other).clamp(min=0), torch.minimum(area, other_area))
        base = area if mode == 'iof' else area + other_area - common
        valid = (area > 0) & (other_area > 0)
        parts.append(torch.where(valid, common / base.clamp(min=torch.finfo(base.dtype).smallest_normal), 0.0))
    return torch.cat(parts) if parts else first.new_zeros(0)
