"""The anchor-free head of YOLOX (arXiv 2107.08430, section 2.1) and its loss.

Unlike the public release, true boxes may also be given as a list with the instances of each image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh, get_box_tensor
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from mmyolo.registry import MODELS, TASK_UTILS

from .ground_truth import GroundTruth, rows_by_image
from .maps import by_prior
from .sampling import build_sampler
from .yolov5_head import YOLOv5Head
from .yolox_head_module import YOLOXHeadModule

__all__ = ['YOLOXHead', 'YOLOXHeadModule']


class Matches(NamedTuple):
    """The M priors of a batch that answer for a true box."""

    images: Tensor
    """(M,) int64, ascending, image of the prior."""
    priors: Tensor
    """(M,) int64, index of the prior, counted over the levels."""
    quality: Tensor
    """(M,) how well the prediction meets the true object; the target of its class."""
    truth: InstanceData
    """The true object of each prior: `bboxes` (M, 4), `labels` (M,) and what else the instances have."""


@MODELS.register_module()
class YOLOXHead(YOLOv5Head):
    """The YOLOX head.

    Args:
        head_module: config of the layers.
        prior_generator: config of the points.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, with sigmoid; a sum.
        loss_bbox: config of the box loss; a sum.
        loss_obj: config of the objectness loss, with sigmoid; a sum.
        loss_bbox_aux: config of the loss on undecoded boxes of the last epochs; a sum.
        train_cfg: settings of training: `assigner`.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.

    Attributes:
        use_bbox_aux: whether `loss_bbox_aux` counts; `YOLOXModeSwitchHook` sets it.
    """

    loss_is_sum = False

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = {'type': 'mmdet.MlvlPointGenerator', 'offset': 0, 'strides': [8, 16, 32]},
        bbox_coder: dict = {'type': 'YOLOXBBoxCoder'},
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
        loss_bbox: dict = dict(type='mmdet.IoULoss', mode='square', eps=1e-16, reduction='sum', loss_weight=5.0),
        loss_obj: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
        loss_bbox_aux: dict = {'type': 'mmdet.L1Loss', 'reduction': 'sum', 'loss_weight': 1.0},
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            head_module,
            prior_generator,
            bbox_coder,
            loss_cls,
            loss_bbox,
            loss_obj,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.use_bbox_aux = False
        self.loss_bbox_aux = MODELS.build(loss_bbox_aux)

    def special_init(self) -> None:
        """Build the assigner and the sampler; called last when the head is built."""
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg['assigner'])
            self.sampler = build_sampler(self.train_cfg, self)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        batch_gt_instances: GroundTruth,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: GroundTruth | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            batch_gt_instances: true boxes.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_bbox`, `loss_obj` and, with `use_bbox_aux`, `loss_bbox_aux`: means over the positive
            priors of all ranks.
        """
        truth = self._truth(batch_gt_instances, len(cls_scores[0]))
        matches = self.assign(cls_scores, bbox_preds, objectnesses, truth)
        return self.detection_losses(cls_scores, bbox_preds, objectnesses, matches)

    @staticmethod
    def gt_instances_preprocess(batch_gt_instances: Tensor, batch_size: int) -> list[InstanceData]:
        """Sort true boxes by image.

        Args:
            batch_gt_instances: (N, 6) rows of image index, label and box, xyxy.
            batch_size: images in the batch.

        Returns:
            `bboxes` (n, 4) and `labels` (n,) int64 of each image, in the order given.
        """
        rows, counts, _ = rows_by_image(batch_gt_instances, batch_size)
        return [InstanceData(bboxes=part[:, 2:], labels=part[:, 1].long()) for part in rows.split(counts)]

    def _truth(self, batch_gt_instances: GroundTruth, batch_size: int) -> list[InstanceData]:
        if isinstance(batch_gt_instances, Tensor):
            return self.gt_instances_preprocess(batch_gt_instances, batch_size)
        return [InstanceData(bboxes=get_box_tensor(one.bboxes), labels=one.labels) for one in batch_gt_instances]

    @torch.no_grad()
    def assign(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        truth: Sequence[InstanceData],
        extras: Tensor | None = None,
    ) -> Matches:
        """Find the priors that answer for true boxes.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            truth: `bboxes` and `labels` of each image, and what else the assigner reads.
            extras: (B, N, E) values that follow the four of a box in what the assigner gets.

        Returns:
            The priors.
        """
        # (B, N, num_classes)
        scores = by_prior(cls_scores).float().sigmoid() * by_prior(objectnesses).float().sigmoid()
        points, strides = self.points_and_strides(cls_scores)  # (N, 2), (N,) in input pixels
        bboxes = self.decode_bboxes(points, by_prior(bbox_preds).float(), strides)  # (B, N, 4) xyxy in input pixels
        if extras is not None:
            bboxes = torch.cat((bboxes, extras), dim=2)  # (B, N, 4 + E)
        # The assigner asks whether the middle of a cell lies in a box, the coder starts from the corner of the cell.
        centres = torch.cat((points + strides[:, None] * 0.5, strides[:, None].expand(-1, 2)), dim=1)  # (N, 4)

        found = []
        for image, (score, bbox, instances) in enumerate(zip(scores.sqrt(), bboxes, truth)):
            predicted = InstanceData(bboxes=bbox, scores=score, priors=centres)
            assigned = self.assigner.assign(predicted, instances)
            prior = self.sampler.sample(assigned, predicted, instances).pos_inds  # (m,) positives of the image
            found.append(
                Matches(
                    torch.full_like(prior, image),
                    prior,
                    assigned.max_overlaps[prior],
                    instances[assigned.gt_inds[prior] - 1],
                )
            )
        *tensors, instances = zip(*found)
        return Matches(*map(torch.cat, tensors), InstanceData.cat(instances))

    def detection_losses(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        matches: Matches,
    ) -> dict:
        """Compute the losses of classes, boxes and objectness.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            matches: the positive priors.

        Returns:
            See `loss_by_feat`.
        """
        images, priors, quality, truth = matches  # (M,) each, and M true boxes
        count = reduce_mean(quality.new_tensor(float(len(priors)))).clamp(min=1)  # positives per process
        points, strides = self.points_and_strides(cls_scores)
        points, strides = points[priors], strides[priors]  # (M, 2), (M,)

        objectness = by_prior(objectnesses).float()  # (B, N, 1)
        obj_target = torch.zeros_like(objectness)
        obj_target[images, priors] = 1
        cls_pred = by_prior(cls_scores)[images, priors].float()  # (M, num_classes)
        # The overlap with the true box is the target of its class: (M, num_classes).
        cls_target = F.one_hot(truth.labels.long(), self.num_classes).to(cls_pred) * quality[:, None]
        bbox_pred = by_prior(bbox_preds)[images, priors].float()  # (M, 4)
        bboxes = self.decode_bboxes(points, bbox_pred[None], strides)[0]  # (M, 4) xyxy in input pixels
        bbox_target = truth.bboxes.to(bboxes)

        losses = {
            'loss_cls': self.loss_cls(cls_pred, cls_target) / count if len(priors) else cls_pred.sum() * 0,
            'loss_bbox': self.loss_bbox(bboxes, bbox_target) / count if len(priors) else bbox_pred.sum() * 0,
            'loss_obj': self.loss_obj(objectness.flatten(0, 1), obj_target.flatten(0, 1)) / count,
        }
        if self.use_bbox_aux:
            # The raw predictions against what they would have to be: (M, 4) offsets and logarithms of sizes, in
            # strides.
            aux_target = bbox_xyxy_to_cxcywh(bbox_target)
            centre = (aux_target[:, :2] - points) / strides[:, None]
            size = (aux_target[:, 2:] / strides[:, None] + 1e-8).log()
            losses['loss_bbox_aux'] = self.loss_bbox_aux(bbox_pred, torch.cat((centre, size), dim=1)) / count
        return losses
