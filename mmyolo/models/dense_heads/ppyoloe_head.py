"""The anchor-free head of PPYOLOE (2203.16250): classes, and distances to the four sides as distributions.

Unlike the public release, `loss_dfl` is computed of the distributions as they are predicted; there the logits of
different priors, sides and bins are mixed up.
"""

from collections.abc import Sequence

from mmdet.utils import reduce_mean
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo.registry import MODELS

from ..layers.ppyoloe_blocks import PPYOLOESELayer
from ..utils.defaults import ACT_CFG, PPYOLOE_NORM_CFG
from .distance_head_module import DistanceHeadModule, start_evenly, truncated_channels
from .task_aligned_head import GIOU_LOSS, POINTS, VARIFOCAL_LOSS, TaskAlignedHead


@MODELS.register_module()
class PPYOLOEHeadModule(DistanceHeadModule):
    """The layers of the PPYOLOE head: per level attention by channel and a prediction, for classes and for distances.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of every level, or of each, before scaling.
        widen_factor: width of the model.
        num_base_priors: points per cell, 1.
        featmap_strides: stride of each level.
        reg_max: largest distance of the distributions in strides.
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
        norm_cfg: dict = PPYOLOE_NORM_CFG,
        act_cfg: dict = ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        in_channels = truncated_channels(in_channels, widen_factor, len(featmap_strides))
        super().__init__(
            num_classes, in_channels, num_base_priors, featmap_strides, reg_max, norm_cfg, act_cfg, init_cfg
        )

    def _init_layers(self) -> None:
        cfg = {'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        self.cls_preds = nn.ModuleList(nn.Conv2d(c, self.num_classes, 3, padding=1) for c in self.in_channels)
        self.reg_preds = nn.ModuleList(nn.Conv2d(c, 4 * self.num_bins, 3, padding=1) for c in self.in_channels)
        self.cls_stems = nn.ModuleList(PPYOLOESELayer(c, **cfg) for c in self.in_channels)
        self.reg_stems = nn.ModuleList(PPYOLOESELayer(c, **cfg) for c in self.in_channels)

    def init_weights(self, prior_prob: float = 0.01) -> None:
        """Set the predictions to a score and to equally likely distances everywhere.

        Args:
            prior_prob: the score.
        """
        super().init_weights()
        start_evenly(self.cls_preds, self.reg_preds, prior_prob)

    @property
    def level_layers(self) -> tuple[nn.ModuleList, ...]:
        """The layers of each level."""
        return self.cls_stems, self.cls_preds, self.reg_stems, self.reg_preds

    def raw_single(
        self, x: Tensor, cls_stem: nn.Module, cls_pred: nn.Module, reg_stem: nn.Module, reg_pred: nn.Module
    ) -> tuple[Tensor, Tensor]:
        """Return the maps of one level, as `forward_raw` returns them."""
        mean = F.adaptive_avg_pool2d(x, 1)
        return cls_pred(cls_stem(x, mean) + x), reg_pred(reg_stem(x, mean))


@MODELS.register_module()
class PPYOLOEHead(TaskAlignedHead):
    """The PPYOLOE head. Losses are means over the soft targets of all ranks.

    Args:
        head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, loss_dfl, train_cfg, test_cfg, init_cfg: see
            `TaskAlignedHead`.
    """

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict = POINTS,
        bbox_coder: dict = {'type': 'DistancePointBBoxCoder'},
        loss_cls: dict = VARIFOCAL_LOSS,
        loss_bbox: dict = GIOU_LOSS,
        loss_dfl: dict = {'type': 'mmdet.DistributionFocalLoss', 'reduction': 'mean', 'loss_weight': 0.5 / 4},
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            head_module, prior_generator, bbox_coder, loss_cls, loss_bbox, loss_dfl, train_cfg, test_cfg, init_cfg
        )

    def divisor(self, total_score: Tensor) -> Tensor:
        """Return the sum of the soft targets, its mean over the ranks, at least 1."""
        return reduce_mean(total_score).clamp(min=1)

    def loss_scale(self, batch_size: int) -> float:
        """1: the mean over the ranks is in the divisor."""
        return 1.0
