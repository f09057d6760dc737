"""Multi-scale training of PPYOLOE: every batch becomes a square of another size.

Sizes are not synchronised between processes, as published. Unlike in public mmyolo, a longer `interval` works: the
first batch draws a size whatever its number.
"""

import random
from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import MODELS


@MODELS.register_module()
class PPYOLOEBatchRandomResize(nn.Module):
    """Resizes the images of a batch, given one by one, to one square.

    Args:
        random_size_range: smallest and largest side.
        interval: steps between two draws.
        size_divisor: sides are multiples of it.
        random_interp: whether an interpolation is drawn with the side.
        interp_mode: interpolations to draw from, or the one to use.
        keep_ratio: must be False; images are stretched.
    """

    def __init__(
        self,
        random_size_range: tuple[int, int],
        interval: int = 1,
        size_divisor: int = 32,
        random_interp: bool = True,
        interp_mode: Sequence[str] | str = ['nearest', 'bilinear', 'bicubic', 'area'],
        keep_ratio: bool = False,
    ) -> None:
        super().__init__()
        assert not keep_ratio, 'PPYOLOEBatchRandomResize stretches images, set keep_ratio=False'
        assert isinstance(interp_mode, (list, tuple) if random_interp else str), (
            'PPYOLOEBatchRandomResize: interp_mode is a list with random_interp=True and one name without, '
            f'got {interp_mode!r} and random_interp={random_interp}'
        )
        self.random_size_range = tuple(round(side / size_divisor) for side in random_size_range)
        self.interval = interval
        self.size_divisor = size_divisor
        self.random_interp = random_interp
        self.interp_mode = interp_mode
        self.keep_ratio = keep_ratio
        self._side = None
        self._mode = None if random_interp else interp_mode

    def forward(self, inputs: Sequence[Tensor], data_samples: dict) -> tuple[Tensor, dict]:
        """Resize images and boxes.

        Args:
            inputs: (C, H, W) of each image, sizes may differ.
            data_samples: `bboxes_labels` (N, 6) rows of image index, class, xyxy in pixels, scaled in place.

        Returns:
            The images (B, C, side, side) as float and the same dict.

        Raises:
            AssertionError: if a batch was not made by `yolov5_collate` with `use_ms_training`.
        """
        if isinstance(inputs, Tensor) or not isinstance(data_samples, dict):
            raise ArgumentTypeError(
                f'{type(self).__name__} resizes a list of images with a dict of data_samples, got '
                f'{type(inputs).__name__} and {type(data_samples).__name__}. Set '
                'collate_fn=dict(type="yolov5_collate", use_ms_training=True) in the train_dataloader.'
            )
        if self._side is None or (MessageHub.get_current_instance().get_info('iter') + 1) % self.interval == 0:
            self._side = self.size_divisor * random.randint(*self.random_size_range)
            if self.random_interp:
                self._mode = random.choice(self.interp_mode)
        align_corners = None if self._mode in ('nearest', 'area') else False
        size = (self._side, self._side)
        rows = data_samples['bboxes_labels']
        images, factors = [], []
        for image in inputs:
            height, width = image.shape[-2:]
            images.append(F.interpolate(image[None].float(), size=size, mode=self._mode, align_corners=align_corners))
            factors.append((self._side / width, self._side / height) * 2)
        # clamped, for a row of no image must not stop the others (on a GPU it would end the process)
        rows[:, 2:] *= rows.new_tensor(factors)[rows[:, 0].long().clamp(0, len(images) - 1)]
        return torch.cat(images), data_samples
