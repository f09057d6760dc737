"""The anchor-based head of YOLOv5.

Deliberately different from public mmyolo: a box centred exactly on the right or bottom edge trains the last cell
instead of failing; of several boxes on one anchor the last decides its objectness on any device; the ground truth is
not overwritten.
"""

import logging
import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmdet.models.utils import multi_apply
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..task_modules.assigners.anchor_matching import AnchorMatches, match_anchors
from ..utils import make_divisible
from ..utils.misc import in_batch
from .base_yolo_head import BaseYOLOHead
from .ground_truth import GroundTruth, as_rows, parts_of_input


def get_prior_xy_info(index: int, num_base_priors: int, featmap_sizes: tuple[int, int]) -> tuple[int, int, int]:
    """Take the flat index of a prior in its level apart.

    Args:
        index: index counted over rows, columns and base priors.
        num_base_priors: priors per cell.
        featmap_sizes: height and width of the level's map.

    Returns:
        Base prior, column and row.
    """
    cell, prior = divmod(index, num_base_priors)
    row, column = divmod(cell, featmap_sizes[1])
    return prior, column, row


@MODELS.register_module()
class YOLOv5HeadModule(BaseModule):
    """The layers of the YOLOv5 head: one convolution per level.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of every level, or of each, before scaling.
        widen_factor: width of the model.
        num_base_priors: anchors per cell.
        featmap_strides: stride of each level.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    class_margin = 0.999999  # taken off the number of classes where their first scores are set

    def __init__(
        self,
        num_classes: int,
        in_channels: int | Sequence[int],
        widen_factor: float = 1.0,
        num_base_priors: int = 3,
        featmap_strides: Sequence[int] = (8, 16, 32),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.num_base_priors = num_base_priors
        self.featmap_strides = featmap_strides
        self.num_levels = len(featmap_strides)
        if isinstance(in_channels, int):
            in_channels = [in_channels] * len(featmap_strides)
        self.in_channels = [make_divisible(channels, widen_factor) for channels in in_channels]
        self.num_out_attrib = 5 + num_classes  # predictions of an anchor
        self._init_layers()

    def _init_layers(self) -> None:
        self.convs_pred = nn.ModuleList(nn.Conv2d(channels, self.num_outputs, 1) for channels in self.in_channels)

    @property
    def num_outputs(self) -> int:
        """Predictions per cell."""
        return self.num_base_priors * self.num_out_attrib

    def init_weights(self) -> None:
        """Shift the biases so that training starts from 8 objects per 640 px image, evenly over the classes."""
        super().init_weights()
        for conv, stride in self.predicting_convs():
            bias = conv.bias.data.view(self.num_base_priors, -1)
            bias[:, 4] += math.log(8 / (640 / stride) ** 2)
            bias[:, 5 : 5 + self.num_classes] += math.log(0.6 / (self.num_classes - self.class_margin))

    def predicting_convs(self) -> Iterable[tuple[nn.Conv2d, int]]:
        """Return the last convolutions, and the strides of their levels."""
        return zip(self.convs_pred, self.featmap_strides)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps.

        Args:
            x: feature map of each level.

        Returns:
            Per level class logits (B, A * num_classes, H, W), boxes (B, A * 4, H, W), objectness logits (B, A, H, W).
        """
        return multi_apply(self.forward_single, x, self.convs_pred)

    def forward_single(self, x: Tensor, convs: nn.Module) -> tuple[Tensor, ...]:
        """Return the maps of one level, as `forward` returns them.

        Args:
            x: feature map of the level.
            convs: its layers.
        """
        return flatten_anchors(self.raw_single(x, convs))

    def forward_raw(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """As `forward`, with anchors in a dimension of their own, (B, A, C, H, W), which spares a copy of the maps."""
        return multi_apply(self.raw_single, x, self.convs_pred)

    def raw_single(self, x: Tensor, convs: nn.Module) -> tuple[Tensor, ...]:
        """Return the maps of one level, as `forward_raw` returns them."""
        pred = convs(x).unflatten(1, (self.num_base_priors, -1))
        bbox, objectness, cls = pred.split((4, 1, pred.shape[2] - 5), dim=2)
        return cls, bbox, objectness


def flatten_anchors(maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Reshape maps (B, A, C, H, W) -> (B, A * C, H, W)."""
    return tuple(level.flatten(1, -3) for level in maps)


@MODELS.register_module()
class YOLOv5Head(BaseYOLOHead):
    """The YOLOv5 head.

    Args:
        head_module: config of the layers.
        prior_generator: config of the anchors.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, with sigmoid.
        loss_bbox: config of the box loss; returns the overlaps too.
        loss_obj: config of the objectness loss, with sigmoid.
        prior_match_thr: a box matches an anchor when neither side is this many times longer or shorter.
        near_neighbor_thr: cells whose border is nearer to the centre than this part of a cell also answer for the box.
        ignore_iof_thr: anchors covered by more than this by a box to ignore train nothing; -1 ignores no anchor.
        obj_level_weights: weight of the objectness loss of each level.
        train_cfg: settings of training.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    loss_is_sum = True

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = {
            'type': 'mmdet.YOLOAnchorGenerator',
            'base_sizes': [
                [(10, 13), (16, 30), (33, 23)],
                [(30, 61), (62, 45), (59, 119)],
                [(116, 90), (156, 198), (373, 326)],
            ],
            'strides': [8, 16, 32],
        },
        bbox_coder: dict = {'type': 'YOLOv5BBoxCoder'},
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='mean', loss_weight=0.5),
        loss_bbox: dict = {
            'type': 'IoULoss',
            'iou_mode': 'ciou',
            'bbox_format': 'xywh',
            'eps': 1e-7,
            'reduction': 'mean',
            'loss_weight': 0.05,
            'return_iou': True,
        },
        loss_obj: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='mean', loss_weight=1.0),
        prior_match_thr: float = 4.0,
        near_neighbor_thr: float = 0.5,
        ignore_iof_thr: float = -1.0,
        obj_level_weights: Sequence[float] = (4.0, 1.0, 0.4),
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
        self.prior_match_thr = prior_match_thr
        self.near_neighbor_thr = near_neighbor_thr
        self.ignore_iof_thr = ignore_iof_thr
        self.obj_level_weights = obj_level_weights
        self.special_init()

    def special_init(self) -> None:
        """Set up what only this head has; called last when the head is built."""
        if len(self.obj_level_weights) != self.num_levels:
            raise ValueError(
                f'obj_level_weights of {type(self).__name__} has {len(self.obj_level_weights)} values, '
                f'the head has {self.num_levels} levels: give one weight per level'
            )
        if self.prior_match_thr != 4.0:
            print_log(
                f'prior_match_thr is {self.prior_match_thr}, but a decoded side is at most 4 times its anchor',
                logger='current',
                level=logging.WARNING,
            )
        if self.num_classes == 1:
            print_log('With a single class, objectness alone is learnt and loss_cls is 0', logger='current')

        strides = torch.tensor(self.featmap_strides, dtype=torch.float)[:, None, None]
        anchors = torch.tensor(self.prior_generator.base_sizes, dtype=torch.float)
        self.register_buffer('priors_base_sizes', anchors / strides, persistent=False)  # (L, A, 2) in cells
        steps = torch.tensor([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float)
        self.register_buffer('grid_offset', steps[:, None], persistent=False)  # (5, 1, 2)
        numbers = torch.arange(self.num_base_priors, dtype=torch.float)[:, None]
        self.register_buffer('prior_inds', numbers, persistent=False)  # (A, 1)

    def forward_for_loss(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """As `forward_raw`."""
        return self.forward_raw(x)

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
            cls_scores: class logits per level, as `forward` or `forward_raw` returns them.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            batch_gt_instances: true boxes.
            batch_img_metas: meta information of each image; of the first, `batch_input_shape` (height, width).
            batch_gt_instances_ignore: boxes to ignore; they count if `ignore_iof_thr` is set.

        Returns:
            `loss_cls`, `loss_obj` and `loss_bbox`, (1,) each, scaled with the number of images over all ranks.
        """
        maps = (cls_scores, bbox_preds, objectnesses)
        if self.ignore_iof_thr != -1 and batch_gt_instances_ignore is not None:
            ignored = as_rows(batch_gt_instances_ignore)
            if len(ignored):
                return self._loss_by_feat_with_ignore(*maps, batch_gt_instances, batch_img_metas, ignored)
        return self._losses(*maps, batch_gt_instances, batch_img_metas)

    def _loss_by_feat_with_ignore(
        self, cls_scores, bbox_preds, objectnesses, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
    ) -> dict:
        """Return the losses with boxes to ignore, whether there are any or not; arguments as of `loss_by_feat`."""
        ignored = as_rows(batch_gt_instances_ignore)
        ignored = ignored[in_batch(ignored, len(cls_scores[0]))]
        return self._losses(cls_scores, bbox_preds, objectnesses, batch_gt_instances, batch_img_metas, ignored)

    def _losses(
        self, cls_scores, bbox_preds, objectnesses, batch_gt_instances, batch_img_metas, ignored: Tensor | None = None
    ) -> dict:
        cls_scores, bbox_preds, objectnesses = map(self.split_anchors, (cls_scores, bbox_preds, objectnesses))
        targets = self._targets_in_batch(batch_gt_instances, batch_img_metas, cls_scores)
        matches = self.match(targets[0, :, 2:6], cls_scores, self.near_neighbor_thr)
        return self.losses_of_matches(cls_scores, bbox_preds, objectnesses, targets[0], matches, ignored)

    def _targets_in_batch(
        self, batch_gt_instances: GroundTruth, batch_img_metas: Sequence[dict], maps: Sequence[Tensor]
    ) -> Tensor:
        """Return `_convert_gt_to_norm_format` without rows of an image that the batch of `maps` does not have."""
        targets = self._convert_gt_to_norm_format(batch_gt_instances, batch_img_metas)
        return targets[:, in_batch(targets[0], len(maps[0]))]

    def _convert_gt_to_norm_format(self, batch_gt_instances: GroundTruth, batch_img_metas: Sequence[dict]) -> Tensor:
        """Return the true boxes as parts of the input, once for each anchor of a cell.

        Args:
            batch_gt_instances: true boxes.
            batch_img_metas: meta information of each image; of the first, `batch_input_shape` (height, width).

        Returns:
            (A, N, 7) rows of image index, label, centre x, centre y, width, height and anchor.
        """
        rows = as_rows(batch_gt_instances).to(self.prior_inds)  # (N, 6)
        normed = torch.cat((rows[:, :2], parts_of_input(rows, batch_img_metas)), dim=1)  # (N, 6)
        anchors = self.prior_inds[:, None].expand(-1, len(rows), -1)  # (A, N, 1)
        return torch.cat((normed.expand(len(anchors), -1, -1), anchors), dim=2)

    def split_anchors(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Reshape maps of each level, (B, A * C, H, W) or (B, A, C, H, W), -> (B, A, C, H, W)."""
        return [level.reshape(len(level), self.num_base_priors, -1, *level.shape[-2:]) for level in maps]

    def match(self, gt_bboxes: Tensor, maps: Sequence[Tensor], neighbor_thr: float) -> AnchorMatches:
        """Match boxes with anchors by their shape and place.

        Args:
            gt_bboxes: (N, 4) boxes, see `parts_of_input`.
            maps: per level (..., H, W).
            neighbor_thr: see `match_anchors`.
        """
        sizes = [tuple(level.shape[-2:]) for level in maps]
        return match_anchors(
            gt_bboxes, self.priors_base_sizes, sizes, self.grid_offset[:, 0], self.prior_match_thr, neighbor_thr
        )

    def losses_of_matches(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        rows: Tensor,
        matches: AnchorMatches,
        ignored: Tensor | None = None,
    ) -> dict:
        """Return the losses; each is a mean over a level, summed over the levels, and all levels are computed as one.

        Args:
            cls_scores: class logits per level, (B, A, C, H, W), see `split_anchors`.
            bbox_preds: box predictions per level.
            objectnesses: objectness logits per level.
            rows: (N, 2 or more) rows of image index and label.
            matches: which anchors answer for which rows.
            ignored: as `rows`, boxes to ignore.

        Returns:
            See `loss_by_feat`.
        """
        batch_size, num_anchors = cls_scores[0].shape[:2]
        images, labels = rows[matches.gt, :2].long().unbind(1)  # (M,) each
        # (M, num_classes) logits and (M, 4) predictions, of the anchors that answer for a box alone.
        cls_pred, bbox_pred = (matches.gather(levels, images).float() for levels in (cls_scores, bbox_preds))
        # Where each pair's objectness is in the maps of all levels laid out flat, B * A * H * W values a level.
        cells, first_cell = [], 0
        places = zip(*(part.split(matches.counts) for part in (images, matches.anchor, matches.y, matches.x)))
        for level, (image, anchor, y, x) in zip(cls_scores, places):
            h, w = level.shape[-2:]
            cells.append(((image * num_anchors + anchor) * h + y) * w + x + first_cell)
            first_cell += batch_size * num_anchors * h * w
        cells = torch.cat(cells)  # (M,)
        objectness = torch.cat([level.flatten() for level in objectnesses]).float()  # (P,) over all levels

        trained = self._trained_cells(cls_scores, ignored)
        # (P,) a level's cells share its weight: each loss is a mean over its level.
        obj_weight = torch.cat(
            [part / part.sum().clamp(min=1) * weight for part, weight in zip(trained, self.obj_level_weights)]
        )
        pair_weight = torch.cat(trained)[cells]  # (M,) 1, or 0 where a box to ignore covers the anchor
        # (L,) pairs that count of each level, by which their weights are divided.
        pairs_of_level = pair_weight.new_zeros(self.num_levels).index_add(0, matches.level, pair_weight).clamp(min=1)
        pair_weight = pair_weight / pairs_of_level[matches.level]

        anchors = self.priors_base_sizes[matches.level, matches.anchor]  # (M, 2) in cells
        bbox_pred = bbox_pred.sigmoid() * 2
        bbox_pred = torch.cat((bbox_pred[:, :2] - 0.5, bbox_pred[:, 2:] ** 2 * anchors), dim=1)  # (M, 4) in cells
        # A scalar, and the (M,) overlaps, which the objectness is trained towards.
        loss_bbox, iou = self.loss_bbox(bbox_pred, matches.bboxes, weight=pair_weight, reduction_override='sum')

        # Writing the last pair's overlap from every pair of a cell gives one result on any device.
        last = torch.zeros_like(objectness, dtype=torch.long)
        last.scatter_reduce_(0, cells, torch.arange(len(cells), device=cells.device), 'amax')
        obj_target = torch.zeros_like(objectness)  # (P,)
        obj_target[cells] = iou.detach().clamp(min=0)[last[cells]]
        loss_obj = self.loss_obj(objectness, obj_target, weight=obj_weight, reduction_override='sum')

        if self.num_classes == 1:
            loss_cls = cls_pred.sum() * 0
        else:
            # With boxes to ignore, public mmyolo divides by the pairs alone, not by pairs times classes: kept.
            cls_weight = pair_weight if ignored is not None else pair_weight / self.num_classes
            cls_target = F.one_hot(labels, self.num_classes).to(cls_pred)  # (M, num_classes)
            loss_cls = self.loss_cls(
                cls_pred, cls_target, weight=cls_weight[:, None].expand_as(cls_pred), reduction_override='sum'
            )

        scale = batch_size * get_world_size()
        losses = {'loss_cls': loss_cls, 'loss_obj': loss_obj, 'loss_bbox': loss_bbox}
        return {name: loss.reshape(1) * scale for name, loss in losses.items()}

    def _trained_cells(self, maps: Sequence[Tensor], ignored: Tensor | None) -> list[Tensor]:
        """Mark the anchors that are not covered by a box to ignore.

        Args:
            maps: per level (B, A, C, H, W).
            ignored: (n, 6) rows of image index, label and box to ignore, or None.

        Returns:
            Per level (B * A * H * W,) 1 or 0. An anchor is looked at in the image of the box that covers it most.
        """
        if ignored is None or len(ignored) == 0:
            return [level.new_ones(level[:, :, 0].numel(), dtype=torch.float) for level in maps]
        trained = []
        for level, priors in zip(maps, self.level_priors(maps)):
            covered, box = bbox_overlaps(priors, ignored[:, 2:6].to(priors), mode='iof').max(1)  # (H * W * A,) each
            prior = (covered > self.ignore_iof_thr).nonzero().squeeze(1)
            mask = priors.new_ones(len(level), len(priors))  # (B, H * W * A)
            # Priors are ordered by cell, then anchor; maps by anchor, then cell.
            mask[ignored[box[prior], 0].long(), prior] = 0
            trained.append(mask.view(len(level), -1, self.num_base_priors).transpose(1, 2).flatten())
        return trained
