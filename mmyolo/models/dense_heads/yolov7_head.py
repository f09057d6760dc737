"""The anchor-based heads of YOLOv7 (2207.02696): SimOTA among YOLOv5's matches; in P6 models also predictions that are
used in training only.

Unlike the public release, main and auxiliary predictions of P6 models start with biases of their own, instead of
sharing one tensor, and may have any number of anchors; the ground truth is not overwritten.
"""
from typing import Iterable, List, Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmyolo.registry import MODELS
from ..layers import ImplicitA, ImplicitM
from ..task_modules.assigners.batch_yolov7_assigner import BatchYOLOv7Assigner
from ..utils.defaults import ACT_CFG, NORM_CFG
from .ground_truth import GroundTruth, as_rows, parts_of_input
from .yolov5_head import YOLOv5Head, YOLOv5HeadModule

LevelMaps = Sequence[Union[Tensor, Sequence[Tensor]]]
"""Per level a map, or a main and an auxiliary map."""


@MODELS.register_module()
class YOLOv7HeadModule(YOLOv5HeadModule):
    """The layers of the YOLOv7 head: per level a convolution between implicit knowledge; arguments as of its parent."""

    class_margin = 0.99

    def _init_layers(self) -> None:
        self.convs_pred = nn.ModuleList(
            nn.Sequential(
                ImplicitA(channels), nn.Conv2d(channels, self.num_outputs, 1), ImplicitM(self.num_outputs))
            for channels in self.in_channels)

    def predicting_convs(self) -> Iterable[Tuple[nn.Conv2d, int]]:
        """The last convolutions, and the strides of their levels."""
        return zip((layers[1] for layers in self.convs_pred), self.featmap_strides)


@MODELS.register_module()
class YOLOv7p6HeadModule(YOLOv7HeadModule):
    """The layers of the YOLOv7 head of P6 models: a convolution more per level, and auxiliary predictions.

    Args:
        num_classes, in_channels, widen_factor, num_base_priors, featmap_strides, init_cfg: see `YOLOv7HeadModule`.
        main_out_channels: channels of each level before its prediction.
        aux_out_channels: channels of each level before its auxiliary prediction.
        use_aux: whether there are auxiliary predictions.
        norm_cfg: config of the norm layers.
        act_cfg: config of the activations.
    """

    def __init__(self,
                 *args,
                 main_out_channels: Sequence[int] = (256, 512, 768, 1024),
                 aux_out_channels: Sequence[int] = (320, 640, 960, 1280),
                 use_aux: bool = True,
                 norm_cfg: Optional[dict] = NORM_CFG,
                 act_cfg: Optional[dict] = ACT_CFG,
                 **kwargs) -> None:
        self.main_out_channels = main_out_channels
        self.aux_out_channels = aux_out_channels
        self.use_aux = use_aux
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        super().__init__(*args, **kwargs)

    def _init_layers(self) -> None:
        cfg = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.main_convs_pred = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, main, 3, padding=1, **cfg), ImplicitA(main),
                nn.Conv2d(main, self.num_outputs, 1), ImplicitM(self.num_outputs))
            for channels, main in zip(self.in_channels, self.main_out_channels))
        self.aux_convs_pred = [None] * len(self.main_convs_pred)
        if self.use_aux:
            self.aux_convs_pred = nn.ModuleList(
                nn.Sequential(ConvModule(channels, aux, 3, padding=1, **cfg), nn.Conv2d(aux, self.num_outputs, 1))
                for channels, aux in zip(self.in_channels, self.aux_out_channels))

    def predicting_convs(self) -> Iterable[Tuple[nn.Conv2d, int]]:
        """As in the parent, of main and auxiliary predictions."""
        main = [layers[2] for layers in self.main_convs_pred]
        aux = [layers[1] for layers in self.aux_convs_pred] if self.use_aux else []
        return zip(main + aux, self.featmap_strides * 2)

    def forward(self, x: Sequence[Tensor]) -> Tuple[List, ...]:
        """As in the parent; in training with auxiliary predictions, a main and an auxiliary map per level."""
        return tuple([_flatten(level) for level in kind] for kind in self.forward_raw(x))

    def forward_raw(self, x: Sequence[Tensor]) -> Tuple[List, ...]:
        """As `forward`, with anchors in a dimension of their own, (B, A, C, H, W)."""
        main = list(map(self.forward_single, x, self.main_convs_pred))
        if self.training and self.use_aux:
            aux = map(self.forward_single, x, self.aux_convs_pred)
            main = [[list(pair) for pair in zip(*level)] for level in zip(main, aux)]
        return tuple(map(list, zip(*main)))


