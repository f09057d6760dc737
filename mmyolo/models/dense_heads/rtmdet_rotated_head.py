"""The head of RTMDet-R, for rotated boxes (arXiv 2212.07784, section 3.5): that of RTMDet with an angle per prior.

Needs no mmrotate and trains on any device, both unlike the public release. The config of the layers is not changed.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, distance2bbox, get_box_type
from mmengine.model import normal_init
from mmengine.structures import InstanceData
from torch import Tensor

import mmyolo.standins.mmrotate.structures  # noqa: F401  (registers the box types)
from mmyolo.registry import MODELS, TASK_UTILS

from ..task_modules.coders.distance_angle_point_coder import distance2obb
from .ground_truth import GroundTruth
from .maps import by_prior
from .prediction import BatchDetections
from .rtmdet_head import POINTS, QUALITY_FOCAL_LOSS, RTMDetHead, RTMDetSepBNHeadModule


@MODELS.register_module()
class RTMDetRotatedSepBNHeadModule(RTMDetSepBNHeadModule):
    """The layers of the RTMDet-R head: those of RTMDet, and a convolution that predicts the angle.

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
        angle_out_dim: numbers that an angle is predicted as.
        **kwargs: `conv_cfg`, `norm_cfg`, `act_cfg` and `init_cfg` of RTMDetSepBNHeadModule.
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
        angle_out_dim: int = 1,
        **kwargs,
    ) -> None:
        self.angle_out_dim = angle_out_dim
        super().__init__(
            num_classes,
            in_channels,
            widen_factor=widen_factor,
            num_base_priors=num_base_priors,
            feat_channels=feat_channels,
            stacked_convs=stacked_convs,
            featmap_strides=featmap_strides,
            share_conv=share_conv,
            pred_kernel_size=pred_kernel_size,
            **kwargs,
        )

    def _init_layers(self) -> None:
        super()._init_layers()
        self.rtm_ang = self._predictors(self.num_base_priors * self.angle_out_dim)

    def _init_normal(self) -> None:
        super()._init_normal()
        for layer in self.rtm_ang:
            normal_init(layer, std=0.01)

    def forward_single(self, x: Tensor, level: int) -> tuple[Tensor, ...]:
        """Return the maps of one level: classes, distances and angles."""
        cls_feat, reg_feat = self.towers(x, level)
        return self.rtm_cls[level](cls_feat), self.rtm_reg[level](reg_feat), self.rtm_ang[level](reg_feat)


