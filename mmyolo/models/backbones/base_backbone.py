"""What all YOLO backbones share: a stem, stages that each halve the resolution, plugins, freezing.

Unlike the public release, frozen stages need no gradient from construction on, so a data-parallel wrapper sees it, and
`train()` returns the module.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

from mmcv.cnn import build_plugin_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmyolo.errors import ArgumentValueError
from mmyolo.registry import MODELS

from ..utils import is_original


@MODELS.register_module()
class BaseBackbone(BaseModule, metaclass=ABCMeta):
    """Builds `stem`, `stage1`, `stage2`, ... from a table with a row per stage.

    Args:
        arch_setting: a row per stage; a subclass reads it, here only row[1], the unscaled output channels, is used.
        deepen_factor: scale of the number of blocks.
        widen_factor: scale of the number of channels.
        input_channels: channels of the image.
        out_indices: which outputs to return; 0 is the stem, i is stage i.
        frozen_stages: the stem and stages up to this one are not trained; -1 freezes nothing.
        plugins: layers to append to stages: `cfg` builds the layer, the optional `stages` says per stage whether it has
            one.
        norm_cfg: norm after each convolution.
        act_cfg: activation after each norm.
        norm_eval: whether batch norms keep their statistics in training.
        init_cfg: initialisation of mmengine.

    Raises:
        AssertionError: if `out_indices` names an output that does not exist.
        ValueError: if `frozen_stages` names a stage that does not exist.
    """

    def __init__(
        self,
        arch_setting: Sequence[Sequence],
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        plugins: dict | list[dict] | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_stages = len(arch_setting)
        if not set(out_indices) <= set(range(self.num_stages + 1)):
            raise AssertionError(f'out_indices must be among 0 (stem) to {self.num_stages}, got {tuple(out_indices)}')
        if frozen_stages not in range(-1, self.num_stages + 1):
            raise ValueError(f'frozen_stages must be from -1 (none) to {self.num_stages}, got {frozen_stages}')
        self.arch_setting = arch_setting
        self.deepen_factor = deepen_factor
        self.widen_factor = widen_factor
        self.input_channels = input_channels
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.plugins = plugins
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.norm_eval = norm_eval

        self.stem = self.build_stem_layer()
        self.layers = ['stem']
        for stage_idx, setting in enumerate(arch_setting):
            stage = self.build_stage_layer(stage_idx, setting)
            if plugins is not None:
                stage = stage + self.make_stage_plugins(plugins, stage_idx, setting)
            name = f'stage{stage_idx + 1}'
            self.add_module(name, nn.Sequential(*stage))
            self.layers.append(name)
        if is_original(self, '_freeze_stages'):  # another one may need what its class sets up after this
            self._freeze_stages()

    @abstractmethod
    def build_stem_layer(self) -> nn.Module:
        """Build what comes before the first stage."""

    @abstractmethod
    def build_stage_layer(self, stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Build the layers of a stage.

        Args:
            stage_idx: from 0.
            setting: the stage's row of the table.
        """

    def make_stage_plugins(self, plugins: dict | list[dict], stage_idx: int, setting: Sequence) -> list[nn.Module]:
        """Build the plugins of a stage, whose channels are int(setting[1] * widen_factor).

        Args:
            plugins: see the class.
            stage_idx: from 0.
            setting: the stage's row of the table.

        Raises:
            ValueError: if `stages` of a plugin has not one entry per stage.
        """
        layers = []
        for plugin in [plugins] if isinstance(plugins, dict) else plugins:
            stages = plugin.get('stages')
            if stages is not None and len(stages) != self.num_stages:
                raise ArgumentValueError(
                    f'stages of a plugin needs {self.num_stages} entries, one per stage, got {stages}'
                )
            if stages is None or stages[stage_idx]:
                layers.append(build_plugin_layer(plugin['cfg'], in_channels=int(setting[1] * self.widen_factor))[1])
        return layers

    def _freeze_stages(self) -> None:
        for name in self.layers[: self.frozen_stages + 1]:
            getattr(self, name).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'BaseBackbone':
        """Set training or evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, input_channels, H, W) -> the feature maps of `out_indices`, finest first."""
        outs = []
        for index, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
