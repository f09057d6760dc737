"""Evaluation without the images that could not be read: neither their objects nor detections in their place count."""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from mmdet.evaluation import CrowdHumanMetric
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_text
from mmengine.logging import print_log

from mmyolo.utils.unreadable import none_readable


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
    def dataset_meta(self) -> dict | None:
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the results of a batch.

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

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the images that could be read.

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
            print_log(
                f'{len(left_out)} of {len(results)} images cannot be read and do not count in the evaluation',
                'current',
                logging.WARNING,
            )
        with self._truth_without(left_out):
            return self.metric.compute_metrics(readable)

    @contextlib.contextmanager
    def _truth_without(self, left_out: Sequence[Any]) -> Iterator[None]:
        """Meanwhile, metrics that read the objects from a file of their own do not see those of some images."""
        api = getattr(self.metric, '_coco_api', None) or getattr(self.metric, '_lvis_api', None)
        if api is not None:
            without = set(left_out)
            self.metric.img_ids = [img_id for img_id in api.get_img_ids() if img_id not in without]
        if not left_out or not isinstance(self.metric, CrowdHumanMetric):
            yield
            return
        whole = self.metric.ann_file
        lines = get_text(whole, backend_args=self.metric.backend_args).strip().split('\n')
        with tempfile.NamedTemporaryFile('w', suffix='.odgt', encoding='utf-8') as file:
            file.write('\n'.join(line for line in lines if json.loads(line)['ID'] not in left_out))
            file.flush()
            self.metric.ann_file = file.name
            try:
                yield
            finally:
                self.metric.ann_file = whole
