"""A detector made ready to predict, from what `model_package` read (contract sections c.9 and k).

Class names are those of the task's config.yaml, which the platform copies from the package (`class_names.py`).

What the config says of prediction stays: `multi_label` (a box may appear once per class that is above the threshold,
as the reference executor gives it), `nms_pre`, `max_per_img`. Only `score_thr` and the NMS threshold are the task's.

Precision `auto` is fp32 on a CPU, and fp16 on a GPU for the convolutions (autocast; scores and boxes are decoded in
fp32).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from mmyolo.utils.config_types import registered_only
from mmyolo.utils.folding import fold
from mmyolo.utils.model_size import limited_size
from tmi.checkpoint_io import check_finite
from tmi.class_names import listing
from tmi.errors import ModelError
from tmi.inference.package import ModelPackage, fault_of_package

logger = logging.getLogger('tmi')

AUTOCAST = {'fp16': torch.float16, 'bf16': torch.bfloat16}


@dataclass
class Detections:
    """Boxes of one image, best first.

    Args:
        boxes: (n, 4) xyxy in pixels of the image, clipped to it.
        scores: (n,) in [0, 1].
        labels: (n,) positions in class_names.
        finite: Whether the network gave finite numbers for this image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    finite: bool = True


def build_model(package: ModelPackage, class_names: Sequence[str]) -> nn.Module:
    """Build the network of a package with its weights.

    Args:
        package: What `read_package` gives.
        class_names: Of the task's config.yaml.

    Returns:
        The detector in fp32 on the CPU, in eval mode.

    Raises:
        TaskError: 300004 if config, weights and class names do not belong together.
    """
    register_all_modules()
    with fault_of_package(f'The config of {package.source} describes no detector that this image can build', package):
        config = ConfigDict(package.model)
        config.pop('train_cfg', None)
        with registered_only(), limited_size(package.state_dict.values()):
            model = revert_sync_batchnorm(MODELS.build(config))
        num_classes = int(model.bbox_head.num_classes)
    if num_classes != len(class_names):
        own = f' ({listing(package.class_names)})' if package.class_names else ''
        raise ModelError(
            f'{package.source} was trained for {num_classes} classes{own}, and class_names in config.yaml has '
            f'{len(class_names)}: {listing(class_names)}. Choose the model that these names belong to, or import it again with '
            'its own class names.'
        )
    _load_weights(model, package)
    return model.eval().requires_grad_(False)


def _load_weights(model: nn.Module, package: ModelPackage) -> None:
    try:
        missing, unexpected = model.load_state_dict(package.state_dict, strict=False)
    except RuntimeError as error:  # a shape differs
        detail = str(error).splitlines()[-1].strip()
        raise ModelError(f'The weights {package.source} do not fit their config: {detail}') from error
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    if missing:
        raise ModelError(
            f'The weights {package.source} do not fit their config: {len(missing)} tensors are missing, '
            f'the first is {missing[0]}. Import weights and config of the same training.'
        )
    if unexpected:
        logger.info('%d tensors of %s are not used, the first is %s', len(unexpected), package.source, unexpected[0])
    check_finite(
        {name: value for name, value in model.state_dict().items() if name in package.state_dict}, package.source
    )


class Detector:
    """Predicts boxes for batches of letterboxed images.

    Args:
        model: What `build_model` gives.
        device: Where it runs.
        score_thr: Boxes need a score above this.
        iou_thr: Of two boxes of one class that overlap more than this, the better one stays.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'; see the module's docstring.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, score_thr: float, iou_thr: float, precision: str = 'auto'
    ) -> None:
        if precision == 'auto':
            precision = 'fp16' if device.type == 'cuda' else 'fp32'
        self.device = device
        self.autocast_dtype = AUTOCAST.get(precision)
        self.model = fold(model).to(device, memory_format=torch.channels_last)
        self.test_cfg = ConfigDict(model.bbox_head.test_cfg or {})
        self.test_cfg.score_thr = score_thr
        self.test_cfg.nms = ConfigDict(self.test_cfg.get('nms') or {'type': 'nms'}, iou_threshold=iou_thr)
        self._normalize = Normalize(model.data_preprocessor).to(device)

    @torch.inference_mode()
    def predict(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        """Predict the boxes of a batch; a batch too large for the GPU's memory is halved until it fits.

        Args:
            pixels: (n, H, W, 3) uint8 BGR.
            metas: For each image `ori_shape` (h, w), `scale_factor` (w, h) and, if padded, `pad_param`.

        Returns:
            The boxes of each image, on the CPU.
        """
        try:
            return self._predict(torch.as_tensor(pixels), metas)
        except torch.cuda.OutOfMemoryError:
            if len(metas) == 1:
                raise
        half = len(metas) // 2
        torch.cuda.empty_cache()
        logger.warning('The GPU memory is too small for %d images at once, trying %d', len(metas), half)
        return self.predict(pixels[:half], metas[:half]) + self.predict(pixels[half:], metas[half:])

    def _predict(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        inputs = self._normalize(pixels.to(self.device, non_blocking=True))
        head = self.model.bbox_head
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            outputs = head(self.model.extract_feat(inputs))
        outputs = [[level.float() for level in levels] for levels in outputs]
        shape = tuple(inputs.shape[2:])
        metas = [dict(meta, batch_input_shape=shape) for meta in metas]
        finite = _all_finite([level for levels in outputs for level in levels]).tolist()
        results = head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=self.test_cfg, rescale=True)
        return [_detections(result, ok) for result, ok in zip(results, finite)]


def _all_finite(outputs: Sequence[Tensor]) -> Tensor:
    """For each image (n,), whether all outputs (n, ...) are finite, by their sums, which take the least time."""
    return torch.stack([output.sum(dim=tuple(range(1, output.ndim))) for output in outputs]).sum(0).isfinite()


def _detections(result: InstanceData, finite: bool) -> Detections:
    """The boxes of one image on the CPU, without those that are not finite."""
    boxes, scores, labels = result.bboxes.cpu(), result.scores.cpu(), result.labels.cpu()
    if not finite:
        keep = boxes.isfinite().all(1) & scores.isfinite()
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    return Detections(boxes, scores, labels, finite)


class Normalize(nn.Module):
    """What a detector's data preprocessor does to one image, for a batch of equal size.

    Args:
        preprocessor: Of the detector (mmdet's or one of ours).
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.flip = preprocessor._channel_conversion
        self.divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.enabled = preprocessor._enable_normalize
        if self.enabled:
            self.register_buffer('mean', preprocessor.mean.clone())
            self.register_buffer('std', preprocessor.std.clone())

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise.

        Args:
            pixels: (n, H, W, 3) uint8.

        Returns:
            (n, 3, H', W') float32 in channels-last memory; H' and W' are multiples of the divisor.
        """
        if self.flip:
            pixels = pixels.flip(3)
        images = pixels.permute(0, 3, 1, 2).float()
        if self.enabled:
            images.sub_(self.mean).div_(self.std)
        height, width = images.shape[2:]
        padding = (-width % self.divisor, -height % self.divisor)
        if any(padding):
            images = nn.functional.pad(images, (0, padding[0], 0, padding[1]), value=self.pad_value)
        return images.contiguous(memory_format=torch.channels_last)
