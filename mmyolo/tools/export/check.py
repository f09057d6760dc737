"""Compares an exported file, run by ONNX Runtime, with the detector in PyTorch that it was made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from .exporter import ExportOptions
from .model import ExportModel, detection_settings, unpack_maps
from .runtime import OnnxDetector

MAX_SCORE_DIFFERENCE = 1e-3
MAX_BOX_DIFFERENCE = 0.1  # pixels
SAME_BOX = 5  # pixels by which two boxes differ at most to be taken for one
SAME_SCORE = 0.05


@dataclass(frozen=True)
class CheckReport:
    """What a comparison found.

    Attributes:
        name: of the file.
        images: compared.
        boxes: that PyTorch finds.
        found: that the file finds.
        matched: that both find, with one class.
        box_difference: largest difference of a coordinate of matched boxes, in input pixels.
        score_difference: largest difference of a score of matched boxes.
    """

    name: str
    images: int
    boxes: int
    found: int
    matched: int
    box_difference: float
    score_difference: float

    @property
    def passed(self) -> bool:
        """Whether every box has a partner within the limits."""
        return (
            self.boxes == self.found == self.matched
            and self.box_difference <= MAX_BOX_DIFFERENCE
            and self.score_difference <= MAX_SCORE_DIFFERENCE
        )


def check_export(model: nn.Module, path: Path, options: ExportOptions, images: Sequence[np.ndarray]) -> CheckReport:
    """Run file and model on the same input.

    Args:
        model: the detector that was exported.
        path: the file.
        options: it was written with.
        images: (h, w, 3) uint8, blue first; repeated to fill the batch.

    Raises:
        ValueError: for a form that ONNX Runtime cannot run.
    """
    if options.form.startswith('tensorrt'):
        raise ValueError(f'ONNX Runtime cannot run the form {options.form}, which holds a plugin of TensorRT')
    runtime = OnnxDetector(path)
    count = options.batch_size if not options.dynamic else max(options.batch_size, 2)
    images = [images[index % len(images)] for index in range(count)]
    if count > 1:
        images[1] = images[1][:, ::-1]  # so that a mix-up of images shows
    batch, _ = runtime.make_input(images)
    expected = detect_in_torch(model, batch, options)
    outputs = runtime.run(batch)
    if options.form == 'raw':
        found = _detect_in_maps(model, batch, outputs, options)
    else:
        limit = torch.tensor(options.image_size[::-1] * 2, dtype=torch.float)
        found = []
        for num, boxes, scores, labels in zip(*outputs):
            keep = slice(int(num[0]))
            boxes = torch.from_numpy(boxes[keep])
            found.append(
                (
                    torch.minimum(boxes.clamp(min=0), limit),
                    torch.from_numpy(scores[keep]),
                    torch.from_numpy(labels[keep]).long(),
                )
            )
    pairs = [match(*one, *other) for one, other in zip(expected, found)]
    return CheckReport(
        name=Path(path).name,
        images=count,
        boxes=sum(len(one[1]) for one in expected),
        found=sum(len(one[1]) for one in found),
        matched=sum(pair[0] for pair in pairs),
        box_difference=max(pair[1] for pair in pairs),
        score_difference=max(pair[2] for pair in pairs),
    )


def _settings(model: nn.Module, options: ExportOptions) -> tuple[dict, dict]:
    cfg = detection_settings(model)
    agnostic = bool((cfg.get('nms') or {}).get('class_agnostic', False))
    cfg = {
        'multi_label': cfg.get('multi_label', False),
        'nms_pre': options.pre_topk,
        'score_thr': options.score_threshold,
        'max_per_img': options.keep_topk,
        'nms': {'type': 'nms', 'iou_threshold': options.iou_threshold, 'class_agnostic': agnostic},
    }
    height, width = options.image_size
    return cfg, {'ori_shape': (height, width), 'img_shape': (height, width), 'scale_factor': (1.0, 1.0)}


def _input_of(model: nn.Module, batch: np.ndarray, options: ExportOptions) -> Tensor:
    images = torch.from_numpy(np.ascontiguousarray(batch)).to(next(model.parameters()).device)
    if options.preprocess:
        images = ExportModel(model, options.image_size, raw=True).normalise(images)
    return images


@torch.no_grad()
def detect_in_torch(model: nn.Module, batch: np.ndarray, options: ExportOptions) -> list[tuple[Tensor, ...]]:
    """Return the boxes of the detector as it is, neither merged nor folded."""
    head, (cfg, meta) = model.bbox_head, _settings(model, options)
    maps = head.forward_raw(model.eval().extract_feat(_input_of(model, batch, options)))
    return _boxes_of(head, tuple(maps)[:3], cfg, meta, len(batch))


@torch.no_grad()
def _detect_in_maps(
    model: nn.Module, batch: np.ndarray, outputs: Sequence[np.ndarray], options: ExportOptions
) -> list[tuple[Tensor, ...]]:
    """Return the boxes of raw maps that the file gives."""
    head, (cfg, meta) = model.bbox_head, _settings(model, options)
    images = _input_of(model, batch[:1], options)
    like = head.forward_raw(model.extract_feat(images))
    maps = unpack_maps([torch.from_numpy(level).to(images.device) for level in outputs], like)
    return _boxes_of(head, maps, cfg, meta, len(batch))


def _boxes_of(head: nn.Module, maps: Sequence, cfg: dict, meta: dict, count: int) -> list[tuple[Tensor, ...]]:
    boxes = head.predict_batch(maps, [meta] * count, cfg=cfg, rescale=False).to('cpu').split()
    return [(one.bboxes, one.scores, one.labels) for one in boxes]


def match(
    boxes: Tensor, scores: Tensor, labels: Tensor, other_boxes: Tensor, other_scores: Tensor, other_labels: Tensor
) -> tuple[int, float, float]:
    """Pair boxes of one image with the nearest of their class, each with one at most.

    Args:
        boxes: (n, 4) xyxy.
        other_boxes: (m, 4) xyxy.
        scores: (n,).
        other_scores: (m,).
        labels: (n,).
        other_labels: (m,).

    Returns:
        Number of pairs, largest difference of a coordinate, largest difference of a score.
    """
    if not len(boxes) or not len(other_boxes):
        return 0, 0.0, 0.0
    distance = (boxes[:, None] - other_boxes).abs().amax(-1)  # (n, m)
    change = (scores[:, None] - other_scores).abs()
    cost = distance + 100 * change  # boxes that lie on each other differ in their score
    cost[(labels[:, None] != other_labels) | (distance > SAME_BOX) | (change > SAME_SCORE)] = torch.inf
    pairs = 0
    box_difference = score_difference = 0.0
    for row in range(len(boxes)):
        best = int(cost[row].argmin())
        if cost[row, best] == torch.inf:
            continue
        pairs += 1
        box_difference = max(box_difference, float(distance[row, best]))
        score_difference = max(score_difference, float(change[row, best]))
        cost[:, best] = torch.inf
    return pairs, box_difference, score_difference


def report_table(reports: Sequence[CheckReport], title: str = 'ONNX Runtime beside PyTorch') -> Table:
    """Make the table of some comparisons."""
    table = Table(title=title)
    table.add_column('file')
    for name in ('images', 'boxes', 'found', 'matched', 'largest box difference (px)', 'largest score difference'):
        table.add_column(name, justify='right')
    table.add_column('equal')
    for one in reports:
        table.add_row(
            one.name,
            str(one.images),
            str(one.boxes),
            str(one.found),
            str(one.matched),
            f'{one.box_difference:.2g}',
            f'{one.score_difference:.2g}',
            'yes' if one.passed else 'NO',
        )
    return table
