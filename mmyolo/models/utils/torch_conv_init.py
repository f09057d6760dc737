"""The rule by which YOLO backbones and necks are initialised."""

from torch import nn


class TorchConvInit:
    """A mixin before `BaseModule`: without `init_cfg`, convolutions start from PyTorch's default, norms as built.

    mmcv's `ConvModule` draws Kaiming weights when it is built; the published recipes train from PyTorch's default.
    """

    def init_weights(self) -> None:
        """Initialise the weights, once the model is built and before a checkpoint is loaded."""
        if self.init_cfg is not None:
            super().init_weights()
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
