"""COCO's average precision of boxes and masks: the definition of pycocotools, the speed of faster-coco-eval.

A drop-in for mmdet.CocoMetric. On purpose it differs in this:
- nothing goes through JSON files, and values are not rounded to three digits: close checkpoints can be distinguished;
- without any detection the precision is 0 instead of an empty result that ends the training;
- labels are tied to categories by name, so the file may list them in any order and leave out those without objects;
- annotation ids may start at 0, which pycocotools takes for 'not matched'.
"""

import logging
from collections.abc import Sequence

import numpy as np
from mmdet.evaluation import CocoMetric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from pycocotools import mask as mask_utils
from rich.table import Table

from mmyolo.registry import METRICS
from mmyolo.utils.coco_file import CocoFile, fill_coco_defaults
from mmyolo.utils.terminal import as_text

from .coco_api import BACKENDS, UNDEFINED, category_ids, evaluate, mean_defined
from .validation_result import ClassCurves, ValidationResult

# Name -> (IoU threshold or None for the mean over all, area range: 0 all, 1 small, 2 medium, 3 large).
_PRECISIONS = dict(mAP=(None, 0), mAP_50=(0.5, 0), mAP_75=(0.75, 0), mAP_s=(None, 1), mAP_m=(None, 2), mAP_l=(None, 3))
# Name -> (area range, position among the sorted proposal_nums); mmdet names the positions after its default numbers.
_RECALLS = {
    'AR@100': (0, 0),
    'AR@300': (0, 1),
    'AR@1000': (0, 2),
    'AR_s@1000': (1, 2),
    'AR_m@1000': (2, 2),
    'AR_l@1000': (3, 2),
}


