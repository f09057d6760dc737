"""The anchor-free head of YOLOv8: classes and distances to the four sides, the latter as distributions (2006.04388).

In training only the positive priors' distances are computed with gradients, and the classification loss works on the
maps as they are; the numbers are those of the plain definition.
"""
import math
from itertools import accumulate
from typing import List, Optional, Sequence, Tuple

import torch
from mmcv.cnn import ConvModule
from mmdet.models.losses import CrossEntropyLoss
from mmdet.models.utils import multi_apply
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS, TASK_UTILS
from ..losses.sparse_target_bce import sparse_target_bce
from ..utils import gt_instances_preprocess, make_divisible
from ..utils.defaults import ACT_CFG, NORM_CFG
from .base_yolo_head import GroundTruth
from .yolov5_head import YOLOv5Head


@MODELS.register_module()
class YOLOv8HeadModule(BaseModule):
    """The layers of the YOLOv8 head: per level one tower for classes and one for distances.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of each level before scaling.
        widen_factor: width of the model.
        num_base_priors: points per cell.
        featmap_strides: stride of each level.
        reg_max: bins of the distribution of a distance; 1 regresses distances directly.
        norm_cfg: config of the norm layers.
        act_cfg: config of the activations.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: Sequence[int],
                 widen_factor: float = 1.0,
                 num_base_priors: int = 1,
                 featmap_strides: Sequence[int] = (8, 16, 32),
                 reg_max: int = 16,
                 norm_cfg: dict = NORM_CFG,
                 act_cfg: dict = ACT_CFG,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.featmap_strides = featmap_strides
        self.num_base_priors = num_base_priors
        self.reg_max = reg_max
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.in_channels = [make_divisible(channels, widen_factor) for channels in in_channels]
        self._init_layers()

    def _init_layers(self) -> None:
        reg_channels = max(16, self.in_channels[0] // 4, self.reg_max * 4)
        cls_channels = max(self.in_channels[0], self.num_classes)
        self.cls_preds = nn.ModuleList(
            self._tower(channels, cls_channels, self.num_classes) for channels in self.in_channels)
        self.reg_preds = nn.ModuleList(
            self._tower(channels, reg_channels, 4 * self.reg_max) for channels in self.in_channels)
        self.register_buffer('proj', torch.arange(self.reg_max, dtype=torch.float), persistent=False)

    def _tower(self, in_channels: int, channels: int, out_channels: int) -> nn.Sequential:
        cfg = dict(kernel_size=3, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        return nn.Sequential(
            ConvModule(in_channels, channels, **cfg), ConvModule(channels, channels, **cfg),
            nn.Conv2d(channels, out_channels, 1))

    def init_weights(self) -> None:
        """Sets the last biases, those of the classes to expect 5 objects per 640 px image, evenly over the classes."""
        super().init_weights()
        for cls_pred, reg_pred, stride in zip(self.cls_preds, self.reg_preds, self.featmap_strides):
            reg_pred[-1].bias.data.fill_(1.0)
            cls_pred[-1].bias.data.fill_(math.log(5 / self.num_classes / (640 / stride)**2))

    def forward(self, x: Sequence[Tensor]) -> Tuple[List[Tensor], ...]:
        """Predicts maps.

        Args:
            x: feature map of each level.

        Returns:
            Per level class logits (B, num_classes, H, W) and distances left, top, right, bottom (B, 4, H, W) in
            strides; in training also logits of the distances' distributions (B, H * W, 4, reg_max).
        """
        return multi_apply(self.forward_single, x, self.cls_preds, self.reg_preds)

    def forward_single(self, x: Tensor, cls_pred: nn.Module, reg_pred: nn.Module) -> Tuple[Tensor, ...]:
        """The maps of one level, as `forward` returns them."""
        cls_logit = cls_pred(x)
        reg_logit = reg_pred(x)
        dist = reg_logit.flatten(2).transpose(1, 2).unflatten(2, (4, self.reg_max))
        bbox = self.integrate(dist).transpose(1, 2).unflatten(2, x.shape[-2:])
        return (cls_logit, bbox, dist) if self.training else (cls_logit, bbox)

    def forward_raw(self, x: Sequence[Tensor]) -> Tuple[List[Tensor], ...]:
        """Predicts class logits (B, num_classes, H, W) and distributions (B, 4 * reg_max, H, W) per level."""
        return tuple([tower(level) for tower, level in zip(towers, x)] for towers in (self.cls_preds, self.reg_preds))

    def integrate(self, dist: Tensor) -> Tensor:
        """The mean distances of distributions.

        Args:
            dist: (..., 4, reg_max) logits, or distances if `reg_max` is 1.

        Returns:
            (..., 4) distances in strides, in single precision unless `reg_max` is 1.
        """
        if self.reg_max == 1:
            return dist.squeeze(-1)
        # Half precision would cost up to a pixel per stride of 32, so the product is kept from autocast.
        with torch.autocast(dist.device.type, enabled=False):
            return dist.float().softmax(-1) @ self.proj


@MODELS.register_module()
class YOLOv8Head(YOLOv5Head):
    """The YOLOv8 head.

    Args:
        head_module: config of the layers.
        prior_generator: config of the points.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, with sigmoid and no reduction.
        loss_bbox: config of the box loss.
        loss_dfl: config of the loss of the distributions.
        train_cfg: settings of training: `assigner`.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(self,
                 head_module: dict,
                 prior_generator: dict = dict(type='mmdet.MlvlPointGenerator', offset=0.5, strides=[8, 16, 32]),
                 bbox_coder: dict = dict(type='DistancePointBBoxCoder'),
                 loss_cls: dict = dict(
                     type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='none', loss_weight=0.5),
                 loss_bbox: dict = dict(
                     type='IoULoss',
                     iou_mode='ciou',
                     bbox_format='xyxy',
                     reduction='sum',
                     loss_weight=7.5,
                     return_iou=False),
                 loss_dfl: dict = dict(type='mmdet.DistributionFocalLoss', reduction='mean', loss_weight=1.5 / 4),
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            head_module,
            prior_generator,
            bbox_coder,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg)
        self.loss_obj = None
        self.loss_dfl = MODELS.build(loss_dfl)

    def special_init(self) -> None:
        """Builds the assigner; called last when the head is built."""
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg['assigner'])

    def decode_bboxes(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """As in the base class; takes distances, or the logits of their distributions where there are more than 4."""
        if bbox_preds.shape[-1] != 4:
            bbox_preds = self.head_module.integrate(bbox_preds.unflatten(-1, (4, -1)))
        return super().decode_bboxes(priors, bbox_preds, strides)

    def forward_for_loss(self, x: Sequence[Tensor]) -> Tuple[Optional[List[Tensor]], ...]:
        """As the layers' `forward` in training, without distances: gradients are needed for few of them."""
        if not hasattr(self.head_module, 'forward_raw'):
            return self(x)
        cls_scores, dists = self.head_module.forward_raw(x)
        return cls_scores, None, [level.flatten(2).transpose(1, 2).unflatten(2, (4, -1)) for level in dists]

    def loss_by_feat(self,
                     cls_scores: Sequence[Tensor],
                     bbox_preds: Optional[Sequence[Tensor]],
                     bbox_dist_preds: Sequence[Tensor],
                     batch_gt_instances: GroundTruth,
                     batch_img_metas: Sequence[dict],
                     batch_gt_instances_ignore: Optional[GroundTruth] = None) -> dict:
        """Computes the losses of a batch from maps.

        Args:
            cls_scores, bbox_preds, bbox_dist_preds: what `forward` returns in training; without `bbox_preds`,
                distances are taken from the distributions.
            batch_gt_instances: true boxes.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_bbox` and `loss_dfl`, scaled with the number of images over all ranks.
        """
        batch_size = len(cls_scores[0])
        priors = self.level_priors(cls_scores)
        points = torch.cat(priors)
        strides = torch.cat([level.new_full((len(level), ), s) for level, s in zip(priors, self.featmap_strides)])

        gt = gt_instances_preprocess(batch_gt_instances, batch_size).to(points)
        gt_labels, gt_bboxes = gt[..., :1], gt[..., 1:]
        is_box = (gt_bboxes.sum(-1, keepdim=True) > 0).to(points)
        with torch.no_grad():
            if bbox_preds is None:
                distances = [self.head_module.integrate(level) for level in bbox_dist_preds]
            else:
                distances = [_by_cell(level) for level in bbox_preds]
            bboxes = self.bbox_coder.decode(points, torch.cat(distances, 1).float(), strides)
            # Sigmoid before the transposition, while the logits lie contiguously.
            scores = torch.cat([level.flatten(2) for level in cls_scores], 2).float().sigmoid().transpose(1, 2)
            assigned = self.assigner(bboxes, scores, points, gt_labels, gt_bboxes, is_box)
        scores = assigned['assigned_scores']
        total_score = scores.sum().clamp(min=1)

        positives = assigned['fg_mask_pre_prior'].split([len(level) for level in priors], dim=1)
        positives = [level.nonzero().unbind(1) for level in positives]
        image = torch.cat([image for image, _ in positives])
        first = accumulate(map(len, priors), initial=0)
        place = torch.cat([cell + start for (_, cell), start in zip(positives, first)])
        scores = scores[image, place]
        loss_cls = self._cls_loss(cls_scores, positives, scores) / total_score

        dist = torch.cat([level[where] for level, where in zip(bbox_dist_preds, positives)]).float()  # (M, 4, reg_max)
        if bbox_preds is None:
            distances = self.head_module.integrate(dist)
        else:
            distances = torch.cat([_by_cell(level)[where] for level, where in zip(bbox_preds, positives)]).float()
        weight, stride = scores.sum(-1), strides[place, None]
        points = points[place] / stride
        target = assigned['assigned_bboxes'][image, place] / stride
        bboxes = self.bbox_coder.decode(points, distances[None], torch.ones_like(weight))[0]
        loss_bbox = self.loss_bbox(bboxes, target, weight=weight) / total_score
        loss_dfl = self.loss_dfl(
            dist.flatten(0, 1),
            self.bbox_coder.encode(points, target, max_dis=self.head_module.reg_max - 1, eps=0.01).flatten(),
            weight=weight[:, None].expand(-1, 4).flatten(),
            avg_factor=total_score)

        scale = batch_size * get_world_size()
        return dict(loss_cls=loss_cls * scale, loss_bbox=loss_bbox * scale, loss_dfl=loss_dfl * scale)

    def _cls_loss(self, cls_scores: Sequence[Tensor], positives: Sequence[Tuple[Tensor, Tensor]],
                  scores: Tensor) -> Tensor:
        """Sums the classification loss over all priors.

        Args:
            cls_scores: per level (B, num_classes, H, W).
            positives: per level images and cells of positive priors.
            scores: (M, num_classes) soft targets of the positive priors of all levels; the others' are 0.
        """
        total = 0
        scores = scores.split([len(cell) for _, cell in positives])
        for level, (image, cell), targets in zip(cls_scores, positives, scores):
            if _is_plain_bce(self.loss_cls):
                row, channel = targets.nonzero().unbind(1)
                loss = sparse_target_bce(level, image[row], channel, cell[row], targets[row, channel])
                total = total + self.loss_cls.loss_weight * loss
            else:
                logits = _by_cell(level).float()
                dense = torch.zeros_like(logits).index_put((image, cell), targets)
                total = total + self.loss_cls(logits, dense).sum()
        return total


def _by_cell(level: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return level.flatten(2).transpose(1, 2)


def _is_plain_bce(loss: nn.Module) -> bool:
    plain = type(loss) is CrossEntropyLoss and loss.use_sigmoid
    return plain and loss.class_weight is None and loss.ignore_index is None
