"""Multi-scale training: every so many steps another size, the same in all processes (YOLOX)."""

from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmengine.logging import MessageHub
from torch import Tensor
from torch.nn import functional as F

from mmyolo.errors import ArgumentTypeError
from mmyolo.registry import MODELS


@MODELS.register_module()
class YOLOXBatchSyncRandomResize(BatchSyncRandomResize):
    """Resizes batches of `yolov5_collate`; a new size is drawn after a step and holds from the next.

    Args:
        random_size_range: smallest and largest height.
        interval: steps between two draws.
        size_divisor: heights and widths are multiples of it.
    """

    def forward(self, inputs: Tensor, data_samples: dict) -> tuple[Tensor, dict]:
        """Resize images, boxes and keypoints.

        Args:
            inputs: (B, C, H, W).
            data_samples: `bboxes_labels` (N, 6) rows of image index, class, xyxy in pixels, and perhaps `keypoints`
                (N, K, 2); both are scaled in place.

        Returns:
            The resized images as float and the same dict.

        Raises:
            AssertionError: if a batch was not made by `yolov5_collate`.
        """
        if not isinstance(inputs, Tensor) or not isinstance(data_samples, dict):
            raise ArgumentTypeError(
                f'{type(self).__name__} resizes batches of yolov5_collate, a tensor of images and a dict of '
                f'data_samples, got {type(inputs).__name__} and {type(data_samples).__name__}. Set '
                'collate_fn=dict(type="yolov5_collate") in the train_dataloader.'
            )
        inputs = inputs.float()
        height, width = inputs.shape[-2:]
        if self._input_size is None:
            self._input_size = (height, width)
        scale_y, scale_x = self._input_size[0] / height, self._input_size[1] / width
        if (scale_y, scale_x) != (1, 1):
            inputs = F.interpolate(inputs, size=self._input_size, mode='bilinear', align_corners=False)
            data_samples['bboxes_labels'][:, 2::2] *= scale_x
            data_samples['bboxes_labels'][:, 3::2] *= scale_y
            if 'keypoints' in data_samples:
                data_samples['keypoints'][..., 0] *= scale_x
                data_samples['keypoints'][..., 1] *= scale_y

        if (MessageHub.get_current_instance().get_info('iter') + 1) % self._interval == 0:
            self._input_size = self._get_random_size(aspect_ratio=width / height, device=inputs.device)
        return inputs, data_samples
