"""The anchor-free head of RTMDet (arXiv 2212.07784, sections 3.2 and 3.3): convolutions that all levels share, each
with norms of its own, and a soft label whose value is the overlap.

Distances are regressed as they are, in strides: weights of mmdet's large models, which regress their exponent, do not
fit.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mmcv.cnn import ConvModule, is_norm
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule, bias_init_with_prob, constant_init, normal_init
from torch import Tensor, nn

from mmyolo.registry import MODELS, TASK_UTILS

from ..utils.defaults import CSPNEXT_ACT_CFG, CSPNEXT_NORM_CFG
from .ground_truth import GroundTruth, pad_truth
from .maps import by_prior
from .sampling import build_sampler
from .yolov5_head import YOLOv5Head

QUALITY_FOCAL_LOSS = {'type': 'mmdet.QualityFocalLoss', 'use_sigmoid': True, 'beta': 2.0, 'loss_weight': 1.0}
POINTS = {'type': 'mmdet.MlvlPointGenerator', 'offset': 0, 'strides': [8, 16, 32]}


class Assigned(NamedTuple):
    """What each of the N priors of a batch is to predict."""

    labels: Tensor
    """(B, N) int64, `num_classes` of the assigner for background."""
    bboxes: Tensor
    """(B, N, 4 or 5) boxes, 0 for background."""
    metrics: Tensor
    """(B, N) overlaps of predicted and true box, 0 for background."""
    positives: Tensor
    """(B, N) bool."""
    avg_factor: Tensor
    """() sum of the overlaps, the mean over all ranks, at least 1."""
    gt_inds: Tensor | None
    """(B, N) places of the boxes among those of their image, -1 for background; None of an assigner without them."""


@MODELS.register_module()
class RTMDetSepBNHeadModule(BaseModule):
    """The layers of the RTMDet head: per level one tower for classes and one for distances.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of every level before scaling.
        widen_factor: width of the model.
        num_base_priors: points per cell.
        feat_channels: channels of the towers before scaling.
        stacked_convs: 3x3 convolutions of a tower.
        featmap_strides: stride of each level.
        share_conv: whether levels share the convolutions of the towers, not their norms.
        pred_kernel_size: kernel of the last convolutions.
        conv_cfg: kind of convolution, None for Conv2d.
        norm_cfg: norm after each convolution of a tower.
        act_cfg: activation after each norm.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        widen_factor: float = 1.0,
        num_base_priors: int = 1,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        featmap_strides: Sequence[int] = (8, 16, 32),
        share_conv: bool = True,
        pred_kernel_size: int = 1,
        conv_cfg: dict | None = None,
        norm_cfg: dict = CSPNEXT_NORM_CFG,
        act_cfg: dict = CSPNEXT_ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.in_channels = int(in_channels * widen_factor)
        self.feat_channels = int(feat_channels * widen_factor)
        self.num_base_priors = num_base_priors
        self.stacked_convs = stacked_convs
        self.featmap_strides = featmap_strides
        self.num_levels = len(featmap_strides)
        self.share_conv = share_conv
        self.pred_kernel_size = pred_kernel_size
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self._init_layers()

    def _init_layers(self) -> None:
        self.cls_convs = self._towers(self.share_conv)
        self.reg_convs = self._towers(self.share_conv)
        self.rtm_cls = self._predictors(self.num_base_priors * self.num_classes)
        self.rtm_reg = self._predictors(self.num_base_priors * 4)

    def _towers(self, share_conv: bool) -> nn.ModuleList:
        """Build a tower per level."""
        cfg = {'padding': 1, 'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        channels = [self.in_channels] + [self.feat_channels] * self.stacked_convs
        towers = nn.ModuleList(
            nn.ModuleList(ConvModule(*pair, 3, **cfg) for pair in zip(channels, channels[1:]))
            for _ in self.featmap_strides
        )
        if share_conv:
            for tower in towers:
                for layer, first in zip(tower, towers[0]):
                    layer.conv = first.conv
        return towers

    def _predictors(self, out_channels: int) -> nn.ModuleList:
        """Build a last convolution per level."""
        kernel = self.pred_kernel_size
        return nn.ModuleList(
            nn.Conv2d(self.feat_channels, out_channels, kernel, padding=kernel // 2) for _ in self.featmap_strides
        )

    def init_weights(self) -> None:
        """Draw all weights from a narrow normal distribution; every class starts at a probability of 1 %."""
        super().init_weights()
        self._init_normal()

    def _init_normal(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, mean=0, std=0.01)
            elif is_norm(module):
                constant_init(module, 1)
        for layer in self.rtm_cls:
            nn.init.constant_(layer.bias, bias_init_with_prob(0.01))

    def forward(self, feats: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], ...]:
        """Predict maps.

        Args:
            feats: feature map of each level.

        Returns:
            Per level class logits (B, num_classes, H, W) and distances left, top, right, bottom (B, 4, H, W) in
            strides.
        """
        return tuple(zip(*(self.forward_single(feat, level) for level, feat in enumerate(feats))))

    def forward_single(self, x: Tensor, level: int) -> tuple[Tensor, ...]:
        """Return the maps of one level."""
        cls_feat, reg_feat = self.towers(x, level)
        return self.rtm_cls[level](cls_feat), self.rtm_reg[level](reg_feat)

    def towers(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Return the features that classes and distances are predicted from, (B, feat_channels, H, W) each."""
        cls_feat = reg_feat = x
        for layer in self.cls_convs[level]:
            cls_feat = layer(cls_feat)
        for layer in self.reg_convs[level]:
            reg_feat = layer(reg_feat)
        return cls_feat, reg_feat


@MODELS.register_module()
class RTMDetHead(YOLOv5Head):
    """The RTMDet head.

    Args:
        head_module: config of the layers.
        prior_generator: config of the points.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, which takes labels and overlaps.
        loss_bbox: config of the box loss.
        train_cfg: settings of training: `assigner`.
        test_cfg: settings of prediction, see `prediction.detect`.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    loss_is_sum = False

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistancePointBBoxCoder'},
        loss_cls: dict = QUALITY_FOCAL_LOSS,
        loss_bbox: dict = {'type': 'mmdet.GIoULoss', 'loss_weight': 2.0},
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
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.loss_obj = None
        self.cls_out_channels = self.num_classes + (not loss_cls.get('use_sigmoid', False))

    def special_init(self) -> None:
        """Build the assigner and the sampler; called last when the head is built."""
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg['assigner'])
            self.sampler = build_sampler(self.train_cfg, self)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_gt_instances: GroundTruth,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: GroundTruth | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            batch_gt_instances: true boxes.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls` and `loss_bbox`, divided by the sum of the overlaps of predicted and true boxes.
        """
        return self.losses_of_boxes(cls_scores, bbox_preds, batch_gt_instances)[0]

    def losses_of_boxes(
        self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], batch_gt_instances: GroundTruth
    ) -> tuple[dict, Assigned]:
        """Return the losses of `loss_by_feat`, and what each prior is to predict."""
        priors = self.priors_for_training(cls_scores)  # (N, 4) x, y and twice the stride
        logits = by_prior(cls_scores).float()  # (B, N, num_classes)
        bboxes = self.decode_bboxes(priors[:, :2], by_prior(bbox_preds).float(), self.stride_tensor[:, 0])  # (B, N, 4)
        assigned = self.assign(logits, bboxes, priors, batch_gt_instances)
        losses = dict(
            loss_cls=self.classification_loss(logits, assigned), loss_bbox=self.regression_loss(bboxes, assigned)
        )
        return losses, assigned

    def assign(self, logits: Tensor, bboxes: Tensor, priors: Tensor, batch_gt_instances: GroundTruth) -> Assigned:
        """Find what each prior is to predict.

        Args:
            logits: (B, N, num_classes) class logits.
            bboxes: (B, N, D) predicted boxes in input pixels, in the form of the true ones.
            priors: (N, 4) x, y and twice the stride of the priors.
            batch_gt_instances: true boxes, of D values.

        Returns:
            The targets.
        """
        truth = pad_truth(batch_gt_instances, len(logits), like=priors)  # (B, G, ...) each
        result: dict[str, Tensor] = self.assigner(bboxes.detach(), logits.detach(), priors, *truth)
        labels, metrics = result['assigned_labels'], result['assign_metrics']  # (B, N) each
        positives = (labels >= 0) & (labels < self.num_classes)  # (B, N)
        avg_factor = reduce_mean(metrics.sum()).clamp(min=1)  # the sum of overlaps, not the number of positives
        return Assigned(
            labels, result['assigned_bboxes'], metrics, positives, avg_factor, result.get('assigned_gt_inds')
        )

    def classification_loss(self, logits: Tensor, assigned: Assigned) -> Tensor:
        """Return the loss of logits (B, N, num_classes)."""
        target = assigned.labels.flatten(), assigned.metrics.flatten()
        return self.loss_cls(logits.flatten(0, 1), target, avg_factor=assigned.avg_factor)

    def regression_loss(self, bboxes: Tensor, assigned: Assigned, target: Tensor | None = None) -> Tensor:
        """Return the loss of the boxes of positive priors.

        Args:
            bboxes: (B, N, D) predicted boxes.
            assigned: the targets.
            target: (B, N, D) true boxes in another form than those of `assigned`.

        Returns:
            The loss, 0 without positive priors.
        """
        positives = assigned.positives
        target = assigned.bboxes if target is None else target
        pred, weight = bboxes[positives], assigned.metrics[positives]  # (M, D), (M,)
        if len(pred) == 0:
            return bboxes.sum() * 0
        return self.loss_bbox(pred, target[positives], weight=weight, avg_factor=assigned.avg_factor)
