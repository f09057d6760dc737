"""Boxes from batches of letterboxed images, by a dense head.

What the config says of prediction stays: `multi_label` (a box may appear once per class that is above the threshold,
as the reference executor gives it), `nms_pre`, `max_per_img`. Only `score_thr` and the NMS threshold are the task's.

Precision `auto` is fp32 on a CPU, and fp16 on a GPU for the convolutions (autocast; scores and boxes are decoded in
fp32).
"""

from collections.abc import Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmyolo.models.dense_heads.base_yolo_head import BaseYOLOHead
from mmyolo.models.dense_heads.maps import gather_priors
from mmyolo.models.dense_heads.prediction import BatchDetections
from mmyolo.models.dense_heads.prediction import Detections as RawDetections
from mmyolo.models.dense_heads.rtmdet_ins_head import RTMDetInsSepBNHead
from mmyolo.models.dense_heads.rtmdet_rotated_head import RTMDetRotatedHead
from mmyolo.models.dense_heads.yolov5_ins_head import YOLOv5InsHead
from mmyolo.models.utils.overrides import is_original
from mmyolo.utils.folding import fold
from tmi.families.base import Predictor
from tmi.families.detections import ClassMaps, Detections, Evidence
from tmi.families.evidence import MAX_CANDIDATES, count_support, mean_features, plain_evidence, spread_of
from tmi.families.input_size import largest_stride
from tmi.families.normalize import Normalize
from tmi.families.precision import resolve_autocast

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
        self.autocast_dtype = resolve_autocast(precision, device)
        super().__init__(device, self.autocast_dtype is not None)
        self.model = fold(model).to(device, memory_format=torch.channels_last)
        self.test_cfg = ConfigDict(model.bbox_head.test_cfg or {})
        self.test_cfg.score_thr = score_thr
        self.test_cfg.nms = ConfigDict(self.test_cfg.get('nms') or {'type': 'nms'}, iou_threshold=iou_thr)
        self.input_multiple = largest_stride(model.bbox_head)
        self.takes_raw_maps = _takes_raw_maps(model.bbox_head)
        self.gives_boxes = _gives_boxes(model.bbox_head)
        self.gives_masks = isinstance(model.bbox_head, (YOLOv5InsHead, RTMDetInsSepBNHead))
        self._layout: list[int | None] = []  # levels of each kind of maps, None for a single map; as torch gave them
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
        maps = self._run(pixels, metas)
        if self.gives_boxes and not self.with_masks:
            results = self._boxes(maps, self.test_cfg).split()
        else:
            results = self._results(maps)
        return [_detections(result, ok) for result, ok in zip(results, maps.finite)]

    def inspect_once(
        self, pixels: Tensor, metas: Sequence[dict[str, Any]], with_class_maps: bool
    ) -> tuple[list[Evidence], ClassMaps | None]:
        maps = self._run(pixels, metas)
        head = self.model.bbox_head
        embeddings = [
            mean_features(maps.features, meta, place, meta['batch_input_shape']).cpu().nan_to_num(0.0, 0.0, 0.0)
            for place, meta in enumerate(maps.metas)
        ]
        if not self.gives_boxes:
            found = self._results(maps)
            detections = [_detections(result, ok) for result, ok in zip(found, maps.finite)]
            return [plain_evidence(*one, head.num_classes) for one in zip(detections, embeddings)], None
        boxes = head.predict_batch(maps.maps, maps.metas, cfg=self.test_cfg)
        scores = self._class_scores(maps, boxes)
        spread = self._spread(maps, boxes)
        counts = boxes.counts()
        found = self._results(maps) if self.with_masks else boxes.to('cpu').split()  # the same boxes
        candidates = self._boxes(maps, ConfigDict(self.test_cfg, nms_pre=MAX_CANDIDATES), with_nms=False)
        parts = zip(
            found, candidates.split(), scores.cpu().split(counts), spread.cpu().split(counts), embeddings, maps.finite
        )
        evidence = [_evidence(*part) for part in parts]
        return evidence, self._class_maps(maps) if with_class_maps else None

    def _results(self, maps: 'Maps') -> list[InstanceData]:
        """Return all that the head predicts for each image."""
        cfg = ConfigDict(self.test_cfg, masks_as_rle=self.with_masks)
        return self.model.bbox_head.predict_by_feat(*maps.maps, batch_img_metas=maps.metas, cfg=cfg, rescale=True)

    def network_input(self, pixels: Tensor) -> Tensor:
        return self._normalize(pixels.to(self.device, non_blocking=True))

    def network(self, with_features: bool) -> nn.Module:
        return FlatNetwork(self, with_features)

    def features_and_maps(self, inputs: Tensor) -> tuple[Sequence[Tensor], Sequence[Any]]:
        """Run the network: features per level, and the kinds of maps of its head, each per level or a single one."""
        features = self.model.extract_feat(inputs)
        maps = self.model.bbox_head.forward_raw(features) if self.takes_raw_maps else self.model.bbox_head(features)
        self._layout = [None if isinstance(part, Tensor) else len(part) for part in maps]
        return features, maps

    def _from_engine(self, inputs: Tensor) -> tuple[Sequence[Tensor], Sequence[Any]]:
        """As `features_and_maps`, by the engine."""
        outputs = iter(self.engine(inputs))
        maps = [next(outputs) if count is None else list(islice(outputs, count)) for count in self._layout]
        return list(outputs), maps

    def _run(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> 'Maps':
        inputs = self.network_input(pixels)
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            features, maps = (self._from_engine if self.engine else self.features_and_maps)(inputs)
        # Heads with masks give maps of the whole image besides those of the levels.
        maps = [part.float() if isinstance(part, Tensor) else [level.float() for level in part] for part in maps]
        shape = tuple(inputs.shape[2:])
        metas = [dict(meta, batch_input_shape=shape) for meta in metas]
        return Maps(features, maps, metas, _all_finite(_flat(maps)).tolist())

    def _boxes(self, maps: 'Maps', cfg: ConfigDict, with_nms: bool = True) -> BatchDetections:
        return self.model.bbox_head.predict_batch(maps.maps, maps.metas, cfg=cfg, with_nms=with_nms).to('cpu')

    def _spread(self, maps: 'Maps', boxes: BatchDetections) -> Tensor:
        """Return how unsure the sides of boxes are, (n,), where the head predicts distributions of them."""
        bins = getattr(self.model.bbox_head.head_module, 'num_bins', 1)
        if not self.takes_raw_maps or bins <= 1:
            return torch.zeros_like(boxes.scores)
        return spread_of(gather_priors(maps.maps[1], boxes.images, boxes.priors).unflatten(1, (4, bins)))

    def _class_maps(self, maps: 'Maps') -> list[Tensor]:
        """Return per level (B, A, C, h, w) scores."""
        anchors = self.model.bbox_head.num_base_priors
        levels = []
        for level, objectness in zip(maps.maps[0], self._objectnesses(maps) or repeat(None)):
            shape = (len(level), anchors, -1, *level.shape[-2:])
            level = _sigmoid_each(level.reshape(shape))
            levels.append(level if objectness is None else level * _sigmoid_each(objectness.reshape(shape)))
        return levels

    def _objectnesses(self, maps: 'Maps') -> Sequence[Tensor] | None:
        """Return per level (B, A, h, w) logits, for a head that predicts them; the third maps may be something else."""
        third = maps.maps[2] if len(maps.maps) > 2 else None
        if third is None or third[0].shape[1:-2].numel() != self.model.bbox_head.num_base_priors:
            return None
        return third

    def _class_scores(self, maps: 'Maps', boxes: BatchDetections) -> Tensor:
        """Return (n, C) scores of every class at the prior of each box."""
        anchors, objectnesses = self.model.bbox_head.num_base_priors, self._objectnesses(maps)
        scores = gather_priors(maps.maps[0], boxes.images, boxes.priors, anchors).double().sigmoid()
        if objectnesses is not None:
            scores = scores * gather_priors(objectnesses, boxes.images, boxes.priors, anchors).double().sigmoid()
        return scores.float()  # by way of double precision it does not depend on the place in the batch


class FlatNetwork(nn.Module):
    """The network of a predictor in the form that an engine runs.

    Args:
        predictor: Its predictor.
        with_features: Whether the features that mining asks for are given too.
    """

    def __init__(self, predictor: DensePredictor, with_features: bool) -> None:
        super().__init__()
        self.model = predictor.model
        self._run = predictor.features_and_maps
        self._with_features = with_features
        self.eval()

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of each kind and level, then the features of each level."""
        features, maps = self._run(inputs)
        return tuple(_flat(maps) + (list(features) if self._with_features else []))


class Maps(NamedTuple):
    """What the network gives for a batch."""

    features: Sequence[Tensor]
    """Per level (B, c, h, w)."""
    maps: list[Any]
    """Maps of the head, in single precision."""
    metas: list[dict[str, Any]]
    """With `batch_input_shape`."""
    finite: list[bool]
    """Whether all maps of an image are finite."""


def _takes_raw_maps(head: nn.Module) -> bool:
    """Whether a head can go from its raw maps to boxes for the whole batch: it decodes only what passes the threshold.

    Those that also predict masks, key points or rotated boxes cannot, nor those of mmdet.
    """
    return getattr(type(head), 'predict_by_feat', None) is BaseYOLOHead.predict_by_feat


def _gives_boxes(head: nn.Module) -> bool:
    """Whether a head predicts the boxes of a batch without what goes with them, such as masks."""
    is_ours = isinstance(head, BaseYOLOHead) and not isinstance(head, RTMDetRotatedHead)
    return is_ours and is_original(head, 'predict_by_feat', 'predict_batch', '_bbox_post_process')


def _sigmoid_each(maps: Tensor) -> Tensor:
    """Return the sigmoid of each image by itself: the last bit must not depend on its place in the batch."""
    return torch.stack([one.contiguous().sigmoid() for one in maps])


def _evidence(
    found: RawDetections | InstanceData,
    candidates: RawDetections,
    scores: Tensor,
    spread: Tensor,
    embedding: Tensor,
    finite: bool,
) -> Evidence:
    detections = _on_cpu(found)
    support = count_support(
        detections.boxes, detections.labels, candidates.bboxes, candidates.scores, candidates.labels
    )
    if finite and _is_finite(detections):
        return Evidence(detections, scores, support, spread, embedding)
    keep = detections.boxes.isfinite().all(1) & detections.scores.isfinite() & scores.isfinite().all(1)
    return Evidence(detections.where(keep), scores[keep], support[keep], spread[keep].nan_to_num(), embedding)


def _flat(maps: Sequence[Any]) -> list[Tensor]:
    return [level for part in maps for level in ([part] if isinstance(part, Tensor) else part)]


def _all_finite(maps: Sequence[Tensor]) -> Tensor:
    """Return for each image (n,) whether all maps (n, ...) are finite, by their sums, which take the least time."""
    return torch.stack([level.sum(dim=tuple(range(1, level.ndim))) for level in maps]).sum(0).isfinite()


def _on_cpu(result: RawDetections | InstanceData) -> Detections:
    """Return the objects of one image on the CPU."""
    masks = getattr(result, 'masks', None)
    boxes, scores, labels = result.bboxes.cpu(), result.scores.cpu(), result.labels.cpu()
    return Detections(boxes, scores, labels, masks=masks if isinstance(masks, list) else None)


def _is_finite(found: Detections) -> bool:
    """Whether boxes and scores are finite: what a config adds to finite maps may not be."""
    return bool((found.boxes.sum() + found.scores.sum()).isfinite())


def _detections(result: RawDetections | InstanceData, finite: bool) -> Detections:
    """Return the objects of one image on the CPU, without those that are not finite.

    Args:
        result: Of the head.
        finite: Whether the maps of the image are.
    """
    found = _on_cpu(result)
    if finite and _is_finite(found):
        return found
    return found.where(found.boxes.isfinite().all(1) & found.scores.isfinite())
