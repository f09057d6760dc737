"""Boxes from batches of images of one size, by ViDT: the best scores of all tokens and classes, none suppressed.

On a CPU images go through the network one by one: larger batches gain nothing there, and what is found in an image
cannot depend on its place. Precision `auto` is fp32 on a CPU and fp16 on a GPU for the matrix products (autocast).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from torch import Tensor, nn
from torch.nn import functional

from tmi.families.base import Predictor
from tmi.families.detections import ClassMaps, Detections, Evidence
from tmi.families.evidence import mean_features
from tmi.families.normalize import Normalize
from tmi.families.precision import resolve_autocast
from vidt.postprocess import select_detections, to_pixels

BOX_TOLERANCE = 1e-2  # pixels; boxes are parts of the image, in single precision after some thirty layers
MAP_STRIDE = 8  # pixels of the input for a place of the class maps
# Images that go through the network together; a batch of images of several sizes makes passes that are not full.
GPU_IMAGES = 4


class ViDTPredictor(Predictor):
    """Predicts boxes for batches of images that are not padded.

    Args:
        model: What `build_model` gives.
        device: Where it runs.
        score_thr: Boxes need a score above this.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'; see the module's docstring.
    """

    def __init__(self, model: nn.Module, device: torch.device, score_thr: float, precision: str = 'auto') -> None:
        self.autocast_dtype = resolve_autocast(precision, device)
        super().__init__(device, self.autocast_dtype is not None)
        self.box_tolerance = BOX_TOLERANCE
        self.model = model.to(device)
        self.score_thr = score_thr
        self.max_images = 1 if device.type == 'cpu' else GPU_IMAGES
        self._normalize = Normalize(model.data_preprocessor).to(device)

    def predict_any(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        threshold, self.score_thr = self.score_thr, -1.0
        try:
            return self.predict(pixels, metas)
        finally:
            self.score_thr = threshold

    def predict_once(self, pixels: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
        found = self._select(self._run(pixels, 'last'), metas)
        return [one.detections for one in found]

    def inspect_once(
        self, pixels: Tensor, metas: Sequence[dict[str, Any]], with_class_maps: bool
    ) -> tuple[list[Evidence], ClassMaps | None]:
        outputs = self._run(pixels, 'all', features=True)
        found = self._select(outputs, metas)
        scores = self._class_scores(outputs['pred_logits'])
        spread = self._spread(outputs)
        embeddings = _embeddings(outputs['features'], scores, metas, pixels.shape[1:3])
        evidence = []
        for place, (detections, queries) in enumerate(found):
            queries = queries.to(scores.device)
            evidence.append(
                Evidence(
                    detections,
                    scores[place, queries].cpu(),
                    torch.ones_like(detections.labels),  # nothing is suppressed
                    spread[place, queries].cpu(),
                    embeddings[place].cpu().nan_to_num(0.0, 0.0, 0.0),
                )
            )
        if not with_class_maps:
            return evidence, None
        return evidence, [_class_maps(scores, outputs['pred_boxes'].float(), pixels.shape[1:3])]

    def network_input(self, pixels: Tensor) -> Tensor:
        return self._normalize(pixels.to(self.device, non_blocking=True)).contiguous()

    def network(self, with_features: bool) -> nn.Module:
        return FlatNetwork(self.model, with_features)

    def _run(self, pixels: Tensor, levels: str, features: bool = False) -> dict[str, Any]:
        inputs = self.network_input(pixels)
        if self.engine is not None:
            return _as_outputs(self.engine(inputs))
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            return self.model.forward_levels(inputs, None, levels, features)

    def _select(self, outputs: dict[str, Any], metas: Sequence[dict[str, Any]]) -> list['Found']:
        """Return the boxes of each image above the threshold, the best first."""
        selected = select_detections(outputs, self.model.max_detections, self.model.background)
        sizes = torch.tensor([meta['ori_shape'][:2] for meta in metas])
        boxes = to_pixels(selected.boxes.cpu(), sizes).float()
        scores, labels, queries = (value.cpu() for value in (selected.scores, selected.labels, selected.queries))
        finite = (boxes.flatten(1).sum(1) + scores.sum(1)).isfinite().tolist()
        found = []
        for place, (height, width) in enumerate(sizes.tolist()):
            order = scores[place].argsort(descending=True, stable=True)
            keep = (scores[place, order] > self.score_thr) & boxes[place, order].isfinite().all(1)
            order = order[keep & scores[place, order].isfinite()]
            clipped = torch.minimum(boxes[place, order].clamp(min=0), boxes.new_tensor([width, height] * 2))
            detections = Detections(clipped, scores[place, order].float(), labels[place, order], finite[place])
            found.append(Found(detections, queries[place, order]))
        return found

    def _class_scores(self, logits: Tensor) -> Tensor:
        """Return (B, N, C) scores of every class at each query."""
        logits = logits.float()
        return (logits.softmax(-1)[..., :-1] if self.model.background else logits.sigmoid()).nan_to_num()

    @staticmethod
    def _spread(outputs: dict[str, Any]) -> Tensor:
        """Return (B, N): 1 less the IoU of each query's box with its box one level before; 0 without such a level."""
        boxes = outputs['pred_boxes'].float()
        if not outputs['aux']:
            return boxes.new_zeros(boxes.shape[:2])
        before = outputs['aux'][-1]['pred_boxes'].float()
        overlap = bbox_overlaps(bbox_cxcywh_to_xyxy(boxes), bbox_cxcywh_to_xyxy(before), is_aligned=True)
        return (1 - overlap).nan_to_num().clamp(0, 1)


