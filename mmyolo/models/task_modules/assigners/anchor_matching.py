"""Which anchors, in which cells, answer for which boxes in YOLOv5: by shape, in the box's cell and two neighbours.

All levels are matched at once. Unlike public mmyolo, a cell never lies outside its map: a box centred exactly on the
right or bottom edge belongs to the last cell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class AnchorMatches(NamedTuple):
    """Pairs of an anchor in a cell and a box, ordered by level, side, anchor, box; M in all.

    Where the same anchor of the same cell occurs twice, the later pair has the last word on its objectness.
    """

    counts: list[int]
    """Pairs per level."""
    level: Tensor
    """(M,) level."""
    anchor: Tensor
    """(M,) anchor within the level."""
    gt: Tensor
    """(M,) row of the box."""
    x: Tensor
    """(M,) column of the cell."""
    y: Tensor
    """(M,) row of the cell."""
    bboxes: Tensor
    """(M, 4) box in cells: centre relative to the cell's corner, width and height."""

    def gather(self, levels: Sequence[Tensor], images: Tensor) -> Tensor:
        """Take of maps what each anchor predicts.

        Args:
            levels: per level (B, A, C, H, W).
            images: (M,) image of each pair.

        Returns:
            (M, C) predictions.
        """
        # The pairs are ordered by level, so that each level is indexed once and its results join in the pairs' order.
        places = zip(*(part.split(self.counts) for part in (images, self.anchor, self.y, self.x)))
        return torch.cat([level[image, anchor, :, y, x] for level, (image, anchor, y, x) in zip(levels, places)])

    def hand_over(
        self, pairs: Tensor, gt: Tensor, gt_bboxes: Tensor, featmap_sizes: Sequence[tuple[int, int]]
    ) -> 'AnchorMatches':
        """Keep some pairs and give their anchors to other boxes.

        Args:
            pairs: (K,) ascending, which pairs to keep.
            gt: (K,) rows of their new boxes.
            gt_bboxes: see `match_anchors`.
            featmap_sizes: see `match_anchors`.
        """
        level, x, y = self.level[pairs], self.x[pairs], self.y[pairs]  # (K,) each
        sizes = gt_bboxes.new_tensor([(w, h) for h, w in featmap_sizes])[level]  # (K, 2) width, height of the map
        centre = gt_bboxes[gt, :2] * sizes - torch.stack((x, y), dim=-1)  # (K, 2) in cells, from the cell's corner
        bboxes = torch.cat((centre, gt_bboxes[gt, 2:] * sizes), dim=-1)  # (K, 4) in cells
        counts = torch.bincount(level, minlength=len(self.counts)).tolist()
        return AnchorMatches(counts, level, self.anchor[pairs], gt, x, y, bboxes)


def matches_of_targets(
    infos: Sequence[Tensor], targets: Sequence[Tensor], featmap_sizes: Sequence[tuple[int, int]]
) -> AnchorMatches:
    """Return matches from the lists that `BatchYOLOv7Assigner` returns.

    Args:
        infos: per level (n, 4) rows of image, anchor, column, row.
        targets: per level (n, 6 or more) rows of image, label, and box as parts of the input.
        featmap_sizes: see `match_anchors`.

    Returns:
        The matches; their `gt` counts the rows of all levels.
    """
    counts = [len(level) for level in infos]
    _, anchor, x, y = torch.cat(tuple(infos)).long().unbind(1)  # (M,) each
    level = torch.arange(len(counts), device=x.device).repeat_interleave(torch.tensor(counts, device=x.device))
    gt = torch.arange(len(x), device=x.device)  # each pair has its own row of `targets`
    none = AnchorMatches(counts, level, anchor, gt, x, y, bboxes=None)
    return none.hand_over(gt, gt, torch.cat(tuple(targets))[:, 2:6], featmap_sizes)


def match_anchors(
    gt_bboxes: Tensor,
    anchors: Tensor,
    featmap_sizes: Sequence[tuple[int, int]],
    sides: Tensor,
    shape_thr: float,
    neighbor_thr: float,
) -> AnchorMatches:
    """Match boxes with anchors.

    Args:
        gt_bboxes: (N, 4) centre x, centre y, width, height as parts of the input's width and height.
        anchors: (L, A, 2) widths and heights in cells of their level.
        featmap_sizes: height and width of the map of each level.
        sides: (5, 2) the cell itself and the steps x, y that lead to a centre from its left, upper, right and lower
            neighbour.
        shape_thr: a box matches an anchor when neither side is this many times longer or shorter.
        neighbor_thr: a neighbour joins when the centre is nearer than this many cells to it.

    Returns:
        The matches.
    """
    num_levels = len(anchors)
    sizes = anchors.new_tensor([(w, h) for h, w in featmap_sizes])[:, None]  # (L, 1, 2)
    centre, extent = gt_bboxes[:, :2] * sizes, gt_bboxes[:, 2:] * sizes  # (L, N, 2)

    ratio = extent[:, None] / anchors[:, :, None]  # (L, A, N, 2)
    fits = torch.maximum(ratio, 1 / ratio).amax(-1) < shape_thr  # (L, A, N)

    from_end = sizes - centre  # (L, N, 2) cells to the right and lower edge of the map
    # A neighbour joins where the centre is near the border between both cells and the neighbour is on the map.
    near_start = (centre % 1 < neighbor_thr) & (centre > 1)  # (L, N, 2): left, upper
    near_end = (from_end % 1 < neighbor_thr) & (from_end > 1)  # right, lower
    reached = torch.cat((torch.ones_like(near_start[..., :1]), near_start, near_end), dim=-1)  # (L, N, 5)
    reached = reached.transpose(1, 2)[:, :, None]  # (L, 5, 1, N)

    # (L, 5, A, N) -> (M,) each, in the order of level, side, anchor and box.
    level, side, anchor, gt = (fits[:, None] & reached).nonzero().unbind(1)
    centre = centre[level, gt]  # (M, 2)
    cell = (centre - sides[side] * neighbor_thr).long()  # (M, 2) column, row
    cell = torch.minimum(cell.clamp(min=0), sizes[level, 0].long() - 1)
    bboxes = torch.cat((centre - cell, extent[level, gt]), dim=-1)  # (M, 4)
    counts = torch.bincount(level, minlength=num_levels).tolist()
    return AnchorMatches(counts, level, anchor, gt, cell[:, 0], cell[:, 1], bboxes)
