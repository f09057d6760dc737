"""Boxes from batches of letterboxed images, by a dense head.

What the config says of prediction stays: `multi_label` (a box may appear once per class that is above the threshold,
as the reference executor gives it), `nms_pre`, `max_per_img`. Only `score_thr` and the NMS threshold are the task's.

Precision `auto` is fp32 on a CPU, and fp16 on a GPU for the convolutions (autocast; scores and boxes are decoded in
fp32).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmyolo.models.data_preprocessors import normalize_pixels
from mmyolo.models.dense_heads.base_yolo_head import BaseYOLOHead
from mmyolo.models.dense_heads.prediction import Detections as RawDetections
from mmyolo.utils.folding import fold
from tmi.families.base import Detections, Predictor

AUTOCAST = {'fp16': torch.float16, 'bf16': torch.bfloat16}
TRIED_BOXES = 1000  # that enter NMS, which takes long for all of a large input


class DensePredictor(Predictor):
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
        super().__init__(device, precision in AUTOCAST)
        self.autocast_dtype = AUTOCAST.get(precision)
        self.model = fold(model).to(device, memory_format=torch.channels_last)
        self.test_cfg = ConfigDict(model.bbox_head.test_cfg or {})
        self.test_cfg.score_thr = score_thr
        self.test_cfg.nms = ConfigDict(self.test_cfg.get('nms') or {'type': 'nms'}, iou_threshold=iou_thr)
        self.takes_raw_maps = _takes_raw_maps(model.bbox_head)
        self._normalize = Normalize(model.data_preprocessor).to(device)

    def predict_any(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        settings = self.test_cfg
        most = settings.get('nms_pre', TRIED_BOXES)
        self.test_cfg = ConfigDict(settings, score_thr=-1, nms_pre=most if 0 < most < TRIED_BOXES else TRIED_BOXES)
        try:
            return self.predict(pixels, metas)
        finally:
            self.test_cfg = settings

    def predict_once(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        inputs = self._normalize(pixels.to(self.device, non_blocking=True))
        head = self.model.bbox_head
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            features = self.model.extract_feat(inputs)
            maps = head.forward_raw(features) if self.takes_raw_maps else head(features)
        maps = [[level.float() for level in levels] for levels in maps]
        shape = tuple(inputs.shape[2:])
        metas = [dict(meta, batch_input_shape=shape) for meta in metas]
        finite = _all_finite([level for levels in maps for level in levels]).tolist()
        if self.takes_raw_maps:
            results = head.predict_batch(maps, metas, cfg=self.test_cfg).to('cpu').split()
        else:
            results = head.predict_by_feat(*maps, batch_img_metas=metas, cfg=self.test_cfg, rescale=True)
        return [_detections(result, ok) for result, ok in zip(results, finite)]


def _takes_raw_maps(head: nn.Module) -> bool:
    """Whether a head can go from its raw maps to boxes for the whole batch: it decodes only what passes the threshold.

    Those that also predict masks, key points or rotated boxes cannot, nor those of mmdet.
    """
    return getattr(type(head), 'predict_by_feat', None) is BaseYOLOHead.predict_by_feat


def _all_finite(maps: Sequence[Tensor]) -> Tensor:
    """Return for each image (n,) whether all maps (n, ...) are finite, by their sums, which take the least time."""
    return torch.stack([level.sum(dim=tuple(range(1, level.ndim))) for level in maps]).sum(0).isfinite()


def _detections(result: RawDetections | InstanceData, finite: bool) -> Detections:
    """Return the boxes of one image on the CPU, without those that are not finite."""
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
        self.divisor = preprocessor.pad_size_divisor
        self.pad_value = preprocessor.pad_value
        self.preprocessor = preprocessor

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise.

        Args:
            pixels: (n, H, W, 3) uint8.

        Returns:
            (n, 3, H', W') float32 in channels-last memory; H' and W' are multiples of the divisor.
        """
        images = normalize_pixels(pixels.permute(0, 3, 1, 2), self.preprocessor).float()
        height, width = images.shape[2:]
        padding = (-width % self.divisor, -height % self.divisor)
        if any(padding):
            images = nn.functional.pad(images, (0, padding[0], 0, padding[1]), value=self.pad_value)
        return images.contiguous(memory_format=torch.channels_last)
