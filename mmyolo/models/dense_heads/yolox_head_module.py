"""The layers of the YOLOX head (arXiv 2107.08430, section 2.1): per level a tower for classes and one for boxes."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.utils import multi_apply
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from mmyolo.registry import MODELS

from ..utils.defaults import ACT_CFG, NORM_CFG


@MODELS.register_module()
class YOLOXHeadModule(BaseModule):
    """The layers of the YOLOX head.

    Args:
        num_classes: classes of the detector.
        in_channels: channels of every level before scaling.
        widen_factor: width of the model; channels are not rounded to a multiple of 8.
        num_base_priors: points per cell.
        feat_channels: channels of the towers before scaling.
        stacked_convs: convolutions of a tower.
        featmap_strides: stride of each level.
        use_depthwise: whether the towers' convolutions are depthwise separable.
        dcn_on_last_conv: whether the last one of a tower is deformable, which needs compiled ops of mmcv.
        conv_bias: whether the towers' convolutions have a bias; 'auto' where there is no norm.
        conv_cfg: config of the towers' convolutions.
        norm_cfg: config of the norm layers.
        act_cfg: config of the activations.
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
        use_depthwise: bool = False,
        dcn_on_last_conv: bool = False,
        conv_bias: bool | str = 'auto',
        conv_cfg: dict | None = None,
        norm_cfg: dict = NORM_CFG,
        act_cfg: dict = ACT_CFG,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if conv_bias not in ('auto', True, False):
            raise ValueError(f"conv_bias of {type(self).__name__} is {conv_bias!r}, allowed are 'auto', True and False")
        self.num_classes = num_classes
        self.in_channels = int(in_channels * widen_factor)
        self.feat_channels = int(feat_channels * widen_factor)
        self.num_base_priors = num_base_priors
        self.stacked_convs = stacked_convs
        self.featmap_strides = featmap_strides
        self.num_levels = len(featmap_strides)
        self.use_depthwise = use_depthwise
        self.dcn_on_last_conv = dcn_on_last_conv
        self.conv_bias = conv_bias
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self._init_layers()

    def _init_layers(self) -> None:
        self.multi_level_cls_convs = self._towers()
        self.multi_level_reg_convs = self._towers()
        self.multi_level_conv_cls = self._outputs(self.num_classes)
        self.multi_level_conv_reg = self._outputs(4)
        self.multi_level_conv_obj = self._outputs(1)

    def _towers(self) -> nn.ModuleList:
        return nn.ModuleList(self._tower() for _ in self.featmap_strides)

    def _tower(self) -> nn.Sequential:
        conv = DepthwiseSeparableConvModule if self.use_depthwise else ConvModule
        layers = []
        for index in range(self.stacked_convs):
            is_last = index == self.stacked_convs - 1
            layers.append(
                conv(
                    self.feat_channels if index else self.in_channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    conv_cfg={'type': 'DCNv2'} if self.dcn_on_last_conv and is_last else self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                    bias=self.conv_bias,
                )
            )
        return nn.Sequential(*layers)

    def _outputs(self, channels: int) -> nn.ModuleList:
        return nn.ModuleList(
            nn.Conv2d(self.feat_channels, self.num_base_priors * channels, 1) for _ in self.featmap_strides
        )

    def init_weights(self) -> None:
        """Set the biases of classes and objectness to a score of 0.01."""
        super().init_weights()
        self._expect_little(self.multi_level_conv_cls, self.multi_level_conv_obj)

    @staticmethod
    def _expect_little(*outputs: nn.ModuleList) -> None:
        for convs in outputs:
            for conv in convs:
                conv.bias.data.fill_(bias_init_with_prob(0.01))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps.

        Args:
            x: feature map of each level.

        Returns:
            Per level class logits (B, num_classes, H, W), boxes (B, 4, H, W) as `YOLOXBBoxCoder` takes them and
            objectness logits (B, 1, H, W).
        """
        return multi_apply(
            self.forward_single,
            x,
            self.multi_level_cls_convs,
            self.multi_level_reg_convs,
            self.multi_level_conv_cls,
            self.multi_level_conv_reg,
            self.multi_level_conv_obj,
        )

    def forward_single(
        self,
        x: Tensor,
        cls_convs: nn.Module,
        reg_convs: nn.Module,
        conv_cls: nn.Module,
        conv_reg: nn.Module,
        conv_obj: nn.Module,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps of one level, as `forward` returns them.

        Args:
            x: feature map of the level.
            cls_convs: tower of the classes.
            reg_convs: tower of the boxes.
            conv_cls: last convolution of the classes.
            conv_reg: last convolution of the boxes.
            conv_obj: last convolution of the objectness.
        """
        reg_feat = reg_convs(x)
        return conv_cls(cls_convs(x)), conv_reg(reg_feat), conv_obj(reg_feat)


@MODELS.register_module()
class YOLOXPoseHeadModule(YOLOXHeadModule):
    """The layers of YOLOX-pose: those of YOLOX, and per level a tower of twice the depth for keypoints.

    Args:
        num_keypoints: keypoints of an object.
        *args, **kwargs: of `YOLOXHeadModule`.
    """

    def __init__(self, num_keypoints: int, *args, **kwargs) -> None:
        self.num_keypoints = num_keypoints
        super().__init__(*args, **kwargs)

    def _init_layers(self) -> None:
        super()._init_layers()
        self.stacked_convs *= 2
        self.multi_level_pose_convs = self._towers()
        self.multi_level_conv_offsets = self._outputs(2 * self.num_keypoints)
        self.multi_level_conv_vis = self._outputs(self.num_keypoints)

    def init_weights(self) -> None:
        """Set the biases of classes, objectness and visibility to a score of 0.01."""
        super().init_weights()
        self._expect_little(self.multi_level_conv_vis)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict maps.

        Args:
            x: feature map of each level.

        Returns:
            As `YOLOXHeadModule.forward`; then per level the keypoints' offsets (B, num_keypoints * 2, H, W) from the
            cell's corner in strides, x before y, and the logits of their visibility (B, num_keypoints, H, W).
        """
        keypoints = [tower(level) for tower, level in zip(self.multi_level_pose_convs, x)]
        return (
            *super().forward(x),
            _each(self.multi_level_conv_offsets, keypoints),
            _each(self.multi_level_conv_vis, keypoints),
        )


def _each(convs: nn.ModuleList, levels: Sequence[Tensor]) -> list[Tensor]:
    return [conv(level) for conv, level in zip(convs, levels)]
