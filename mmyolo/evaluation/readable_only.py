"""Evaluation without the images that could not be read: neither their objects nor what was found in their place counts."""
import logging
from typing import Any, Dict, Optional, Sequence

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmyolo.datasets.unreadable import none_readable


class _Nothing:
    """Stands for an unreadable image among the results, so that their number stays that of the images."""

    def __init__(self, img_id: Any) -> None:
        self.img_id = img_id


class ReadableOnly(BaseMetric):
    """A metric of the images that could be read.

    Args:
        metric: Any metric that keeps one result per image, as those of mmdet and of this package do.
    """

    def __init__(self, metric: BaseMetric) -> None:
        super().__init__(metric.collect_device, metric.prefix or metric.default_prefix or '', metric.collect_dir)
        self.metric = metric

    @property
    def dataset_meta(self) -> Optional[dict]:
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the results of a batch.

        Args:
            data_batch: As the metric takes it.
            data_samples: With `unreadable` where a blank image was predicted.
        """
        self.metric.results = []
        self.metric.process(data_batch, data_samples)
        results, self.metric.results = self.metric.results, []
        if len(results) == len(data_samples):
            results = [
                _Nothing(sample.get('img_id')) if sample.get('unreadable') else result
                for sample, result in zip(data_samples, results)
            ]
        self.results.extend(results)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluates the images that could be read.

        Args:
            results: Of all images.

        Returns:
            What the metric gives.

        Raises:
            UnreadableImageError: There is no such image.
        """
        readable = [result for result in results if not isinstance(result, _Nothing)]
        left_out = [result.img_id for result in results if isinstance(result, _Nothing)]
        if left_out and not readable:
            raise none_readable('validation', len(left_out))
        if left_out:
            print_log(f'{len(left_out)} of {len(results)} images cannot be read and do not count in the evaluation',
                      'current', logging.WARNING)
        self._set_images(left_out)
        return self.metric.compute_metrics(readable)

    def _set_images(self, left_out: Sequence[Any]) -> None:
        """Tells metrics that read the objects from a COCO file of their own which images count."""
        coco = getattr(self.metric, '_coco_api', None)
        if coco is not None:
            without = set(left_out)
            self.metric.img_ids = [img_id for img_id in coco.get_img_ids() if img_id not in without]

