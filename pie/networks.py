"""The networks of segmentation and change detection.

`fpn`: a backbone of YOLOv8 and a head that adds up its levels, which learned fastest per minute among those tried.
`linknet34`: LinkNet (arXiv 1707.03718) on ResNet-34. `siam_*`: one of these whose encoder sees both pictures; the
levels of both become |a - b| and a + b, mixed by a convolution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 64  # channels of the head of `fpn`
STRIDE = 32


class ConvBlock(nn.Sequential):
    """Convolution, norm and ReLU.

    Args:
        inputs: Channels.
        outputs: Channels.
        kernel: Size, odd.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
        )


class SumHead(nn.Module):
    """Bring all levels to the finest one and add them up (as the semantic branch of arXiv 1901.02446).

    Args:
        channels: Of the levels, finest first.
        num_classes: Outputs.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvBlock(count, WIDTH, 1) for count in channels)
        self.smooth = nn.ModuleList(ConvBlock(WIDTH, WIDTH) for _ in channels)
        self.predict = nn.Sequential(ConvBlock(WIDTH, WIDTH), nn.Conv2d(WIDTH, num_classes, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return (n, num_classes, h, w) at the finest level."""
        above, total = None, 0
        for level, lateral, smooth in reversed(list(zip(levels, self.lateral, self.smooth))):
            here = lateral(level)
            if above is not None:
                here = here + functional.interpolate(above, here.shape[2:], mode='nearest')
            above = here
            total = total + functional.interpolate(smooth(here), levels[0].shape[2:], mode='bilinear')
        return self.predict(total)


class LinkHead(nn.Module):
    """The decoder of LinkNet: each step doubles the size and adds the level of the encoder.

    Args:
        channels: Of the levels, finest first.
        num_classes: Outputs.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        below = [channels[0], *channels[:-1]]
        self.steps = nn.ModuleList(self._step(count, result) for count, result in zip(channels, below))
        self.predict = nn.Sequential(
            nn.ConvTranspose2d(channels[0], 32, 3, 2, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(True),
            ConvBlock(32, 32),
            nn.Conv2d(32, num_classes, 1),
        )

    @staticmethod
    def _step(inputs: int, outputs: int) -> nn.Sequential:
        middle = inputs // 4
        return nn.Sequential(
            ConvBlock(inputs, middle, 1),
            nn.ConvTranspose2d(middle, middle, 3, 2, 1, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(True),
            ConvBlock(middle, outputs, 1),
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return (n, num_classes, h, w) at the size of the input."""
        value = levels[-1]
        for index in range(len(levels) - 1, 0, -1):
            value = self.steps[index](value) + levels[index - 1]
        return self.predict(self.steps[0](value))


class PixelNetwork(nn.Module):
    """An encoder and a head; with two pictures the encoder sees both.

    Args:
        encoder: Gives levels of strides 4, 8, 16 and 32.
        channels: Of these levels.
        head: Of the levels.
        pictures: 1, or 2 for change detection.
    """

    def __init__(self, encoder: nn.Module, channels: Sequence[int], head: nn.Module, pictures: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.fusion = nn.ModuleList(ConvBlock(2 * count, count, 1) for count in channels) if pictures == 2 else None

    def forward(self, pictures: Tensor) -> Tensor:
        """Predict.

        Args:
            pictures: (n, pictures, 3, h, w), normalised; sides are multiples of 32.

        Returns:
            (n, num_classes, h, w) logits.
        """
        count, number, *shape = pictures.shape
        levels = self.encoder(pictures.reshape(count * number, *shape))
        if self.fusion is not None:
            pairs = [level.reshape(count, number, *level.shape[1:]) for level in levels]
            levels = [
                fuse(torch.cat([(pair[:, 0] - pair[:, 1]).abs(), pair[:, 0] + pair[:, 1]], dim=1))
                for fuse, pair in zip(self.fusion, pairs)
            ]
        logits = self.head(levels)
        return functional.interpolate(logits, shape[1:], mode='bilinear') if logits.shape[2:] != shape[1:] else logits


def _yolov8(deepen: float, widen: float) -> tuple[nn.Module, list[int]]:
    from mmyolo.models.backbones import YOLOv8CSPDarknet

    # Means and variances of short trainings would lag behind with the small momentum of the detector.
    norm = {'type': 'BN', 'momentum': 0.1, 'eps': 0.001}
    encoder = YOLOv8CSPDarknet(deepen_factor=deepen, widen_factor=widen, out_indices=(1, 2, 3, 4), norm_cfg=norm)
    return encoder, [int(count * widen) for count in (128, 256, 512, 1024)]


def _resnet34() -> tuple[nn.Module, list[int]]:
    from mmdet.models.backbones import ResNet

    return ResNet(34), [64, 128, 256, 512]


@dataclass(frozen=True)
class NetworkKind:
    """One network of the table.

    Args:
        name: What users call it.
        task: 'segmentation' or 'change'.
        encoder: Returns the encoder and the channels of its levels.
        head: Class of the head.
    """

    name: str
    task: str
    encoder: Callable[[], tuple[nn.Module, list[int]]]
    head: type[nn.Module]

    @property
    def stem(self) -> str:
        """As the zoo's models have it."""
        return self.name

    @property
    def pictures(self) -> int:
        """How many pictures it sees."""
        return 2 if self.task == 'change' else 1

    def build(self, num_classes: int) -> PixelNetwork:
        """Return the network with random weights.

        Args:
            num_classes: Background included.
        """
        encoder, channels = self.encoder()
        network = PixelNetwork(encoder, channels, self.head(channels, num_classes), self.pictures)
        if hasattr(encoder, 'init_weights'):
            encoder.init_weights()
        return network


PARTS = {
    'fpn_n': (lambda: _yolov8(0.33, 0.25), SumHead),
    'fpn_s': (lambda: _yolov8(0.33, 0.5), SumHead),
    'linknet34': (_resnet34, LinkHead),
}
NETWORKS = {
    **{name: NetworkKind(name, 'segmentation', *parts) for name, parts in PARTS.items()},
    **{f'siam_{name}': NetworkKind(f'siam_{name}', 'change', *parts) for name, parts in PARTS.items()},
}
DEFAULTS = {'segmentation': 'fpn_n', 'change': 'siam_fpn_n'}
