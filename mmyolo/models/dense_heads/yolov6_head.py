"""The anchor-free head of YOLOv6 (2209.02976): classes and distances to the four sides.

As published, distributions of distances (v3, sizes m and l) are trained through the boxes alone, without a loss of
their own.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, NORM_CFG
from .distance_head_module import DistanceHeadModule, start_evenly, truncated_channels
from .task_aligned_head import GIOU_LOSS, POINTS, VARIFOCAL_LOSS, TaskAlignedHead


@MODELS.register_module()
class YOLOv6HeadModule(DistanceHeadModule):
    """The layers of the YOLOv6 head: per level a stem, then a convolution and a prediction for classes and distances.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of every level, or of each, before scaling.
        widen_factor: width of the model.
        num_base_priors: points per cell, 1.
        reg_max: largest distance of the distributions in strides; 0 regresses distances directly.
        featmap_strides: stride of each level.
        norm_cfg: config of the norm layers.
        act_cfg: config of the activations.
        init_cfg: initialisation, see mmengine's `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        widen_factor: float = 1.0,
        num_base_priors: int = 1,
        reg_max: int = 0,
        featmap_strides: Sequence[int] = (8, 16, 32),
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        in_channels = truncated_channels(in_channels, widen_factor, len(featmap_strides))
        super().__init__(
            num_classes, in_channels, num_base_priors, featmap_strides, reg_max, norm_cfg, act_cfg, init_cfg
        )

    def _init_layers(self) -> None:
        cfg = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        num_classes, num_sides = self.num_base_priors * self.num_classes, 4 * (self.num_base_priors + self.reg_max)
        self.cls_convs = nn.ModuleList(ConvModule(c, c, 3, padding=1, **cfg) for c in self.in_channels)
        self.reg_convs = nn.ModuleList(ConvModule(c, c, 3, padding=1, **cfg) for c in self.in_channels)
        self.cls_preds = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in self.in_channels)
        self.reg_preds = nn.ModuleList(nn.Conv2d(c, num_sides, 1) for c in self.in_channels)
        self.stems = nn.ModuleList(ConvModule(c, c, 1, **cfg) for c in self.in_channels)

    def init_weights(self, prior_prob: float = 0.01) -> None:
        """Set the predictions to a score and to a distance of 1 stride everywhere.

        Args:
            prior_prob: the score.
        """
        super().init_weights()
        start_evenly(self.cls_preds, self.reg_preds, prior_prob)

    @property
    def level_layers(self) -> tuple[nn.ModuleList, ...]:
        """The layers of each level."""
        return self.stems, self.cls_convs, self.cls_preds, self.reg_convs, self.reg_preds

    def raw_single(
        self,
        x: Tensor,
        stem: nn.Module,
        cls_conv: nn.Module,
        cls_pred: nn.Module,
        reg_conv: nn.Module,
        reg_pred: nn.Module,
    ) -> tuple[Tensor, Tensor]:
        """Return the maps of one level, as `forward_raw` returns them."""
        x = stem(x)
        return cls_pred(cls_conv(x)), reg_pred(reg_conv(x))


@MODELS.register_module()
class YOLOv6Head(TaskAlignedHead):
    """The YOLOv6 head. Losses are scaled with the number of ranks.

    Args:
        head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, train_cfg, test_cfg, init_cfg: see
            `TaskAlignedHead`.
    """

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistancePointBBoxCoder'},
        loss_cls: dict = VARIFOCAL_LOSS,
        loss_bbox: dict = GIOU_LOSS,
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

    def divisor(self, total_score: Tensor) -> Tensor:
        """Return the sum of the soft targets on this rank, 1 if there are none."""
        return torch.where(total_score > 0, total_score, 1)

    def loss_scale(self, batch_size: int) -> float:
        """Return the number of ranks."""
        return get_world_size()
