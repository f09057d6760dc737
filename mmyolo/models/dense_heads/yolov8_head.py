"""The anchor-free head of YOLOv8: classes and distances to the four sides, the latter as distributions (2006.04388)."""

import math
from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils import make_divisible
from ..utils.defaults import ACT_CFG, NORM_CFG
from .distance_head_module import DistanceHeadModule
from .task_aligned_head import POINTS, TaskAlignedHead


@MODELS.register_module()
class YOLOv8HeadModule(DistanceHeadModule):
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

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        widen_factor: float = 1.0,
        num_base_priors: int = 1,
        featmap_strides: Sequence[int] = (8, 16, 32),
        reg_max: int = 16,
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        in_channels = [make_divisible(channels, widen_factor) for channels in in_channels]
        super().__init__(
            num_classes, in_channels, num_base_priors, featmap_strides, reg_max, norm_cfg, act_cfg, init_cfg
        )

    @property
    def num_bins(self) -> int:
        """Bins of the distribution of a distance; 1 if distances are regressed directly."""
        return max(self.reg_max, 1)

    def _init_layers(self) -> None:
        reg_channels = max(16, self.in_channels[0] // 4, self.reg_max * 4)
        cls_channels = max(self.in_channels[0], self.num_classes)
        self.cls_preds = nn.ModuleList(
            self._tower(channels, cls_channels, self.num_classes) for channels in self.in_channels
        )
        self.reg_preds = nn.ModuleList(
            self._tower(channels, reg_channels, 4 * self.num_bins) for channels in self.in_channels
        )

    def _tower(self, in_channels: int, channels: int, out_channels: int) -> nn.Sequential:
        cfg = {'kernel_size': 3, 'padding': 1, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        return nn.Sequential(
            ConvModule(in_channels, channels, **cfg),
            ConvModule(channels, channels, **cfg),
            nn.Conv2d(channels, out_channels, 1),
        )

    def init_weights(self, prior_prob: float = 0.01) -> None:
        """Set the last biases, those of the classes to expect 5 objects per 640 px image, evenly over the classes.

        Args:
            prior_prob: not used, as in the public release.
        """
        super().init_weights()
        for cls_pred, reg_pred, stride in zip(self.cls_preds, self.reg_preds, self.featmap_strides):
            reg_pred[-1].bias.data.fill_(1.0)
            cls_pred[-1].bias.data.fill_(math.log(5 / self.num_classes / (640 / stride) ** 2))

    @property
    def level_layers(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """The towers of each level."""
        return self.cls_preds, self.reg_preds

    def raw_single(self, x: Tensor, cls_pred: nn.Module, reg_pred: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the maps of one level, as `forward_raw` returns them."""
        return cls_pred(x), reg_pred(x)


@MODELS.register_module()
class YOLOv8Head(TaskAlignedHead):
    """The YOLOv8 head. Losses are scaled with the number of images over all ranks.

    Args:
        head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, loss_dfl, train_cfg, test_cfg, init_cfg: see
            `TaskAlignedHead`.
    """

    loss_is_sum = True

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistancePointBBoxCoder'},
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='none', loss_weight=0.5),
        loss_bbox: dict = dict(
            type='IoULoss', iou_mode='ciou', bbox_format='xyxy', reduction='sum', loss_weight=7.5, return_iou=False
        ),
        loss_dfl: dict = {'type': 'mmdet.DistributionFocalLoss', 'reduction': 'mean', 'loss_weight': 1.5 / 4},
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, loss_dfl, train_cfg, test_cfg, init_cfg
        )

    def divisor(self, total_score: Tensor) -> Tensor:
        """Return the sum of the soft targets, at least 1."""
        return total_score.clamp(min=1)

    def loss_scale(self, batch_size: int) -> float:
        """Return the images over all ranks."""
        return batch_size * get_world_size()
