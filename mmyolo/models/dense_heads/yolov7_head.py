"""The anchor-based heads of YOLOv7 (2207.02696): SimOTA among YOLOv5's matches; in P6 models also predictions that are
used in training only.

Unlike the public release, main and auxiliary predictions of P6 models start with biases of their own, instead of
sharing one tensor, and may have any number of anchors; the ground truth is not overwritten.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.models.utils import multi_apply
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..layers import ImplicitA, ImplicitM
from ..task_modules.assigners.anchor_matching import matches_of_targets
from ..task_modules.assigners.batch_yolov7_assigner import BatchYOLOv7Assigner
from ..utils.defaults import ACT_CFG, NORM_CFG
from .ground_truth import GroundTruth
from .yolov5_head import YOLOv5Head, YOLOv5HeadModule

LevelMaps = Sequence[Tensor | Sequence[Tensor]]
"""Per level a map, or a main and an auxiliary map."""


@MODELS.register_module()
class YOLOv7HeadModule(YOLOv5HeadModule):
    """The layers of the YOLOv7 head: per level a convolution between implicit knowledge; arguments as of its parent."""

    class_margin = 0.99

    def _init_layers(self) -> None:
        self.convs_pred = nn.ModuleList(
            nn.Sequential(ImplicitA(channels), nn.Conv2d(channels, self.num_outputs, 1), ImplicitM(self.num_outputs))
            for channels in self.in_channels
        )

    def predicting_convs(self) -> Iterable[tuple[nn.Conv2d, int]]:
        """Return the last convolutions, and the strides of their levels."""
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

    def __init__(
        self,
        *args,
        main_out_channels: Sequence[int] = (256, 512, 768, 1024),
        aux_out_channels: Sequence[int] = (320, 640, 960, 1280),
        use_aux: bool = True,
        norm_cfg: dict | None = NORM_CFG,
        act_cfg: dict | None = ACT_CFG,
        **kwargs,
    ) -> None:
        self.main_out_channels = main_out_channels
        self.aux_out_channels = aux_out_channels
        self.use_aux = use_aux
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        super().__init__(*args, **kwargs)

    def _init_layers(self) -> None:
        cfg = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        self.main_convs_pred = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, main, 3, padding=1, **cfg),
                ImplicitA(main),
                nn.Conv2d(main, self.num_outputs, 1),
                ImplicitM(self.num_outputs),
            )
            for channels, main in zip(self.in_channels, self.main_out_channels)
        )
        self.aux_convs_pred = [None] * len(self.main_convs_pred)
        if self.use_aux:
            self.aux_convs_pred = nn.ModuleList(
                nn.Sequential(ConvModule(channels, aux, 3, padding=1, **cfg), nn.Conv2d(aux, self.num_outputs, 1))
                for channels, aux in zip(self.in_channels, self.aux_out_channels)
            )

    def predicting_convs(self) -> Iterable[tuple[nn.Conv2d, int]]:
        """As in the parent, of main and auxiliary predictions."""
        main = [layers[2] for layers in self.main_convs_pred]
        aux = [layers[1] for layers in self.aux_convs_pred] if self.use_aux else []
        return zip(main + aux, self.featmap_strides * 2)

    def forward(self, x: Sequence[Tensor]) -> tuple[list, ...]:
        """As in the parent; in training with auxiliary predictions, a main and an auxiliary map per level."""
        return multi_apply(self.forward_single, x, self.main_convs_pred, self.aux_convs_pred)

    def forward_single(self, x: Tensor, convs: nn.Module, aux_convs: nn.Module | None) -> tuple:
        """Return the maps of one level, as `forward` returns them.

        Args:
            x: feature map of the level.
            convs: its layers.
            aux_convs: its layers of auxiliary predictions, None without.
        """
        return self._of_level(super().forward_single, x, convs, aux_convs)

    def forward_raw(self, x: Sequence[Tensor]) -> tuple[list, ...]:
        """As `forward`, with anchors in a dimension of their own, (B, A, C, H, W)."""
        levels = zip(x, self.main_convs_pred, self.aux_convs_pred)
        return tuple(map(list, zip(*(self._of_level(self.raw_single, *level) for level in levels))))

    def _of_level(self, predict: Callable, x: Tensor, convs: nn.Module, aux_convs: nn.Module | None) -> tuple:
        main = predict(x, convs)
        if not (self.training and self.use_aux):
            return main
        return tuple(map(list, zip(main, predict(x, aux_convs))))


@MODELS.register_module()
class YOLOv7Head(YOLOv5Head):
    """The YOLOv7 head.

    Args:
        args, kwargs: see `YOLOv5Head`; boxes to ignore have no effect.
        simota_candidate_topk, simota_iou_weight, simota_cls_weight: see `BatchYOLOv7Assigner`.
        aux_loss_weights: weight of the losses of auxiliary predictions.
    """

    def __init__(
        self,
        *args,
        simota_candidate_topk: int = 20,
        simota_iou_weight: float = 3.0,
        simota_cls_weight: float = 1.0,
        aux_loss_weights: float = 0.25,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.aux_loss_weights = aux_loss_weights
        self.assigner = BatchYOLOv7Assigner(
            num_classes=self.num_classes,
            num_base_priors=self.num_base_priors,
            featmap_strides=self.featmap_strides,
            prior_match_thr=self.prior_match_thr,
            candidate_topk=simota_candidate_topk,
            iou_weight=simota_iou_weight,
            cls_weight=simota_cls_weight,
        )

    def loss_by_feat(
        self,
        cls_scores: LevelMaps,
        bbox_preds: LevelMaps,
        objectnesses: LevelMaps,
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
            batch_gt_instances_ignore: not used.

        Returns:
            `loss_cls`, `loss_obj` and `loss_bbox`, (1,) each, scaled with the number of images over all ranks.
        """
        maps = bbox_preds, objectnesses, cls_scores
        if isinstance(cls_scores[0], Tensor):
            main, aux = self._merge_predict_results(*maps), None
        else:
            main, aux = (
                self._merge_predict_results(*([level[part] for level in kind] for kind in maps)) for part in (0, 1)
            )
        targets = self._targets_in_batch(batch_gt_instances, batch_img_metas, main)
        input_shape = batch_img_metas[0]['batch_input_shape'][:2]

        losses = self._losses_of(main, main, targets, input_shape, self.near_neighbor_thr)
        if aux is not None:
            # More neighbours than for the main predictions, and chosen by what those predict.
            aux_losses = self._losses_of(aux, main, targets, input_shape, 2 * self.near_neighbor_thr)
            losses = {name: loss + self.aux_loss_weights * aux_losses[name] for name, loss in losses.items()}
        return losses

    def _merge_predict_results(
        self, bbox_preds: Sequence[Tensor], objectnesses: Sequence[Tensor], cls_scores: Sequence[Tensor]
    ) -> list[Tensor]:
        """Join what an anchor predicts.

        Args:
            bbox_preds: box predictions per level, as `forward` or `forward_raw` returns them.
            objectnesses: objectness logits per level.
            cls_scores: class logits per level.

        Returns:
            Per level (B, A, H, W, 5 + num_classes): box, objectness and classes.
        """
        levels = zip(*map(self.split_anchors, (bbox_preds, objectnesses, cls_scores)))  # (B, A, 4 or 1 or C, H, W) each
        return [torch.cat(level, dim=2).permute(0, 1, 3, 4, 2) for level in levels]

    def _losses_of(
        self,
        preds: Sequence[Tensor],
        guide: Sequence[Tensor],
        targets: Tensor,
        input_shape: tuple[int, int],
        neighbor_thr: float,
    ) -> dict:
        """Return the losses of predictions with anchors that are chosen by what `guide` predicts.

        Args:
            preds: see `_merge_predict_results`.
            guide: see `_merge_predict_results`.
            targets: see `_convert_gt_to_norm_format`.
            input_shape: height and width of the input.
            neighbor_thr: see `BatchYOLOv7Assigner`.
        """
        found = self.assigner(
            guide, targets, input_shape, self.priors_base_sizes, self.grid_offset, near_neighbor_thr=neighbor_thr
        )
        targets = found['mlvl_targets_normed']
        sizes = [tuple(level.shape[2:4]) for level in preds]
        # What the assigner gives by level, as the M pairs that YOLOv5's losses take.
        matches = matches_of_targets(found['mlvl_positive_infos'], targets, sizes)
        bbox_preds, objectnesses, cls_scores = zip(
            *(level.permute(0, 1, 4, 2, 3).split((4, 1, self.num_classes), dim=2) for level in preds)
        )
        return self.losses_of_matches(cls_scores, bbox_preds, objectnesses, torch.cat(tuple(targets)), matches)