@MODELS.register_module()
class RTMDetRotatedHead(RTMDetHead):
    """The RTMDet-R head.

    Boxes and angles are trained together, by the overlap of rotated boxes; or apart, with `loss_angle`.

    Args:
        head_module: config of the layers; `angle_out_dim` comes from `angle_coder`.
        prior_generator: config of the points.
        bbox_coder: config of what boxes are regressed as.
        loss_cls: config of the classification loss, which takes labels and overlaps.
        loss_bbox: config of the box loss, of rotated boxes or, with `use_hbbox_loss`, of horizontal ones.
        angle_version: convention of angles, see `norm_angle`.
        use_hbbox_loss: whether `loss_bbox` takes boxes as if they were not turned; needs `loss_angle`.
        angle_coder: config of what angles are regressed as.
        loss_angle: config of the loss of angles, None for none.
        train_cfg: settings of training: `assigner`.
        test_cfg: settings of prediction, see `prediction.detect`, and `decode_with_angle` (True): False decodes boxes
            as if they were not turned, and turns them around their middle.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistanceAnglePointCoder'},
        loss_cls: dict = QUALITY_FOCAL_LOSS,
        loss_bbox: dict = {'type': 'mmrotate.RotatedIoULoss', 'mode': 'linear', 'loss_weight': 2.0},
        angle_version: str = 'le90',
        use_hbbox_loss: bool = False,
        angle_coder: dict = {'type': 'mmrotate.PseudoAngleCoder'},
        loss_angle: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        assert loss_angle is not None or not use_hbbox_loss, (
            'RTMDetRotatedHead(use_hbbox_loss=True) learns angles from loss_angle alone: give its config'
        )
        angle_coder = TASK_UTILS.build(angle_coder)
        if head_module.get('angle_out_dim', angle_coder.encode_size) != angle_coder.encode_size:
            warnings.warn(
                f'angle_out_dim of head_module is {head_module["angle_out_dim"]}, but the angle coder needs '
                f'{angle_coder.encode_size}, which is taken'
            )
        super().__init__(
            dict(head_module, angle_out_dim=angle_coder.encode_size),
            prior_generator,
            bbox_coder,
            loss_cls,
            loss_bbox,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.angle_version = angle_version
        self.use_hbbox_loss = use_hbbox_loss
        self.angle_coder = angle_coder
        self.loss_angle = None if loss_angle is None else MODELS.build(loss_angle)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        angle_preds: Sequence[Tensor],
        batch_gt_instances: GroundTruth,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: GroundTruth | None = None,
    ) -> dict:
        """Compute the losses of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            angle_preds: angles per level.
            batch_gt_instances: true rotated boxes; as one tensor, rows of image index, label and box.
            batch_img_metas: not needed.
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_bbox` and, if there is one, `loss_angle`, divided by the sum of the overlaps of predicted
            and true boxes.
        """
        priors = self.priors_for_training(cls_scores)
        points, strides = priors[:, :2], self.stride_tensor[:, 0]
        # (B, N, num_classes), (B, N, 4) distances in strides, (B, N, angle_out_dim).
        logits, sides, angles = (by_prior(maps).float() for maps in (cls_scores, bbox_preds, angle_preds))
        sides = sides * strides[:, None]  # (B, N, 4) in input pixels
        distances = torch.cat((sides, self.angle_coder.decode(angles, keepdim=True)), dim=-1)  # (B, N, 5)
        bboxes = distance2obb(points, distances, self.angle_version)  # (B, N, 5) rotated boxes
        assigned = self.assign(logits, bboxes, priors, batch_gt_instances)
        losses = {'loss_cls': self.classification_loss(logits, assigned)}
        if self.use_hbbox_loss:
            target = bbox_cxcywh_to_xyxy(assigned.bboxes[..., :4])
            # The angle has a loss of its own, so boxes are compared as if they were not turned.
            losses['loss_bbox'] = self.regression_loss(distance2bbox(points, sides), assigned, target)
        else:
            losses['loss_bbox'] = self.regression_loss(bboxes, assigned)
        if self.loss_angle is not None:
            losses['loss_angle'] = self._angle_loss(angles, assigned)
        return losses

    def _angle_loss(self, angles: Tensor, assigned) -> Tensor:
        """Return the loss of the angles (B, N, angle_out_dim) of positive priors."""
        positives = assigned.positives
        pred = angles[positives]  # (M, angle_out_dim)
        if len(pred) == 0:
            return angles.sum() * 0
        target = self.angle_coder.encode(assigned.bboxes[positives][:, 4:])  # (M, angle_out_dim)
        return self.loss_angle(pred, target, weight=assigned.metrics[positives], avg_factor=assigned.avg_factor)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        angle_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor] | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Predict the boxes of a batch from maps.

        Args:
            cls_scores: class logits per level, as `forward` returns them.
            bbox_preds: box predictions per level.
            angle_preds: angles per level.
            objectnesses: not used by this family.
            batch_img_metas: meta information of each image.
            cfg: settings, by default `test_cfg`.
            rescale: return boxes in pixels of the original images.
            with_nms: False returns what would enter NMS.

        Returns:
            `bboxes` (n, 5) RotatedBoxes, `scores` (n,) and `labels` (n,) of each image, best first.
        """
        boxes = self.predict_batch((cls_scores, bbox_preds, angle_preds), batch_img_metas, cfg, rescale, with_nms)
        box_class = get_box_type('rbox')[1]
        return [one.instances(bboxes=box_class(one.bboxes, clone=False)) for one in boxes.split()]

    def predict_batch(
        self,
        maps: Sequence[Sequence[Tensor]],
        batch_img_metas: Sequence[dict],
        cfg: Mapping | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> BatchDetections:
        """Predict the rotated boxes of a batch as a few flat tensors; arguments as of `BaseYOLOHead`."""
        cls_scores, bbox_preds, angle_preds = maps
        preds = [torch.cat(level, dim=1) for level in zip(bbox_preds, angle_preds)]  # (B, 4 + angle_out_dim, H, W)
        return super().predict_batch((cls_scores, preds), batch_img_metas, cfg, rescale, with_nms)

    def decoder(self, cfg: Mapping) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """As in the base class; without `decode_with_angle` boxes are decoded as if they were not turned."""
        return self.decode_bboxes if cfg.get('decode_with_angle', True) else self._decode_upright

    def decode_bboxes(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """Decode predictions of priors.

        Args:
            priors: (N, 2) points in input pixels.
            bbox_preds: (B, N, 4 + angle_out_dim) predictions.
            strides: (N,) strides of the priors.

        Returns:
            (B, N, 5) rotated boxes in input pixels.
        """
        angles = self.angle_coder.decode(bbox_preds[..., 4:], keepdim=True)
        return self.bbox_coder.decode(priors, torch.cat((bbox_preds[..., :4], angles), dim=-1), strides)

    def _decode_upright(self, priors: Tensor, bbox_preds: Tensor, strides: Tensor) -> Tensor:
        """As `decode_bboxes`, with distances along x and y and a coder of horizontal boxes."""
        x1y1, x2y2 = self.bbox_coder.decode(priors, bbox_preds[..., :4], strides).split(2, dim=-1)
        angles = self.angle_coder.decode(bbox_preds[..., 4:], keepdim=True)
        return torch.cat(((x1y1 + x2y2) / 2, x2y2 - x1y1, angles), dim=-1)
