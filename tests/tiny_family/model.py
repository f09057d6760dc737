"""A detector of three layers that looks at cells of 16 pixels: an object is a cell whose score is above 0.5."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmyolo.registry import METRICS, MODELS

CELL = 16


def cells_to_boxes(logits: Tensor, meta: dict) -> InstanceData:
    """The cells of (classes, rows, columns) logits above 0.5, best first, in pixels of the image."""
    scores, labels = logits.sigmoid().max(0)
    rows, columns = (scores > 0.5).nonzero().unbind(1)
    scores, labels = scores[rows, columns], labels[rows, columns]
    corners = torch.stack([columns, rows, columns + 1, rows + 1], 1).float() * CELL
    height, width = meta['ori_shape']
    boxes = corners / corners.new_tensor([*meta['scale_factor']] * 2)
    boxes = torch.minimum(boxes, boxes.new_tensor([width, height] * 2))
    order = scores.argsort(descending=True, stable=True)
    return InstanceData(bboxes=boxes[order], scores=scores[order], labels=labels[order])


class Layers(nn.Sequential):
    """Layers one after the other, in a method of its own: torch.compile skips those of torch.nn."""

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self:
            inputs = layer(inputs)
        return inputs


@MODELS.register_module()
class GridDetector(BaseModel):
    """Scores each cell for each class.

    Args:
        num_classes: How many classes there are.
        data_preprocessor: Config of mmdet's data preprocessor.
    """

    def __init__(self, num_classes: int, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor)
        self.num_classes = num_classes
        self.layers = Layers(
            nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 16, 4, 4), nn.ReLU(), nn.Conv2d(16, num_classes, 1)
        )

    def forward(self, inputs: Tensor, data_samples: Sequence, mode: str = 'tensor'):
        logits = self.layers(inputs)
        if mode == 'loss':
            return {'loss_cell': self._loss(logits, data_samples)}
        for sample, one in zip(data_samples, logits):
            sample.pred_instances = cells_to_boxes(one, sample.metainfo)
        return data_samples

    @staticmethod
    def _loss(logits: Tensor, data_samples: Sequence) -> Tensor:
        targets = torch.zeros_like(logits)
        for target, sample in zip(targets, data_samples):
            for box, label in zip(sample.gt_instances.bboxes, sample.gt_instances.labels):
                left, top, right, bottom = (box / CELL).round().long().tolist()
                target[label, top:bottom, left:right] = 1
        return nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=logits.new_tensor(4))


@METRICS.register_module()
class CellMetric(BaseMetric):
    """`cells/mAP`: the share of the objects that a box touches."""

    default_prefix = 'cells'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            found, wanted = sample['pred_instances'], sample['gt_instances']
            scale = torch.as_tensor(sample['scale_factor']).repeat(2)
            for box in wanted['bboxes'] / scale:
                touched = (found['bboxes'][:, :2] < box[2:]) & (found['bboxes'][:, 2:] > box[:2])
                self.results.append(float(touched.all(1).any()))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'mAP': sum(results) / max(len(results), 1)}
