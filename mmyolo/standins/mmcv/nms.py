"""Non-maximum suppression of a whole batch, exact, without compiled code.

Greedy suppression goes through the candidates of an image from the highest score to the lowest, at equal scores from
the lowest index, and keeps a candidate unless its IoU with one of its class that was kept before exceeds the
threshold. IoU is intersection / (area + area - intersection) in the boxes' precision, at least float32. A box without
area, or with swapped corners, overlaps nothing.

Here candidates are ranked, then taken in chunks: what earlier boxes suppress leaves a chunk, a block at its front is
decided, what the block's kept boxes suppress leaves the chunk, and so on. The work ends once every image has as many
boxes as it may keep; on a CPU, where an image may keep any number of many candidates, each class is worked on by
itself. Pairs are compared a bounded number at a time, in floats only, because operations that make booleans are ten
times slower on a CPU.

`batched_nms` leaves torchvision's operator alone: that has no classes, which shifted boxes imitate at the price of
rounding, and does not stop when enough is kept.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .rotated_iou import aligned_overlaps, may_touch
from .torchvision_nms import torchvision_nms

BLOCK = 256  # candidates decided at once
FIRST_CHUNK = 512  # each further chunk is twice as long, since few images need more
MANY = 4096  # candidates of an image from which on it pays to part them by class
HEAD = 2048  # candidates ranked first on a CPU, where sorting 30,000 takes longer than suppression
PAIRS_ON_CPU = 1 << 17  # compared at once; they stay in the cache
PAIRS_ON_DEVICE = 1 << 23  # about 100 MB


@torch.no_grad()
def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    image_ids: Tensor,
    num_images: int,
    iou_threshold: float,
    max_per_img: int = -1,
    nms_pre: int = -1,
    class_agnostic: bool = False,
) -> list[Tensor]:
    """Suppress the candidates of all images of a batch in one go.

    Args:
        boxes: (N, 4) xyxy or (N, 5) rotated, the candidates of all images, in any order.
        scores: (N,).
        labels: (N,) class indices; candidates of different classes do not suppress each other.
        image_ids: (N,) int64, which image a candidate belongs to, 0 to num_images - 1.
        num_images: B, images in the batch.
        iou_threshold: a candidate whose IoU with a kept one is larger goes; from 0 to 1.
        max_per_img: how many candidates an image keeps at most; negative for no limit.
        nms_pre: how many candidates of an image, from the highest score on, take part; negative for all.
        class_agnostic: whether candidates of different classes suppress each other too.

    Returns:
        For each image the indices (n,) int64 of its kept candidates among the N, highest score first.
    """
    labels = None if class_agnostic else labels
    # Coordinates in rows, so that each is contiguous; classes in a row of their own instead of shifted boxes.
    columns, iou = (
        (_rotated_columns(boxes, labels), _rotated_iou) if boxes.shape[1] == 5 else (_columns(boxes, labels), _iou)
    )
    if boxes.device.type != 'cpu':
        ranking = _rank_together(scores, image_ids, num_images, nms_pre)
        return _suppress(columns, [ranking], iou_threshold, max_per_img, iou)
    kept = []
    for members in _members(image_ids, num_images):
        rankings = _rank_lazily(scores, members, nms_pre)
        if max_per_img < 0 and labels is not None and len(members) > MANY:
            kept.append(_suppress_by_class(columns, labels, torch.cat(list(rankings), dim=1)[0], iou_threshold, iou))
        else:
            kept += _suppress(columns, rankings, iou_threshold, max_per_img, iou)
    return kept


@torch.no_grad()
def nms_rotated(boxes: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    """Suppress the rotated candidates of one image.

    Args:
        boxes: (N, 5) centre x, y, width, height in pixels, clockwise angle in radians.
        scores: (N,).
        iou_threshold: a candidate whose IoU with a kept one is larger goes; from 0 to 1.
        labels: (N,) candidates of different classes do not suppress each other; None for one class.

    Returns:
        Indices (n,) int64 of the kept candidates, highest score first.
    """
    images = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    return batched_nms(boxes, scores, labels, images, 1, iou_threshold, class_agnostic=labels is None)[0]


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Suppress the candidates of one image and class, by torchvision's operator where it works.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,).
        iou_threshold: a candidate whose IoU with a kept one is larger goes; from 0 to 1.
        offset: the width of a box is x2 - x1 + offset, likewise its height.

    Returns:
        Indices (n,) int64 of the kept candidates, highest score first.
    """
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    compiled = torchvision_nms()
    if compiled is not None:
        return compiled(boxes, scores, iou_threshold)
    members = torch.arange(len(scores), device=scores.device)
    return _suppress(_columns(boxes), _rank_lazily(scores, members), iou_threshold)[0]


