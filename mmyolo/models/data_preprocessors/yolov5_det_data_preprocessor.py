"""The preprocessor that all YOLO families share.

Images travel to the device as bytes and become numbers there. A batch in channels-last order stays in it.
"""

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.utils import is_seq_of
from torch import Tensor

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import MODELS

from .batch_augment import augment_batch
from .pixels import normalize_pixels


@MODELS.register_module()
class YOLOv5DetDataPreprocessor(DetDataPreprocessor):
    """Normalises batches; in training those of `yolov5_collate`, otherwise as mmdet does.

    Args:
        *args: of mmdet's `DetDataPreprocessor`: mean, std, pad_size_divisor, ...
        non_blocking: whether the copy to the device may overlap with other work.
        **kwargs: as `args`. In training, images are not padded.
    """

    def __init__(self, *args, non_blocking: bool = True, **kwargs) -> None:
        super().__init__(*args, non_blocking=non_blocking, **kwargs)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Bring a batch to the device and normalise it.

        Args:
            data: in training `inputs` (B, C, H, W) and `data_samples`, a dict with `bboxes_labels` (N, 6) rows of image
                index, class, xyxy in pixels, and perhaps `masks`, `keypoints`, `keypoints_visible` and what the
                transforms left to do, `hsv_tables` and `flips` (see `augment_batch`); otherwise
                `inputs` a list of (C, H, W) images and `data_samples` a list of `DetDataSample` or None.
            training: whether the batch is trained on.

        Returns:
            `inputs` (B, C, H, W) and `data_samples`. In training these are the given ones and `img_metas`, per image a
            dict with `batch_input_shape` (H, W).

        Raises:
            AssertionError: if a training batch was not made by `yolov5_collate`.
        """
        if not training:
            return super().forward(_stacked(data), training)

        data = self.cast_data(data)
        inputs, data_samples = data['inputs'], data['data_samples']
        if not isinstance(data_samples, dict):
            raise ArgumentTypeError(
                f'{type(self).__name__} trains on batches of yolov5_collate, whose data_samples are a dict, got '
                f'{type(data_samples).__name__}. Set collate_fn=dict(type="yolov5_collate") in the train_dataloader, '
                'or the data_preprocessor to mmdet.DetDataPreprocessor.'
            )
        inputs = augment_batch(inputs, data_samples)
        inputs, data_samples = self._augment_and_normalize(inputs, data_samples)

        kept = ('bboxes_labels', 'masks', 'keypoints', 'keypoints_visible')
        output = {key: data_samples[key] for key in kept if key in data_samples}
        output['img_metas'] = [{'batch_input_shape': inputs.shape[2:]}] * len(inputs)
        return {'inputs': inputs, 'data_samples': output}

    def _augment_and_normalize(self, inputs: Tensor, data_samples: dict) -> tuple[Tensor, dict]:
        return self._augment(normalize_pixels(inputs, self), data_samples)

    def _augment(self, inputs: Tensor | list[Tensor], data_samples: dict) -> tuple[Tensor | list[Tensor], dict]:
        for augment in self.batch_augments or ():
            inputs, data_samples = augment(inputs, data_samples)
        return inputs, data_samples


def _stacked(data: dict) -> dict:
    """Join images of one size before they travel: one copy to the device and one pass instead of one per image."""
    inputs = data['inputs']
    if is_seq_of(inputs, Tensor) and len({(image.shape, image.dtype, image.device) for image in inputs}) == 1:
        return dict(data, inputs=torch.stack(list(inputs)))
    return data
