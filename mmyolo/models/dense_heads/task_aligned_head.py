"""What anchor-free heads with task-aligned assignment (TOOD, 2108.07755) share: YOLOv6, YOLOv8 and PPYOLOE.

A family says by what its losses are divided and multiplied; whether another assigner works in the first epochs and
whether distances are learnt as distributions stands in its config. In training only the positive priors' distances are
computed with gradients; the numbers are those of the plain definition.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import torch
from mmdet.models.losses import CrossEntropyLoss, VarifocalLoss
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmyolo.registry import MODELS, TASK_UTILS

from ..losses.sparse_target_bce import sparse_target_bce
from ..losses.sparse_target_vfl import sparse_target_vfl
from .ground_truth import GroundTruth, PaddedTruth, pad_truth
from .maps import by_cell
from .yolov5_head import YOLOv5Head

POINTS = {'type': 'mmdet.MlvlPointGenerator', 'offset': 0.5, 'strides': [8, 16, 32]}
VARIFOCAL_LOSS = {
    'type': 'mmdet.VarifocalLoss',
    'use_sigmoid': True,
    'alpha': 0.75,
    'gamma': 2.0,
    'iou_weighted': True,
    'reduction': 'sum',
    'loss_weight': 1.0,
}
GIOU_LOSS = dict(
    type='IoULoss', iou_mode='giou', bbox_format='xyxy', reduction='mean', loss_weight=2.5, return_iou=False
)


class TaskAlignedHead(YOLOv5Head):
    """A head over a `DistanceHeadModule`.

    Args:
        head_module: config of the layers.
        prior_generator: config of the points.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, with sigmoid and without a mean as its reduction.
        loss_bbox: config of the box loss.
        loss_dfl: config of the loss of the distributions, None for none.
        train_cfg: settings of training: `assigner`; and, for the first `initial_epoch` epochs, `initial_assigner`.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    loss_is_sum = False

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict,
        bbox_coder: dict,
        loss_cls: dict,
        loss_bbox: dict,
        loss_dfl: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            head_module,
            prior_generator,
            bbox_coder,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.loss_obj = None
        self.loss_dfl = None if loss_dfl is None else MODELS.build(loss_dfl)

    def special_init(self) -> None:
        """Build the assigners; called last when the head is built."""
        self.initial_epoch, self.initial_assigner = 0, None
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg['assigner'])
            if 'initial_assigner' in self.train_cfg:
                self.initial_epoch = self.train_cfg['initial_epoch']
                self.initial_assigner = TASK_UTILS.build(self.train_cfg['initial_assigner'])

    @abstractmethod
    def divisor(self, total_score: Tensor) -> Tensor:
        """Return what the losses are divided by.

        Args:
            total_score: sum of the soft targets of this process's images.
        """

    @abstractmethod
    def loss_scale(self, batch_size: int) -> float:
        """Return what the losses are multiplied by."""

    def decode_bboxes(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """As in the base class; takes distances, or the logits of their distributions where there are more than 4."""
        if bbox_preds.shape[-1] != 4:
            bbox_preds = self.head_module.integrate(bbox_preds.unflatten(-1, (4, -1)))
        return super().decode_bboxes(priors, bbox_preds, strides)

    def forward_for_loss(self, x: Sequence[Tensor]) -> tuple[list[Tensor] | None, ...]:
        """As the layers' `forward` in training, without distances: gradients are needed for few of them."""
        if not self._may_be_raw():
            return self(x)
        cls_scores, reg_maps = self.head_module.forward_raw(x)
        return cls_scores, None, [self.head_module.split_sides(level) for level in reg_maps]

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor] | None,
        bbox_dist_preds: Sequence[Tensor] | None,
        batch_gt_instances: GroundTruth,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: GroundTruth | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them in training; without `bbox_preds`,
                distances are taken from the distributions; without `loss_dfl`, only one of the two is needed.
            bbox_preds: box predictions per level.
            bbox_dist_preds: distributions of the distances per level.
            batch_gt_instances: true boxes.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_bbox` and, with a loss of the distributions, `loss_dfl`.
        """
        batch_size = len(cls_scores[0])
        priors = self.priors_for_training(cls_scores)  # (N, 4) x, y and twice the stride, in input pixels
        counts, points, strides = self.num_level_priors, priors[:, :2], self.stride_tensor[:, 0]
        truth = pad_truth(batch_gt_instances, batch_size, like=points)  # (B, G, ...) each
        with torch.no_grad():
            if bbox_preds is None:
                distances = [self.head_module.integrate(level) for level in bbox_dist_preds]
            else:
                distances = [by_cell(level) for level in bbox_preds]
            bboxes = self.bbox_coder.decode(points, torch.cat(distances, 1).float(), strides)  # (B, N, 4) xyxy
            assigned = self._assign(cls_scores, bboxes, priors, counts, truth)
        scores = assigned['assigned_scores']  # (B, N, num_classes) soft targets
        divisor = self.divisor(scores.sum())

        # (B, n) of each level -> (image, cell) of its positives. Losses of boxes are computed of those M priors alone.
        positives = assigned['fg_mask_pre_prior'].split(counts, dim=1)
        positives = [level.nonzero().unbind(1) for level in positives]
        image = torch.cat([image for image, _ in positives])  # (M,)
        first = accumulate(counts, initial=0)
        place = torch.cat([cell + start for (_, cell), start in zip(positives, first)])  # (M,) counted over the levels
        losses = {'loss_cls': self._cls_loss(cls_scores, scores.split(counts, dim=1)) / divisor}
        scores = scores[image, place]  # (M, num_classes)

        dist = None
        if bbox_preds is None or self.loss_dfl is not None:
            dist = torch.cat([level[where] for level, where in zip(bbox_dist_preds, positives)]).float()  # (M, 4, R)
        if bbox_preds is None:
            distances = self.head_module.integrate(dist)  # (M, 4) in strides
        else:
            distances = torch.cat([by_cell(level)[where] for level, where in zip(bbox_preds, positives)]).float()
        weight, stride = scores.sum(-1), strides[place, None]  # (M,), (M, 1)
        points = points[place] / stride  # (M, 2) in strides
        target = assigned['assigned_bboxes'][image, place] / stride  # (M, 4) xyxy in strides
        bboxes = self.bbox_coder.decode(points, distances[None], torch.ones_like(weight))[0]  # (M, 4) xyxy in strides
        losses['loss_bbox'] = self.loss_bbox(bboxes, target, weight=weight, reduction_override='sum') / divisor
        if self.loss_dfl is not None:
            # Each of a box's four distances is a distribution of its own: (M * 4, R) logits, (M * 4,) targets.
            losses['loss_dfl'] = self.loss_dfl(
                dist.flatten(0, 1),
                self.bbox_coder.encode(points, target, max_dis=dist.shape[-1] - 1, eps=0.01).flatten(),
                weight=weight[:, None].expand(-1, 4).flatten(),
                avg_factor=divisor,
            )

        scale = self.loss_scale(batch_size)
        return {name: loss * scale for name, loss in losses.items()}

    def _assign(
        self, cls_scores: Sequence[Tensor], bboxes: Tensor, priors: Tensor, counts: Sequence[int], truth: PaddedTruth
    ) -> dict[str, Tensor]:
        """Assign boxes to priors; arguments and result as of the assigners, `counts` being priors per level."""
        if self.initial_assigner is not None:
            epoch = MessageHub.get_current_instance().get_info('epoch', 0)
            if epoch < self.initial_epoch:
                return self.initial_assigner(bboxes, priors, counts, *truth)
        # Sigmoid before the transposition, while the logits lie contiguously.
        scores = torch.cat([level.flatten(2) for level in cls_scores], 2).float().sigmoid().transpose(1, 2)
        return self.assigner(bboxes, scores, priors, *truth)

    def _cls_loss(self, cls_scores: Sequence[Tensor], scores: Sequence[Tensor]) -> Tensor:
        """Sum the classification loss over all priors, in single precision.

        Args:
            cls_scores: per level (B, num_classes, H, W).
            scores: per level (B, H * W, num_classes) soft targets.
        """
        sum_of = self._sparse_loss()
        if sum_of is None:
            logits = torch.cat([by_cell(level) for level in cls_scores], dim=1).float()
            with torch.autocast(logits.device.type, enabled=False):
                return self.loss_cls(logits, torch.cat(tuple(scores), dim=1)).sum()
        total = 0
        for level, targets in zip(cls_scores, scores):
            # (n,) cells with a target, then (k,) classes of these: few of the B * H * W * num_classes values.
            image, cell = (targets != 0).any(-1).nonzero().unbind(1)
            targets = targets[image, cell]
            row, channel = targets.nonzero().unbind(1)
            total = total + sum_of(level, image[row], channel, cell[row], targets[row, channel])
        return self.loss_cls.loss_weight * total

    def _sparse_loss(self) -> Callable[..., Tensor] | None:
        """Return what sums `loss_cls` over a level from the targets that are not 0, None for another kind of loss."""
        loss = self.loss_cls
        if _is_plain_bce(loss):
            return sparse_target_bce
        if type(loss) is VarifocalLoss and loss.reduction != 'mean':
            return partial(sparse_target_vfl, alpha=loss.alpha, gamma=loss.gamma, iou_weighted=loss.iou_weighted)
        return None


def _is_plain_bce(loss: nn.Module) -> bool:
    plain = type(loss) is CrossEntropyLoss and loss.use_sigmoid
    return plain and loss.class_weight is None and loss.ignore_index is None
