"""Steps that assigners share: which points lie in a box, who gets a point that several boxes want, plain IoU."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def select_candidates_in_gts(priors_points: Tensor, gt_bboxes: Tensor, eps: float = 1e-9) -> Tensor:
    """Mark the points that lie inside a box.

    Args:
        priors_points: (N, 2) points x, y.
        gt_bboxes: (B, G, 4) boxes, xyxy.
        eps: least distance of a point to every side.

    Returns:
        (B, G, N) 1 where the point lies inside the box, else 0, of the boxes' type.
    """
    x, y = priors_points[:, 0], priors_points[:, 1]  # (N,) each
    x1, y1, x2, y2 = gt_bboxes[..., None].unbind(-2)  # (B, G, 1) each
    horizontal = torch.minimum(x - x1, x2 - x)  # (B, G, N) to the nearer of both sides, negative outside
    vertical = torch.minimum(y - y1, y2 - y)  # (B, G, N)
    return (torch.minimum(horizontal, vertical) > eps).to(gt_bboxes.dtype)


def select_highest_overlaps(pos_mask: Tensor, overlaps: Tensor, num_gt: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give every prior that several boxes claim to the box it overlaps most, claimant or not.

    Args:
        pos_mask: (B, G, N) 1 where the box claims the prior.
        overlaps: (B, G, N) overlaps of boxes and priors.
        num_gt: G.

    Returns:
        (B, N) index of the box of each prior (0 for background), (B, N) how many boxes the prior has (0 or 1),
        (B, G, N) the claims that are left.
    """
    contested = pos_mask.sum(dim=-2, keepdim=True) > 1  # (B, 1, N)
    # (B, N) index of the best box -> (B, G, N), 1 at that box.
    best = F.one_hot(overlaps.argmax(dim=1), num_gt).transpose(1, 2).to(pos_mask.dtype)
    pos_mask = torch.where(contested, best, pos_mask)
    return pos_mask.argmax(dim=-2), pos_mask.sum(dim=-2), pos_mask


def resolve_contested(
    overlaps: Callable[[Tensor, Tensor], Tensor],
    places: Tensor,
    gts: Tensor,
    num_places: int,
    num_priors: int,
    num_gts: int,
) -> tuple[Tensor, Tensor]:
    """Leave every prior one box, as `select_highest_overlaps` does, where claims are pairs instead of a mask.

    Args:
        overlaps: (places, gts), which broadcast -> overlaps of those priors and boxes.
        places: (n,) claimed priors, counted over the images.
        gts: (n,) their boxes, counted over the images, padding included; no pair twice.
        num_places: priors of all images.
        num_priors: priors of an image.
        num_gts: boxes of an image, padding included.

    Returns:
        The pairs that are left: where several boxes claim a prior, the one of its image that it overlaps most.
    """
    claims = torch.bincount(places, minlength=num_places)  # (num_places,) boxes that claim each prior
    contested = (claims > 1).nonzero().squeeze(1)  # (Q,)
    # All boxes of the prior's image, whether they claimed it or not.
    rivals = (contested // num_priors * num_gts)[:, None] + torch.arange(num_gts, device=gts.device)  # (Q, G)
    winner = overlaps(contested[:, None], rivals).argmax(1, keepdim=True)  # (Q, 1)
    alone = claims[places] == 1  # (n,)
    return torch.cat((places[alone], contested)), torch.cat((gts[alone], rivals.gather(1, winner).squeeze(1)))


def yolov6_iou_calculator(bbox1: Tensor, bbox2: Tensor, eps: float = 1e-9) -> Tensor:
    """IoU of every box of one set with every box of another.

    Args:
        bbox1: (B, M, 4) boxes, xyxy.
        bbox2: (B, N, 4) boxes, xyxy.
        eps: what keeps the union from zero.

    Returns:
        (B, M, N) overlaps.
    """
    bbox1, bbox2 = bbox1.unsqueeze(2), bbox2.unsqueeze(1)  # (B, M, 1, 4), (B, 1, N, 4)
    area1, area2 = (_area(box[..., :2], box[..., 2:]) for box in (bbox1, bbox2))  # (B, M, 1), (B, 1, N)
    inter = _area(torch.maximum(bbox1[..., :2], bbox2[..., :2]), torch.minimum(bbox1[..., 2:], bbox2[..., 2:]))
    return inter / (area1 + area2 - inter + eps)


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    width, height = (bottom_right - top_left).clamp(min=0).unbind(-1)
    return width * height
