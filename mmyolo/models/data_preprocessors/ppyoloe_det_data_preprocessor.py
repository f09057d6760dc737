"""From collated batches to the input of PPYOLOE, on its device.

Unlike public mmyolo, images of one size need no batch augmentation.
"""

import torch
from torch import Tensor

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import MODELS

from .batch_augment import draw_on_canvas
from .pixels import normalize_pixels
from .yolov5_det_data_preprocessor import YOLOv5DetDataPreprocessor


@MODELS.register_module()
class PPYOLOEDetDataPreprocessor(YOLOv5DetDataPreprocessor):
    """Makes one batch of images of several sizes, in training, and then normalises it; otherwise as mmdet does.

    Args:
        *args: of mmdet's `DetDataPreprocessor`: mean, std, pad_size_divisor, ...
        non_blocking: whether the copy to the device may overlap with other work.
        **kwargs: as `args`. In training, `batch_augments` have to bring the images to one size.
    """

    def _augment_and_normalize(self, inputs: list[Tensor], data_samples: dict) -> tuple[Tensor, dict]:
        if isinstance(inputs, Tensor):
            raise ArgumentTypeError(
                'PPYOLOEDetDataPreprocessor trains on a list of images, got a tensor. Set '
                'collate_fn=dict(type="yolov5_collate", use_ms_training=True) in the train_dataloader.'
            )
        if 'canvases' in data_samples:
            images = [draw_on_canvas(*one) for one in zip(inputs, data_samples['canvases'], strict=True)]
        else:
            images = [image.float() for image in inputs]
        inputs, data_samples = self._augment(images, data_samples)
        if not isinstance(inputs, Tensor):
            sizes = {tuple(image.shape) for image in inputs}
            if len(sizes) > 1:
                raise ValueError(
                    f'images of one batch have the sizes {sorted(sizes)} (channels, height, width): set '
                    'batch_augments of the data_preprocessor, such as PPYOLOEBatchRandomResize'
                )
            inputs = torch.stack(list(inputs))
        # The order of the channels is no matter to augmentation, so it is changed last, of the whole batch.
        return normalize_pixels(inputs, self), data_samples