class FlatNetwork(nn.Module):
    """The network in the form that an engine runs.

    Args:
        model: The detector.
        with_features: Whether what mining asks for is given too.
    """

    def __init__(self, model: nn.Module, with_features: bool) -> None:
        super().__init__()
        self.model = model
        self._with_features = with_features
        self.eval()

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return logits, boxes and, with features, boxes of the level before (none in models of one), tokens, maps."""
        outputs = self.model.forward_levels(inputs, None, 'all' if self._with_features else 'last', self._with_features)
        found = outputs['pred_logits'], outputs['pred_boxes']
        if not self._with_features:
            return found
        before = tuple(level['pred_boxes'] for level in outputs['aux'][-1:])
        return *found, *before, outputs['features']['tokens'], *outputs['features']['maps']


def _as_outputs(flat: Sequence[Tensor]) -> dict[str, Any]:
    """Return the outputs of a detector from those of its `FlatNetwork`."""
    logits, boxes, *features = flat
    before = []
    if features and features[0].shape == boxes.shape:
        before = [{'pred_boxes': features.pop(0)}]
    outputs = {'pred_logits': logits, 'pred_boxes': boxes, 'aux': before}
    if features:
        outputs['features'] = {'tokens': features[0], 'maps': features[1:]}
    return outputs


class Found(NamedTuple):
    """What was found in an image.

    Args:
        detections: On the CPU.
        queries: (n,) the query that each comes from.
    """

    detections: Detections
    queries: Tensor


def _class_maps(scores: Tensor, boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """Return (B, 1, C, h, w) in [0, 1]: at each place the best score of each class among the boxes that cover it.

    Args:
        scores: (B, N, C).
        boxes: (B, N, 4) cxcywh in 0..1.
        shape: (height, width) of the input, of which a place covers `MAP_STRIDE` pixels each way.
    """
    height, width = (max(side // MAP_STRIDE, 1) for side in shape)
    sides = boxes.new_tensor([width, height] * 2)
    corners = (bbox_cxcywh_to_xyxy(boxes).nan_to_num().clamp(0, 1) * sides).tolist()
    maps = scores.new_zeros(len(scores), 1, scores.shape[2], height, width)
    for image, of_image, found in zip(maps[:, 0], corners, scores):
        for (left, top, right, bottom), score in zip(of_image, found):
            part = image[:, int(top) : math.ceil(bottom), int(left) : math.ceil(right)]
            torch.maximum(part, score[:, None, None], out=part)
    return maps


def _embeddings(
    features: dict[str, Any], scores: Tensor, metas: Sequence[dict[str, Any]], shape: Sequence[int]
) -> Tensor:
    """Return (B, d): means of the maps over parts of the image, and the mean of the tokens that found something.

    Args:
        features: `tokens` (B, N, d) and `maps`, each (B, c, h, w).
        scores: (B, N, C).
        metas: Of each image.
        shape: (height, width) of the input.
    """
    maps = sorted(features['maps'], key=lambda level: -level.shape[-1])  # from fine to coarse, whatever the network's
    weights = scores.amax(-1)  # (B, N)
    tokens = torch.einsum('bn,bnd->bd', weights, features['tokens'].float())
    tokens = functional.normalize(tokens, dim=1, eps=1e-12)
    means = torch.stack([mean_features(maps, meta, place, shape) for place, meta in enumerate(metas)])
    return torch.cat([means, tokens], 1)
