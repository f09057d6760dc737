"""The layers of YOLOv5's instance head: those of its head, and what draws prototypes of masks."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils import make_divisible
from ..utils.defaults import ACT_CFG, NORM_CFG
from .yolov5_head import YOLOv5HeadModule


class ProtoModule(BaseModule):
    """Draws the prototypes, at twice the resolution of its input.

    Args:
        in_channels: channels of the finest level.
        middle_channels: channels in between.
        mask_channels: prototypes.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
    """

    def __init__(
        self,
        *args,
        in_channels: int = 32,
        middle_channels: int = 256,
        mask_channels: int = 32,
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        cfg = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.conv1 = ConvModule(in_channels, middle_channels, 3, padding=1, **cfg)
        self.upsample = nn.Upsample(scale_factor=2, mode='nearest')
        self.conv2 = ConvModule(middle_channels, middle_channels, 3, padding=1, **cfg)
        self.conv3 = ConvModule(middle_channels, mask_channels, 1, **cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, mask_channels, 2 * H, 2 * W)."""
        return self.conv3(self.conv2(self.upsample(self.conv1(x))))


@MODELS.register_module()
class YOLOv5InsHeadModule(YOLOv5HeadModule):
    """The layers of the YOLOv5 instance head.

    Args:
        num_classes: classes of the detector.
        mask_channels: prototypes.
        proto_channels: channels of the layers that draw them, before scaling.
        widen_factor: width of the model.
        norm_cfg, act_cfg: norms and activations of those layers.
        *args, **kwargs: of `YOLOv5HeadModule`.
    """

    def __init__(
        self,
        *args,
        num_classes: int,
        mask_channels: int = 32,
        proto_channels: int = 256,
        widen_factor: float = 1.0,
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        **kwargs,
    ) -> None:
        self.mask_channels = mask_channels
        self.proto_channels = make_divisible(proto_channels, widen_factor)
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        super().__init__(num_classes, *args, widen_factor=widen_factor, **kwargs)

    def _init_layers(self) -> None:
        self.num_out_attrib = 5 + self.num_classes + self.mask_channels
        super()._init_layers()
        self.proto_pred = ProtoModule(
            in_channels=self.in_channels[0],
            middle_channels=self.proto_channels,
            mask_channels=self.mask_channels,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def forward(self, x: Sequence[Tensor]) -> tuple:
        """Predict maps.

        Args:
            x: feature map of each level.

        Returns:
            Per level class logits (B, A * num_classes, H, W), boxes (B, A * 4, H, W), objectness logits (B, A, H, W)
            and shares of the prototypes (B, A * mask_channels, H, W); the prototypes (B, mask_channels,
            2 * H0, 2 * W0).
        """
        return (*super().forward(x), self.proto_pred(x[0]))

    def forward_raw(self, x: Sequence[Tensor]) -> tuple:
        """As `forward`, with anchors in a dimension of their own, (B, A, C, H, W)."""
        return (*super().forward_raw(x), self.proto_pred(x[0]))

    def raw_single(self, x: Tensor, convs: nn.Module) -> tuple[Tensor, ...]:
        """Return the maps of one level, as `forward_raw` returns them."""
        pred = convs(x).unflatten(1, (self.num_base_priors, -1))
        bbox, objectness, cls, coeff = pred.split((4, 1, self.num_classes, self.mask_channels), dim=2)
        return cls, bbox, objectness, coeff
