"""The metric of `pie.metrics` for mmengine, which gathers the boxes of all processes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mmyolo.utils.coco_file import read_coco
from pie.metrics import Boxes, Scores, measure
from pie.trainlog import ALL


@METRICS.register_module()
class PieBoxMetric(BaseMetric):
    """Measure boxes as trainlog.json has it.

    Args:
        ann_file: COCO file of the set; its category ids are the labels.
        **kwargs: Of mmengine's class.

    Attributes:
        scores: Of the last evaluation; on the main process only, as the following.
        images: Path, predicted and labelled boxes of each image of the last evaluation.
    """

    default_prefix = 'pie'

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        coco = read_coco(ann_file)
        self.num_classes = len(coco['categories'])
        self.paths = {image['id']: image['file_name'] for image in coco['images']}
        boxes: dict[int, list] = {number: [] for number in self.paths}
        for one in coco['annotations']:
            x, y, width, height = one['bbox']
            boxes[one['image_id']].append((x, y, x + width, y + height, one['category_id']))
        self.labelled = {number: _labelled(rows) for number, rows in boxes.items()}
        self.scores: Scores | None = None
        self.images: list[tuple[str, Boxes, Boxes]] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the boxes of a batch.

        Args:
            data_batch: Unused.
            data_samples: Predictions in pixels of the original images.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            boxes = Boxes(*(found[name].detach().float().cpu().numpy() for name in ('bboxes', 'labels', 'scores')))
            self.results.append((int(sample['img_id']), boxes))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Measure all boxes.

        Args:
            results: Pairs of image id and boxes, as `process` keeps them.

        Returns:
            P, R, F1_score and mAP, as means over the classes.
        """
        # A sampler may give an image to two processes, and what comes from them are plain tuples.
        predicted = {number: Boxes(*boxes) for number, boxes in results}
        numbers = [number for number in self.paths if number in predicted]
        self.images = [(self.paths[one], predicted[one], self.labelled[one]) for one in numbers]
        self.scores = measure(
            [predicted[one] for one in numbers], [self.labelled[one] for one in numbers], self.num_classes
        )
        return self.scores.rows(())[ALL]


def _labelled(rows: Sequence[Sequence[float]]) -> Boxes:
    values = np.asarray(rows, np.float64).reshape(-1, 5)
    return Boxes(values[:, :4], values[:, 4].astype(int), np.ones(len(values)))
