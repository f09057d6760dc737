"""From the raw maps of a dense YOLO head to boxes, for a whole batch at once; every head predicts through here.

Boxes are horizontal, four numbers, or rotated, five; the second kind is never clamped.

The definition, per image: sigmoid scores, times objectness where there is one; of each prior the classes, or the best
class, above `score_thr`; the best `nms_pre` of those; boxes mapped to the original image; those with both sides above
`min_bbox_size`; NMS; the best `max_per_img`; boxes clamped to the image.

The work: logits are compared first, so that only priors that can yield a box are gathered, activated and decoded, and
all images share one NMS. Nothing loops over images or boxes and nothing is changed in place, so that gradients flow. A
device is waited for only where a number of results must be known: once per level, for the scores, and in NMS.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import torch
from mmcv.ops import batched_nms as mmcv_batched_nms
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo.standins.mmcv.nms import batched_nms
from mmyolo.standins.mmrotate.structures.rotated_boxes import rescale_rotated

# Rounding a logit or the threshold to half precision moves either by less than this, relative to its size. Scores
# are compared with the threshold itself afterwards.
_LOGIT_SLACK = 0.01


class Detections(NamedTuple):
    """Boxes of one image, best first."""

    bboxes: Tensor
    """(n, 4) xyxy in pixels, or (n, 5) rotated boxes."""
    scores: Tensor
    """(n,) in (0, 1)."""
    labels: Tensor
    """(n,) int64."""
    priors: Tensor
    """(n,) int64, the prior each box comes from, counted over levels, rows, columns and anchors."""

    def instances(self, **more: Any) -> InstanceData:
        """Return `bboxes`, `scores` and `labels`, and `more` values of each box, which come in place of the former."""
        return InstanceData(**{**{'bboxes': self.bboxes, 'scores': self.scores, 'labels': self.labels}, **more})


@dataclass(frozen=True)
class BatchDetections:
    """Boxes of a batch in a few flat tensors, by image and best first.

    Attributes:
        bboxes, scores, labels, priors: as in `Detections`, of all images.
        images: (n,) int64, ascending, the image of each box.
        batch_size: images in the batch.
    """

    bboxes: Tensor
    scores: Tensor
    labels: Tensor
    priors: Tensor
    images: Tensor
    batch_size: int

    def __getitem__(self, keep) -> 'BatchDetections':
        return self._apply(lambda tensor: tensor[keep])

    def to(self, device: torch.device) -> 'BatchDetections':
        """Move the boxes, which costs five copies however many images there are."""
        return self._apply(lambda tensor: tensor.to(device))

    def split(self) -> list[Detections]:
        """Return the boxes of each image."""
        counts = self.counts()
        fields = (self.bboxes, self.scores, self.labels, self.priors)
        return [Detections(*image) for image in zip(*(field.split(counts) for field in fields))]

    def counts(self) -> list[int]:
        """Return the number of boxes of each image."""
        return torch.bincount(self.images, minlength=self.batch_size).tolist()

    def _apply(self, change: Callable[[Tensor], Tensor]) -> 'BatchDetections':
        fields = (self.bboxes, self.scores, self.labels, self.priors, self.images)
        return BatchDetections(*map(change, fields), self.batch_size)


def detect(
    cls_scores: Sequence[Tensor],
    bbox_preds: Sequence[Tensor],
    objectnesses: Sequence[Tensor] | None,
    mlvl_priors: Sequence[Tensor],
    strides: Sequence[int],
    decode: Callable[[Tensor, Tensor, Tensor], Tensor],
    batch_img_metas: Sequence[dict],
    cfg: Mapping,
    rescale: bool = True,
    with_nms: bool = True,
    clamp: bool = True,
) -> BatchDetections:
    """Predict the boxes of a batch.

    Args:
        cls_scores: per level (B, A * C, H, W) or (B, A, C, H, W) logits of A anchors and C classes.
        bbox_preds: per level (B, A * D, H, W) or (B, A, D, H, W), what `decode` makes boxes of.
        objectnesses: per level (B, A, H, W) or (B, A, 1, H, W) logits, or None for a head without.
        mlvl_priors: per level (H * W * A, 2 or 4) points or anchors by row, column, anchor.
        strides: stride of each level.
        decode: (priors (M, 2 or 4), predictions (1, M, D), strides (M,)) -> boxes in input pixels, (1, M, 4) xyxy or
            (1, M, 5) rotated.
        batch_img_metas: per image `ori_shape` (height, width); to rescale also `scale_factor` (width, height) and, if
            the image was padded at its top or left, `pad_param` (top, bottom, left, right).
        cfg: `multi_label` (False: one box per prior), `score_thr` (-1), `nms_pre` (100000), `min_bbox_size` (-1), `nms`
            (None: no suppression), `max_per_img` (-1: all), `yolox_style` (False; True lifts `max_per_img`).
        rescale: return boxes in pixels of the original images, else of the input.
        with_nms: False returns what would enter NMS.
        clamp: clamp boxes to the original images.

    Returns:
        The boxes.
    """
    first_priors = accumulate(map(len, mlvl_priors), initial=0)
    levels = zip(cls_scores, bbox_preds, objectnesses or repeat(None), mlvl_priors, strides, first_priors)
    possible = [_possible(*level, cfg.get('score_thr', -1)) for level in levels]
    boxes = _decide(possible, decode, cfg, len(cls_scores[0]))
    nms_pre = cfg.get('nms_pre', 100000)
    nms = cfg.get('nms') if with_nms else None
    min_bbox_size = cfg.get('min_bbox_size', -1)
    if rescale:
        boxes = _rescale(boxes, batch_img_metas)
    if nms is None or min_bbox_size >= 0 or not _is_greedy(nms):
        boxes = _cap(_best_first(boxes), nms_pre)  # else NMS ranks them, and only as far as it must
    if min_bbox_size >= 0:
        boxes = boxes[(_sides(boxes.bboxes) > min_bbox_size).all(1)]
    if with_nms:
        max_per_img = -1 if cfg.get('yolox_style', False) else cfg.get('max_per_img', -1)
        boxes = _cap(boxes, max_per_img) if nms is None else _suppress(boxes, nms, nms_pre, max_per_img)
    return _clamp(boxes, batch_img_metas) if clamp and not _are_rotated(boxes.bboxes) else boxes


class _Possible(NamedTuple):
    """Priors of one level that can yield a box, K in all, by image."""

    scores: Tensor
    """(K, C) scores, objectness included."""
    preds: Tensor
    """(K, D) box predictions."""
    priors: Tensor
    """(K, 2 or 4) points or anchors."""
    strides: Tensor
    """(K,) strides."""
    indices: Tensor
    """(K,) indices of the priors, counted over the levels."""
    images: Tensor
    """(K,) indices of their images."""


def _possible(
    cls_score: Tensor,
    bbox_pred: Tensor,
    objectness: Tensor | None,
    priors: Tensor,
    stride: int,
    first_prior: int,
    score_thr: float,
) -> _Possible:
    """Gather the priors of one level whose logits do not rule out a score above the threshold."""
    batch_size, (height, width) = len(cls_score), cls_score.shape[-2:]
    cells = height * width
    anchors = len(priors) // cells
    cls_score, bbox_pred = (
        maps.reshape(batch_size, anchors, maps.shape[1:-2].numel() // anchors, cells) for maps in (cls_score, bbox_pred)
    )
    least = _least_logit(score_thr)
    if objectness is None:
        mask = cls_score.detach().amax(2) > least  # (B, A, H * W)
    else:
        # One map instead of one per class, and nearly as selective.
        objectness = objectness.reshape(batch_size, anchors, cells)
        mask = objectness.detach() > least
    # (K,) each, by image, cell and anchor: the order in which priors are counted.
    image, cell, anchor = mask.transpose(1, 2).nonzero().unbind(1)

    scores = _sigmoid(cls_score[image, anchor, :, cell])  # (K, C)
    if objectness is not None:
        scores = scores * _sigmoid(objectness[image, anchor, cell])[:, None]
    place = cell * anchors + anchor  # (K,)
    strides = priors.new_full((len(place),), stride)
    preds = bbox_pred[image, anchor, :, cell].float()  # (K, D)
    return _Possible(scores, preds, priors[place], strides, place + first_prior, image)


def _sigmoid(logits: Tensor) -> Tensor:
    """Return scores in single precision that do not depend on where in the tensor a logit stands.

    On a CPU the last elements of a tensor take another code path than the others and may end in another last bit;
    computed in double precision, both round to the same number.
    """
    return logits.double().sigmoid().float() if logits.device.type == 'cpu' else logits.float().sigmoid()


def _least_logit(score_thr: float) -> float:
    """Return a logit just below that of the threshold; a product of scores is above the threshold only if both are."""
    if not 0 < score_thr < 1:
        return -math.inf if score_thr <= 0 else math.inf
    logit = math.log(score_thr / (1 - score_thr))
    return logit - _LOGIT_SLACK * max(1, abs(logit))


def _decide(levels: Sequence[_Possible], decode: Callable, cfg: Mapping, batch_size: int) -> BatchDetections:
    """Make a box of each score above the threshold, or of the best score of each prior; by level and image."""
    scores, preds, priors, strides, indices, images = map(torch.cat, zip(*levels))
    score_thr = cfg.get('score_thr', -1)
    if cfg.get('multi_label', False) and scores.shape[1] > 1:
        # A prior makes a box of each class above the threshold: (n,) priors and classes.
        row, labels = (scores > score_thr).nonzero().unbind(1)
        scores = scores[row, labels]
    else:
        scores, labels = scores.max(1)
        row = (scores > score_thr).nonzero().squeeze(1)
        scores, labels = scores[row], labels[row]
    bboxes = decode(priors, preds[None], strides)[0]  # (K, 4 or 5), each prior once however many classes it has
    return BatchDetections(bboxes[row], scores, labels, indices[row], images[row], batch_size)


def _best_first(boxes: BatchDetections) -> BatchDetections:
    """Order by image and descending score; equal scores keep the order of priors and classes."""
    order = boxes.scores.detach().argsort(descending=True, stable=True)  # two stable sorts: by score, then by image
    return boxes[order[boxes.images[order].argsort(stable=True)]]


def _cap(boxes: BatchDetections, limit: int) -> BatchDetections:
    """Keep the first `limit` boxes of each image, all if it is negative."""
    if limit < 0 or len(boxes.scores) <= limit:
        return boxes
    count = torch.bincount(boxes.images, minlength=boxes.batch_size)  # (B,)
    # (n,) place of a box within its image: its place in the batch, less the boxes of the images before.
    rank = torch.arange(len(boxes.images), device=count.device) - (count.cumsum(0) - count)[boxes.images]
    return boxes[rank < limit]


def _are_rotated(bboxes: Tensor) -> bool:
    """Return whether boxes have five numbers."""
    return bboxes.shape[-1] == 5


def _sides(bboxes: Tensor) -> Tensor:
    """(n, 4 or 5) boxes -> (n, 2) widths and heights."""
    return bboxes[:, 2:4] if _are_rotated(bboxes) else bboxes[:, 2:] - bboxes[:, :2]


def _is_greedy(nms: Mapping) -> bool:
    """Return whether a config asks for greedy NMS, which `mmyolo.standins.mmcv` does for a whole batch."""
    options = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
    return nms.get('type', 'nms') in ('nms', 'nms_rotated') and set(nms) <= options


def _suppress(boxes: BatchDetections, nms: Mapping, nms_pre: int, max_per_img: int) -> BatchDetections:
    """Run NMS within each class of each image, or within each image if `nms` is `class_agnostic`."""
    if _is_greedy(nms):
        kept = batched_nms(
            boxes.bboxes.detach(),
            boxes.scores.detach(),
            boxes.labels,
            boxes.images,
            boxes.batch_size,
            nms['iou_threshold'],
            max_per_img=max_per_img,
            nms_pre=nms_pre,
            class_agnostic=nms.get('class_agnostic', False),
        )
        return boxes[torch.cat([boxes.images[:0], *kept])]  # there may be no image
    # Other kinds of NMS, such as soft_nms, change scores and know nothing of images.
    kept, scores = [], []
    for members in torch.arange(len(boxes.images), device=boxes.images.device).split(boxes.counts()):
        if not len(members):  # mmcv fails without boxes
            continue
        one = boxes[members]
        dets, keep = mmcv_batched_nms(one.bboxes, one.scores, one.labels, nms)
        kept.append(members[keep])
        scores.append(dets[:, -1])
    kept, scores = torch.cat([boxes.images[:0], *kept]), torch.cat([boxes.scores[:0], *scores])
    return _cap(replace(boxes[kept], scores=scores), max_per_img)


def _rescale(boxes: BatchDetections, batch_img_metas: Sequence[dict]) -> BatchDetections:
    """Map boxes from the padded and resized input to the original image."""
    shift, scale = (part[boxes.images] for part in input_frames(batch_img_metas, boxes.bboxes))  # (n, 2) each
    if _are_rotated(boxes.bboxes):
        moved = torch.cat((boxes.bboxes[:, :2] - shift, boxes.bboxes[:, 2:]), dim=1)
        return replace(boxes, bboxes=rescale_rotated(moved, 1 / scale))
    shift, scale = shift.repeat(1, 2), scale.repeat(1, 2)
    return replace(boxes, bboxes=(boxes.bboxes - shift) / scale)


def input_frames(batch_img_metas: Sequence[dict], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the original images lie in the input: a point p of the input is (p - shift) / scale of the original.

    Args:
        batch_img_metas: see `detect`.
        like: a tensor of the type and device to return.

    Returns:
        Shifts (B, 2) x, y in input pixels, and scales (B, 2).
    """
    frames = []
    for meta in batch_img_metas:
        padding = meta.get('pad_param')
        top, _, left, _ = (0, 0, 0, 0) if padding is None else padding
        frames.append((left, top, *meta['scale_factor']))
    return like.new_tensor(frames).reshape(-1, 4).split(2, dim=1)


def clamp_to_image(bboxes: Tensor, meta: dict) -> Tensor:
    """Clamp boxes (n, 4) of one image to `ori_shape` of its meta information."""
    height, width = meta['ori_shape'][:2]
    return torch.minimum(bboxes.clamp(min=0), bboxes.new_tensor([width, height] * 2))


def _clamp(boxes: BatchDetections, batch_img_metas: Sequence[dict]) -> BatchDetections:
    """Clamp boxes to the original image."""
    sizes = boxes.bboxes.new_tensor([(meta['ori_shape'][1], meta['ori_shape'][0]) for meta in batch_img_metas])
    sizes = sizes.reshape(-1, 2)[boxes.images].repeat(1, 2)
    return replace(boxes, bboxes=torch.minimum(boxes.bboxes.clamp(min=0), sizes))