@torch.no_grad()
def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU as suppression computes it.

    Args:
        first: (N, 4) xyxy.
        second: (M, 4) xyxy.

    Returns:
        (N, M).
    """
    return _iou(_columns(first)[:, :-1], _columns(second)[:, :-1])


def _columns(boxes: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return what `_iou` reads.

    Returns:
        (5 or 6, N + 1) rows x1, y1, x2, y2, area and, if labels are given, a number that is equal within a class and
        farther apart between classes than any two boxes are. The last column is zero and stands for no candidate.
    """
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    # An infinite side would make the distance of classes infinite for all boxes; boxes that are nan have no area.
    boxes = boxes.nan_to_num(nan=0.0, posinf=1e15, neginf=-1e15)
    columns = boxes.new_zeros((5 if labels is None else 6, len(boxes) + 1))
    columns[:4, :-1] = boxes.T
    columns[4] = (columns[2] - columns[0]) * (columns[3] - columns[1])
    if labels is not None:
        columns[5, :-1] = labels * (2 * (columns[2].max() - columns[0].min()) + 1)
    return columns


def _rotated_columns(boxes: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return what `_rotated_iou` reads.

    Returns:
        (6, N + 1) rows x, y, width, height, angle, class. The last column is zero and stands for no candidate.
    """
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    columns = boxes.new_zeros((6, len(boxes) + 1))
    columns[:5, :-1] = boxes.T
    if labels is not None:
        columns[5, :-1] = labels
    return columns


def _members(image_ids: Tensor, num_images: int) -> Iterable[Tensor]:
    """Return indices of the candidates of each image, ascending."""
    if bool((image_ids[1:] >= image_ids[:-1]).all()):
        order = torch.arange(len(image_ids))
    else:
        order = image_ids.argsort(stable=True)
    return order.split(torch.bincount(image_ids, minlength=num_images).tolist())


def _rank_lazily(scores: Tensor, members: Tensor, limit: int = -1) -> Iterator[Tensor]:
    """Rank one image's candidates, the best first and the rest only if it is asked for.

    Yields:
        (1, m) indices from the highest score on, at least once; altogether at most `limit` if that is not negative.
    """
    scores = scores[members]  # (m,)
    limit = len(members) if limit < 0 else min(limit, len(members))
    in_head = torch.ones_like(scores, dtype=torch.bool)
    if len(members) > 2 * HEAD:
        # all that tie with the last of the head are in it, so the order stays that of a stable sort
        in_head = scores >= scores.topk(HEAD)[0][-1]
    for part in (in_head, ~in_head):
        place = part.nonzero()[:, 0]
        order = place[scores[place].argsort(descending=True, stable=True)][:limit]
        limit -= len(order)
        yield members[order][None]


def _rank_together(scores: Tensor, image_ids: Tensor, num_images: int, limit: int = -1) -> Tensor:
    """Rank all images' candidates with two sorts.

    Returns:
        (B, m) indices from the highest score on, N where an image has fewer than m candidates; m is at most `limit` if
        that is not negative.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[image_ids[order].argsort(stable=True)]
    count = torch.bincount(image_ids, minlength=num_images)  # (B,)
    rank = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[image_ids[order]]
    ranking = order.new_full((num_images, int(count.max())), len(order))  # (B, m)
    ranking[image_ids[order], rank] = order
    return ranking if limit < 0 else ranking[:, :limit]


def _suppress(
    columns: Tensor,
    rankings: Iterable[Tensor],
    iou_threshold: float,
    max_per_img: int = -1,
    iou: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """Go through the ranked candidates of B images.

    Args:
        columns: (5 or 6, N + 1), what `iou` reads.
        rankings: one or more of (B, m) indices, N stands for no candidate.
        iou_threshold: see `batched_nms`.
        max_per_img: see `batched_nms`.
        iou: `_iou` or `_rotated_iou`; None is `_iou`.

    Returns:
        Per image the indices of its kept candidates.
    """
    iou = iou or _iou
    nobody = columns.shape[1] - 1
    limit = max_per_img if max_per_img >= 0 else nobody
    kept = None
    for chunk in _chunks(rankings):
        if kept is None:
            kept = chunk[:, :0]
        before = kept
        while True:
            unfinished = (kept != nobody).sum(1, keepdim=True) < limit  # (B, 1) images that may keep more
            if not unfinished.any():
                return [row[row != nobody][:limit] for row in kept]
            # (B, m) Only boxes that were kept last are new to the chunk: earlier ones have been compared with it.
            suppressed = _hit(columns, before, chunk, iou_threshold, iou)
            chunk = _pack(chunk, (chunk != nobody) & unfinished & ~suppressed, nobody)
            if chunk.shape[1] == 0:
                break
            # The best of the chunk are settled among themselves; what they suppress goes in the next round.
            block, chunk = chunk[:, :BLOCK], chunk[:, BLOCK:]
            before = _pack(block, _select(columns, block, iou_threshold, iou), nobody)
            kept = torch.cat([kept, before], dim=1)
            kept = _pack(kept, kept != nobody, nobody)
    return [row[row != nobody][:limit] for row in kept]


def _suppress_by_class(columns: Tensor, labels: Tensor, ranking: Tensor, iou_threshold: float, iou: Callable) -> Tensor:
    """Go through the candidates of one image class by class, without a limit.

    Args:
        columns: what `iou` reads.
        labels: (N,) classes.
        ranking: (m,) indices, the best first.
        iou_threshold: see `batched_nms`.
        iou: `_iou` or `_rotated_iou`.

    Returns:
        Indices of the kept candidates, the best first.
    """
    order = labels[ranking].argsort(stable=True)
    by_class = ranking[order]
    counts = labels[by_class].unique_consecutive(return_counts=True)[1].tolist()
    kept = [_suppress(columns, [part[None]], iou_threshold, iou=iou)[0] for part in by_class.split(counts)]
    is_kept = torch.zeros(columns.shape[1], dtype=torch.bool)
    is_kept[torch.cat([ranking[:0], *kept])] = True
    return ranking[is_kept[ranking]]


def _chunks(rankings: Iterable[Tensor]) -> Iterator[Tensor]:
    size = FIRST_CHUNK
    for ranking in rankings:
        yield ranking[:, :size]
        start, size = size, 2 * size
        while start < ranking.shape[1]:
            yield ranking[:, start : start + size]
            start, size = start + size, 2 * size


def _pack(ranking: Tensor, chosen: Tensor, nobody: int) -> Tensor:
    """Move the chosen ones of (B, m) to the front of each row, in order, and cut what no row needs."""
    if len(ranking) == 1:
        return ranking[chosen][None]
    rank = chosen.cumsum(1) - 1
    row, column = chosen.nonzero(as_tuple=True)
    packed = ranking.new_full((len(ranking), int(rank[:, -1:].max()) + 1 if rank.numel() else 0), nobody)
    packed[row, rank[row, column]] = ranking[row, column]
    return packed


def _hit(columns: Tensor, kept: Tensor, candidates: Tensor, iou_threshold: float, iou: Callable) -> Tensor:
    """Return which of (B, m) candidates one of (B, n) kept boxes suppresses, (B, m) bool."""
    if kept.shape[1] == 0 or candidates.shape[1] == 0:
        return torch.zeros_like(candidates, dtype=torch.bool)
    pairs = PAIRS_ON_CPU if columns.device.type == 'cpu' else PAIRS_ON_DEVICE
    kept_columns = columns[:, kept]  # (R, B, n)
    largest = [
        iou(kept_columns, columns[:, part]).amax(1) for part in candidates.split(max(pairs // kept.numel(), 1), dim=1)
    ]
    return torch.cat(largest, dim=1) > iou_threshold


def _select(columns: Tensor, block: Tensor, iou_threshold: float, iou: Callable) -> Tensor:
    """Return which of (B, m) ranked candidates are kept among themselves, (B, m) bool."""
    candidate = block != columns.shape[1] - 1
    block_columns = columns[:, block]  # (R, B, m)
    overlaps = iou(block_columns, block_columns).triu_(1)  # (B, m, m), row before column
    kept = candidate
    while True:
        # the first k + 1 are right after round k, so this ends, in practice after a few rounds
        again = candidate & ((overlaps * kept.unsqueeze(-1)).amax(1) <= iou_threshold)
        if torch.equal(again, kept):
            return kept
        kept = again


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """(R, ..., n) and (R, ..., m) columns -> (..., n, m); 0 for boxes of different classes."""
    first, second = first.unsqueeze(-1), second.unsqueeze(-2)
    width = torch.minimum(first[2], second[2]).sub_(torch.maximum(first[0], second[0]))
    if len(first) == 6:
        width.sub_(torch.sub(first[5], second[5]).abs_())  # below 0 where classes differ
    height = torch.minimum(first[3], second[3]).sub_(torch.maximum(first[1], second[1]))
    intersection = width.clamp_(min=0).mul_(height.clamp_(min=0))
    union = torch.add(first[4], second[4], out=height).sub_(intersection)
    return intersection.div_(union.clamp_(min=torch.finfo(union.dtype).smallest_normal))


def _rotated_iou(first: Tensor, second: Tensor) -> Tensor:
    """(6, B, n) and (6, B, m) columns -> (B, n, m); 0 for boxes of different classes."""
    # (B, n, m) The exact overlap is costly, so it is computed only of boxes whose circles touch.
    possible = may_touch(first[:5].movedim(0, -1).unsqueeze(2), second[:5].movedim(0, -1).unsqueeze(1))
    possible &= first[5].unsqueeze(-1) == second[5].unsqueeze(-2)
    image, row, column = possible.nonzero(as_tuple=True)  # (k,) each
    overlaps = first.new_zeros(possible.shape)
    overlaps[image, row, column] = aligned_overlaps(first[:5, image, row].T, second[:5, image, column].T)
    return overlaps
