"""The losses of ViDT (2110.03921) and ViDT+ (2204.07962), of all decoder levels at once."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from mmengine.dist import all_reduce
from torch import Tensor

from vidt.losses.focal import focal_loss_of_ones, focal_loss_of_zeros
from vidt.losses.mask_vectors import encode_masks
from vidt.losses.matcher import HungarianMatcher
from vidt.losses.token_label import token_losses

WEIGHTS = {
    'loss_ce': 2.0,
    'loss_bbox': 5.0,
    'loss_giou': 2.0,
    'loss_iouaware': 2.0,
    'loss_token_focal': 2.0,
    'loss_token_dice': 2.0,
    'loss_vector': 1.0,
    'loss_distil': 4.0,
}
BACKGROUND_WEIGHTS = {'loss_ce': 1.0}  # of the detector without neck, whose classification goes through softmax


@MODELS.register_module()
class ViDTCriterion:
    """Matches every level with the objects and computes the losses of what the outputs hold.

    It holds no parameters, so that files of weights have none of it.

    Args:
        num_classes: Classes without "no object".
        background: Whether the logits have a last class "no object" and go through softmax with cross-entropy, as in
            the detector without neck; else every class goes through sigmoid with the focal loss.
        weights: Weights that differ from those of `WEIGHTS`, by the name of the loss.
        matcher: Factors of `HungarianMatcher`, as far as they differ from its own.
        no_object_weight: Weight of "no object" in the cross-entropy.
        alpha: Weight of positives in the focal loss.
        vector_factor: Factor within the loss of the mask vectors.
        first_token_class: Output of a patch token for class 0, see `token_losses`; None for 1, or 0 where there is no
            output more than classes.
    """

    def __init__(
        self,
        num_classes: int,
        background: bool = False,
        weights: dict[str, float] | None = None,
        matcher: dict[str, float] | None = None,
        no_object_weight: float = 0.1,
        alpha: float = 0.25,
        vector_factor: float = 3.0,
        first_token_class: int | None = None,
    ) -> None:
        self.num_classes = num_classes
        self.background = background
        self.matcher = HungarianMatcher(background=background, alpha=alpha, **(matcher or {}))
        self.no_object_weight = no_object_weight
        self.alpha = alpha
        self.vector_factor = vector_factor
        self.first_token_class = first_token_class
        self._weights = {**WEIGHTS, **(BACKGROUND_WEIGHTS if background else {}), **(weights or {})}
        if unknown := self._weights.keys() - WEIGHTS:
            raise ValueError(f'weights: there is no loss {sorted(unknown)}; the losses are {list(WEIGHTS)}')

    def __call__(
        self, outputs: dict[str, Any], targets: Sequence[dict[str, Tensor]], canvas: tuple[int, int] | None = None
    ) -> dict[str, Tensor]:
        """Return the losses before their weights, and two numbers for the log.

        Args:
            outputs: `pred_logits` (B, N, K) and `pred_boxes` (B, N, 4) cxcywh in 0..1 of the last level; `aux`, a list
                of the same for the levels before it; perhaps `pred_ious` (B, N, 1) logits and `pred_vectors`
                (B, N, 256) at every level, and `enc_tokens`, a list of (B, h, w, outputs) logits.
            targets: For each image `labels` (n,) int64, `boxes` (n, 4) cxcywh in 0..1 of the image without padding and,
                for vectors and tokens, `masks` (n, h, w) bool of that image.
            canvas: Height and width of the padded batch; without it the largest image's.

        Returns:
            Scalars by their public names: those of the last level plain, of level i before it with `_i`. `class_error`
            (percent of matched queries) and `cardinality_error` (objects) are for the log, they have no weight.

        Raises:
            ValueError: There are vectors or tokens to learn and no masks, or too few outputs of a token.
        """
        levels = [*outputs.get('aux', ()), outputs]
        suffixes = [*(f'_{index}' for index in range(len(levels) - 1)), '']
        logits, boxes = (torch.stack([level[name] for level in levels]) for name in ('pred_logits', 'pred_boxes'))
        logits, boxes = (part if part.dtype == torch.float64 else part.float() for part in (logits, boxes))
        self._check_masks(outputs, targets)
        with torch.autocast(logits.device.type, enabled=False):
            pairs = Pairs(self.matcher(logits, boxes, targets), targets, logits.device)
            count = self._count_objects(targets, logits.device)
            of_levels = {'loss_ce': self._classification(logits, pairs, count), **box_losses(boxes, pairs, count)}
            overlaps = of_levels.pop('overlaps')
            if 'pred_ious' in outputs:
                ious = torch.stack([level['pred_ious'] for level in levels]).to(boxes)[..., 0]
                x = ious[pairs.where]
                # cross-entropy of the logits with the overlap, through which the boxes learn too
                of_levels['loss_iouaware'] = pairs.sum_levels(F.softplus(x) - x * overlaps) / count
            if 'pred_vectors' in outputs:
                vectors = torch.stack([level['pred_vectors'] for level in levels]).to(boxes)
                of_levels['loss_vector'] = self._vector_loss(vectors, pairs, targets)
            of_levels['cardinality_error'] = cardinality_error(logits.detach(), targets)
            losses = {
                f'{name}{end}': value for name, values in of_levels.items() for end, value in zip(suffixes, values)
            }
            losses['class_error'] = class_error(logits.detach(), pairs)
            if outputs.get('enc_tokens'):
                if canvas is None:
                    canvas = tuple(max(target['masks'].shape[axis] for target in targets) for axis in (1, 2))
                focal, dice = token_losses(outputs['enc_tokens'], targets, self._first_token_class(outputs), canvas)
                losses.update(loss_token_focal=focal / count, loss_token_dice=dice / count)
            if 'noised' in outputs:
                losses.update(self._denoising(outputs['noised'], targets, count))
        return losses

    def weights(self, names: Iterable[str]) -> dict[str, float]:
        """Return the weight of every loss among names, `loss_ce_3` that of `loss_ce`."""
        stems = {name: name.removesuffix(DENOISING).rstrip('0123456789').removesuffix('_') for name in names}
        return {name: self._weights[stem] for name, stem in stems.items() if stem in self._weights}

    def weighted(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses times their weights, and what says something in the log, as mmengine sums what is named `loss`.

        Without a background class every query has a class, so `cardinality_error` says nothing and is left out.
        """
        weights = self.weights(losses)
        return {
            name: value * weights[name] if name in weights else value
            for name, value in losses.items()
            if self.background or not name.startswith('cardinality_error')
        }

    def _classification(self, logits: Tensor, pairs: 'Pairs', count: Tensor) -> Tensor:
        """Return the loss of the classes of (L, B, N, K) logits for each level, (L,)."""
        if not self.background:
            right = logits[(*pairs.where, pairs.labels)]
            more = focal_loss_of_ones(right, self.alpha) - focal_loss_of_zeros(right, self.alpha)
            return (focal_loss_of_zeros(logits, self.alpha).sum((1, 2, 3)) + pairs.sum_levels(more)) / count
        labels = torch.full(logits.shape[:3], self.num_classes, device=logits.device)
        labels[pairs.where] = pairs.labels
        weight = logits.new_ones(self.num_classes + 1)
        weight[-1] = self.no_object_weight
        parts = [F.cross_entropy(*level, weight) for level in zip(logits.flatten(1, 2), labels.flatten(1))]
        return torch.stack(parts)

    def _denoising(
        self, noised: dict[str, Any], targets: Sequence[dict[str, Tensor]], count: Tensor
    ) -> dict[str, Tensor]:
        """Return the losses of the queries of denoising, summed over the levels; each knows its object."""
        logits, boxes = noised['pred_logits'].float(), noised['pred_boxes'].float()
        near = [((row >= 0).nonzero()[:, 0], row[row >= 0]) for row in noised['objects']]
        pairs = Pairs([near] * len(logits), targets, logits.device)
        count = count * noised['groups']
        of_levels = {'loss_ce': self._classification(logits, pairs, count), **box_losses(boxes, pairs, count)}
        return {name + DENOISING: values.sum() for name, values in of_levels.items() if name != 'overlaps'}

    def _vector_loss(self, vectors: Tensor, pairs: 'Pairs', targets: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return the mean distance of (L, B, N, length) codes from those of the objects' masks for each level, (L,)."""
        codes = []
        for target in targets:
            height, width = target['masks'].shape[1:]
            size = target['boxes'].new_tensor([width, height, width, height])
            codes.append(encode_masks(target['masks'], bbox_cxcywh_to_xyxy(target['boxes']) * size))
        wanted = torch.cat(codes).to(vectors)[pairs.objects]
        distances = (vectors[pairs.where] - wanted).abs().sum(-1)
        numbers = torch.tensor(pairs.counts, device=vectors.device).clamp(min=1) * vectors.shape[-1]
        return self.vector_factor * pairs.sum_levels(distances) / numbers

    def _first_token_class(self, outputs: dict[str, Any]) -> int:
        number = outputs['enc_tokens'][0].shape[-1]
        first = self.first_token_class
        if first is None:
            first = int(number > self.num_classes)
        if number < self.num_classes + first:
            raise ValueError(
                f'the patch tokens have {number} outputs, too few for {self.num_classes} classes: set token_classes of '
                f'the model to {self.num_classes + 1}, or leave it out'
            )
        return first

    @staticmethod
    def _count_objects(targets: Sequence[dict[str, Tensor]], device: torch.device) -> Tensor:
        """Return the objects of the batch, as the mean over all processes, at least 1."""
        count = torch.tensor(float(sum(len(target['labels']) for target in targets)), device=device)
        all_reduce(count, 'mean')
        return count.clamp(min=1)

    @staticmethod
    def _check_masks(outputs: dict[str, Any], targets: Sequence[dict[str, Tensor]]) -> None:
        needs = [name for key, name in NEEDS_MASKS.items() if outputs.get(key) is not None]
        if needs and not all('masks' in target for target in targets):
            raise ValueError(
                f'{" and ".join(needs)} learns from the masks of objects, and the data set has boxes only: set '
                f'{" and ".join(f"{name}=False" for name in needs)} in the model, or train on a data set with masks'
            )


DENOISING = '_denoising'
NEEDS_MASKS = {'enc_tokens': 'token_label', 'pred_vectors': 'mask_vectors'}


class Pairs:
    """The matched queries of all levels and images with their objects, P pairs in one row.

    Attributes:
        where: Level, image and query of each pair, three (P,) int64.
        objects: (P,) Place of the object among those of the whole batch.
        labels: (P,) Its class.
        boxes: (P, 4) Its box, cxcywh.
        levels: Number of levels.
        counts: Pairs of each level; they stand level by level.
    """

    def __init__(
        self, matches: list[list[tuple[Tensor, Tensor]]], targets: Sequence[dict[str, Tensor]], device: torch.device
    ) -> None:
        begin, starts = 0, []
        for target in targets:
            starts.append(begin)
            begin += len(target['labels'])
        rows = [
            torch.stack((torch.full_like(queries, level), torch.full_like(queries, image), queries, objects + start))
            for level, of_level in enumerate(matches)
            for image, ((queries, objects), start) in enumerate(zip(of_level, starts))
        ]
        level, image, query, self.objects = torch.cat(rows, 1).to(device)  # one transfer
        self.where = (level, image, query)
        self.levels = len(matches)
        self.counts = [sum(len(queries) for queries, _ in of_level) for of_level in matches]
        self.labels = torch.cat([target['labels'] for target in targets])[self.objects]
        self.boxes = torch.cat([target['boxes'] for target in targets])[self.objects]

    def sum_levels(self, values: Tensor) -> Tensor:
        """Return the sum of (P,) values for each level, (L,)."""
        return values.new_zeros(self.levels).index_add(0, self.where[0], values)


def box_losses(boxes: Tensor, pairs: Pairs, count: Tensor) -> dict[str, Tensor]:
    """Return L1 and GIoU loss of (L, B, N, 4) cxcywh boxes for each level, (L,), and the IoU of each pair, (P,)."""
    found, wanted = boxes[pairs.where], pairs.boxes.to(boxes)
    corners = bbox_cxcywh_to_xyxy(found), bbox_cxcywh_to_xyxy(wanted)
    giou = bbox_overlaps(*corners, mode='giou', is_aligned=True)
    return {
        'loss_bbox': pairs.sum_levels((found - wanted).abs().sum(-1)) / count,
        'loss_giou': pairs.sum_levels(1 - giou) / count,
        'overlaps': bbox_overlaps(*corners, is_aligned=True),
    }


def class_error(logits: Tensor, pairs: Pairs) -> Tensor:
    """Return the percentage of matched queries whose best class is wrong at the last level; 100 without any."""
    mine = slice(len(pairs.labels) - pairs.counts[-1], None)
    right = logits[-1, pairs.where[1][mine], pairs.where[2][mine]].argmax(-1) == pairs.labels[mine]
    return 100 - 100 * right.float().sum() / max(len(right), 1)


def cardinality_error(logits: Tensor, targets: Sequence[dict[str, Tensor]]) -> Tensor:
    """Return by how much the number of queries whose best class is not the last misses that of objects, (L,) means."""
    found = (logits.argmax(-1) != logits.shape[-1] - 1).sum(-1).float()
    return (found - found.new_tensor([len(target['labels']) for target in targets])).abs().mean(-1)