@METRICS.register_module()
class FastCocoMetric(CocoMetric):
    """COCO metric for boxes and masks; metrics other than 'bbox' and 'segm', and `format_only`, are left to mmdet.

    Args:
        ann_file: the COCO file; None takes the objects from the samples.
        backend: 'faster_coco_eval' or 'pycocotools'.
        *args, **kwargs: Further arguments of mmdet.CocoMetric. With `classwise`, `<class>_precision` of each class is
            reported too, nan where the set has no object of it.

    Attributes:
        class_precisions: What `classwise` reports, by class, of the last evaluation; on the main process only.
        validation_result: The predictions of the last evaluation, and how well each class is found; None before the
            first one and on other processes. With both metrics the precisions are those of the last one.
    """

    def __init__(self, ann_file: str | None = None, *args, backend: str = 'faster_coco_eval', **kwargs) -> None:
        if backend not in BACKENDS:
            raise ValueError(f'FastCocoMetric: backend is {backend!r}, allowed are {BACKENDS}')
        super().__init__(None, *args, **kwargs)
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=self.backend_args) as path:
                self._coco_api = CocoFile(path)
            if kwargs.get('sort_categories'):
                self._coco_api.cats = dict(sorted(self._coco_api.cats.items()))
                self._coco_api.dataset['categories'].sort(key=lambda category: category['id'])
        self.backend = backend
        self.class_precisions: dict[str, float] = {}
        self.validation_result: ValidationResult | None = None
        known = {*_PRECISIONS, *_RECALLS}
        unknown = [item for item in self.metric_items or () if item not in known]
        if unknown:
            raise KeyError(f'FastCocoMetric: metric_items has {unknown}, allowed are {sorted(known)}')

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate all results of the set.

        Args:
            results: A pair (ground truth, prediction) per image, as `process` collects them.

        Returns:
            `bbox_mAP`, `bbox_mAP_50`, ... between 0 and 1, or -1 where the set has no ground truth; with metric 'segm'
            also `segm_mAP`, ...; with `classwise` and both, `<class>_precision` is that of the last one.
        """
        if not set(self.metrics) <= {'bbox', 'segm'} or self.format_only:
            return super().compute_metrics(results)
        dataset, cat_ids = self._ground_truth([truth for truth, _ in results])
        if not any(not annotation['iscrowd'] for annotation in dataset['annotations']):
            print_log(
                'The validation set has no annotated object of the classes '
                f'{tuple(self.dataset_meta["classes"])}: every mAP is reported as -1. Check its annotations, or '
                'validate on other images.',
                'current',
                logging.WARNING,
            )
        if 'segm' in self.metrics:
            bare = sum(not annotation['segmentation'] for annotation in dataset['annotations'])
            if bare:
                raise ValueError(
                    f"FastCocoMetric(metric='segm'): {bare} of {len(dataset['annotations'])} objects of "
                    "the validation annotations have no segmentation. Add them, or set metric='bbox'"
                )
        predictions = [prediction for _, prediction in results]
        if not any(len(prediction['scores']) for prediction in predictions):
            print_log(
                'Nothing was detected in the whole validation set: mAP is 0. This is common in the first epochs.',
                'current',
                logging.WARNING,
            )
        metrics = {}
        for kind in self.metrics:
            precision, recall = self._evaluate(dataset, self._detections(predictions, cat_ids, kind), kind)
            for name in self.metric_items or _PRECISIONS:
                metrics[f'{kind}_{name}'] = self._value(name, precision, recall)
            self.class_precisions = self._classwise(dataset, precision)
            label_of = {cat_id: label for label, cat_id in enumerate(cat_ids) if cat_id is not None}
            curves = self._curves(label_of, precision, recall)
            self.validation_result = ValidationResult.of(predictions, dataset['annotations'], label_of, curves)
            if self.classwise:
                metrics.update((f'{name}_precision', value) for name, value in self.class_precisions.items())
        return metrics

    def _ground_truth(self, truths: Sequence[dict]) -> tuple[dict, list[int | None]]:
        """Read the ground truth from the annotation file, or from the samples where there is none.

        Returns:
            A COCO dictionary with the annotations of the classes of the data set only, ids from 1; and the category id
            of each label, None where the file does not have the category.
        """
        classes = self.dataset_meta['classes']
        if self._coco_api is None:
            source = self._samples_as_coco(truths)
        else:
            source = self._coco_api.dataset
        cat_ids = category_ids(classes, source['categories'])
        counted = None if self.img_ids is None else set(self.img_ids)  # of images
        wanted = {cat_id for cat_id in cat_ids if cat_id is not None}
        annotations = [
            {
                'image_id': annotation['image_id'],
                'category_id': annotation['category_id'],
                'bbox': annotation['bbox'],
                'area': annotation['area'],
                'iscrowd': annotation['iscrowd'],
                'segmentation': annotation.get('segmentation') or [],
            }
            for annotation in source['annotations']
            if annotation['category_id'] in wanted and (counted is None or annotation['image_id'] in counted)
        ]
        categories = [{'id': cat_id, 'name': name} for name, cat_id in zip(classes, cat_ids) if cat_id is not None]
        sizes = {truth['img_id']: {'width': truth['width'], 'height': truth['height']} for truth in truths}
        images = [
            dict(image, **({} if image.get('width') and image.get('height') else sizes.get(image['id'], {})))
            for image in source['images']
            if counted is None or image['id'] in counted
        ]
        return self._coco(images, categories, annotations), cat_ids

    def _samples_as_coco(self, truths: Sequence[dict]) -> dict:
        """Gather the ground truth of the samples; category ids are the labels."""
        annotations = []
        for truth in truths:
            for instance in truth['anns']:
                x1, y1, x2, y2 = instance['bbox']
                annotations.append(
                    {
                        'image_id': truth['img_id'],
                        'category_id': int(instance['bbox_label']),
                        'bbox': [x1, y1, x2 - x1, y2 - y1],
                        'segmentation': instance.get('mask', []),
                        'iscrowd': instance.get('ignore_flag', 0),
                    }
                )
        images = [
            {'id': truth['img_id'], 'file_name': '', 'width': truth['width'], 'height': truth['height']}
            for truth in truths
        ]
        categories = [{'id': label, 'name': name} for label, name in enumerate(self.dataset_meta['classes'])]
        return fill_coco_defaults({'images': images, 'categories': categories, 'annotations': annotations}, 'samples')

    @staticmethod
    def _coco(images: Sequence[dict], categories: Sequence[dict], annotations: Sequence[dict]) -> dict:
        numbered = [dict(annotation, id=index) for index, annotation in enumerate(annotations, 1)]
        return {'images': list(images), 'categories': list(categories), 'annotations': numbered}

    @staticmethod
    def _detections(predictions: Sequence[dict], cat_ids: Sequence[int | None], kind: str = 'bbox') -> list[dict]:
        """Turn predictions into COCO's records; those of classes that the file lacks cannot be evaluated.

        Args:
            predictions: `img_id`, `bboxes` (N, 4) xyxy, `scores` (N,), `labels` (N,) of each image, and for 'segm'
                `masks`, N run-length encoded masks.
            cat_ids: category id of each label.
            kind: 'bbox' or 'segm'.
        """
        detections = []
        for prediction in predictions:
            boxes = prediction['bboxes'].astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            if kind == 'bbox':
                extras = [{'area': width * height} for width, height in boxes[:, 2:].tolist()]
            elif 'masks' in prediction:
                # one by one: pycocotools takes no more than 255 masks at once here
                extras = [{'segmentation': mask, 'area': float(mask_utils.area(mask))} for mask in prediction['masks']]
            else:
                raise ValueError(
                    "FastCocoMetric(metric='segm') needs masks and the detector predicts none: set metric='bbox'"
                )
            rows = zip(boxes.tolist(), prediction['scores'].tolist(), prediction['labels'].tolist(), extras)
            for box, score, label, extra in rows:
                if cat_ids[label] is not None:
                    detections.append(
                        dict(
                            image_id=prediction['img_id'],
                            category_id=cat_ids[label],
                            bbox=box,
                            score=score,
                            iscrowd=0,
                            **extra,
                        )
                    )
        return detections

    def _evaluate(self, dataset: dict, detections: Sequence[dict], kind: str = 'bbox') -> tuple[np.ndarray, np.ndarray]:
        """Match detections with the ground truth.

        Returns:
            Precisions (IoU thresholds, recall thresholds, classes, areas, proposal_nums) and recalls (IoU thresholds,
            classes, areas, proposal_nums), classes by rising category id, -1 where undefined.
        """
        return evaluate(
            dataset,
            self._coco(dataset['images'], dataset['categories'], detections),
            kind,
            max_dets=sorted(self.proposal_nums),
            iou_thrs=self.iou_thrs,
            backend=self.backend,
        )

    def _value(self, name: str, precision: np.ndarray, recall: np.ndarray) -> float:
        if name in _RECALLS:
            area, position = _RECALLS[name]
            return mean_defined(recall[:, :, area, position])
        iou, area = _PRECISIONS[name]
        max_dets = sorted(self.proposal_nums)
        # pycocotools takes the headline number at 100 detections an image, the others at the largest number.
        position = max_dets.index(100) if name == 'mAP' and 100 in max_dets else -1
        return mean_defined(self._at_iou(precision, iou)[..., area, position])

    def _at_iou(self, precision: np.ndarray, iou: float | None) -> np.ndarray:
        return precision if iou is None else precision[np.isclose(np.atleast_1d(self.iou_thrs), iou)]

    def _classwise(self, dataset: dict, precision: np.ndarray) -> dict[str, float]:
        """Return the mean precision of every class; with `classwise`, log a table of all precisions."""
        names = {category['id']: category['name'] for category in dataset['categories']}
        values = {name: float('nan') for name in self.dataset_meta['classes']}
        table = Table('category', *_PRECISIONS)
        for index, cat_id in enumerate(sorted(names)):
            row = [
                mean_defined(self._at_iou(precision, iou)[:, :, index, area, -1]) for iou, area in _PRECISIONS.values()
            ]
            row = [float('nan') if value == UNDEFINED else value for value in row]
            values[names[cat_id]] = row[0]
            table.add_row(names[cat_id], *(f'{value:.3f}' for value in row))
        if self.classwise:
            print_log(f'Average precision per class\n{as_text(table, 120)}', 'current')
        return values

    def _curves(self, label_of: dict[int, int], precision: np.ndarray, recall: np.ndarray) -> ClassCurves:
        """Take the tables of all sizes of objects, at the largest number of detections, in the order of the labels.

        Args:
            label_of: label of each category id of the file.
            precision: what `_evaluate` returns.
            recall: the same.
        """
        num_classes, labels = len(self.dataset_meta['classes']), [label_of[cat_id] for cat_id in sorted(label_of)]
        precision, recall = (
            np.where(values == UNDEFINED, np.nan, values)[..., 0, -1] for values in (precision, recall)
        )
        curves = np.full((precision.shape[1], num_classes), np.nan)
        ap, ap50, ar = np.full((3, num_classes), np.nan)
        ap[labels], ar[labels] = precision.mean((0, 1)), recall.mean(0)
        at_half = self._at_iou(precision, 0.5)
        if len(at_half):
            curves[:, labels], ap50[labels] = at_half[0], at_half[0].mean(0)
        return ClassCurves(curves, ap, ap50, ar)