@MODELS.register_module()
class YOLOv7Head(YOLOv5Head):
    """The YOLOv7 head.

    Args:
        args, kwargs: see `YOLOv5Head`; boxes to ignore have no effect.
        simota_candidate_topk, simota_iou_weight, simota_cls_weight: see `BatchYOLOv7Assigner`.
        aux_loss_weights: weight of the losses of auxiliary predictions.
    """

    def __init__(self,
                 *args,
                 simota_candidate_topk: int = 20,
                 simota_iou_weight: float = 3.0,
                 simota_cls_weight: float = 1.0,
                 aux_loss_weights: float = 0.25,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.aux_loss_weights = aux_loss_weights
        self.assigner = BatchYOLOv7Assigner(
            num_classes=self.num_classes,
            num_base_priors=self.num_base_priors,
            featmap_strides=self.featmap_strides,
            prior_match_thr=self.prior_match_thr,
            candidate_topk=simota_candidate_topk,
            iou_weight=simota_iou_weight,
            cls_weight=simota_cls_weight)

    def loss_by_feat(self,
                     cls_scores: LevelMaps,
                     bbox_preds: LevelMaps,
                     objectnesses: LevelMaps,
                     batch_gt_instances: GroundTruth,
                     batch_img_metas: Sequence[dict],
                     batch_gt_instances_ignore: Optional[GroundTruth] = None) -> dict:
        """Computes the losses of a batch from maps.

        Args:
            cls_scores, bbox_preds, objectnesses: what `forward` or `forward_raw` returns.
            batch_gt_instances: true boxes.
            batch_img_metas: meta information of each image; of the first, `batch_input_shape` (height, width).
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_obj` and `loss_bbox`, (1,) each, scaled with the number of images over all ranks.
        """
        maps = cls_scores, bbox_preds, objectnesses
        if isinstance(cls_scores[0], Tensor):
            main, aux = tuple(map(self.split_anchors, maps)), None
        else:
            main, aux = (tuple(self.split_anchors([level[part] for level in kind]) for kind in maps)
                         for part in (0, 1))
        rows = as_rows(batch_gt_instances).to(main[0][0].device, torch.float)
        gt_bboxes = parts_of_input(rows, batch_img_metas)
        input_shape = batch_img_metas[0]['batch_input_shape'][:2]

        losses = self._losses_of(main, main, rows, gt_bboxes, input_shape, self.near_neighbor_thr)
        if aux is not None:
            # More neighbours than for the main predictions, and chosen by what those predict.
            aux_losses = self._losses_of(aux, main, rows, gt_bboxes, input_shape, 2 * self.near_neighbor_thr)
            losses = {name: loss + self.aux_loss_weights * aux_losses[name] for name, loss in losses.items()}
        return losses

    def _losses_of(self, maps: Sequence[List[Tensor]], guide: Sequence[List[Tensor]], rows: Tensor, gt_bboxes: Tensor,
                   input_shape: Tuple[int, int], neighbor_thr: float) -> dict:
        """The losses of predictions with anchors that are chosen by what `guide` predicts."""
        candidates = self.match(gt_bboxes, maps[0], neighbor_thr)
        images = rows[candidates.gt, 0].long()
        cls_pred, bbox_pred, obj_pred = (candidates.gather(levels, images).detach().float() for levels in guide)
        sizes = [tuple(level.shape[-2:]) for level in maps[0]]
        matches = self.assigner.select(candidates, cls_pred, bbox_pred, obj_pred.squeeze(1), rows[:, :2].long(),
                                       gt_bboxes, input_shape, self.priors_base_sizes, sizes)
        return self.losses_of_matches(*maps, rows, matches)


def _flatten(level: Union[Tensor, Sequence[Tensor]]) -> Union[Tensor, List[Tensor]]:
    return level.flatten(1, -3) if isinstance(level, Tensor) else [_flatten(part) for part in level]
