"""COCO's average precision of keypoints, which configs name `mmpose.CocoMetric`.

It takes that place where mmpose is not installed, with the arguments that configs of YOLOX-pose use.
"""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from mmyolo.evaluation.coco_api import BACKENDS, category_ids, evaluate, mean_defined
from mmyolo.registry import METRICS, stand_in
from mmyolo.utils.coco_file import read_coco

SCORE_MODES = ('bbox', 'bbox_keypoint', 'keypoint')
NMS_MODES = ('oks_nms', 'none')
MAX_DETS = 20  # objects per image that COCO evaluates for keypoints
# Name -> (IoU threshold or None for the mean over all, area range: 0 all, 1 medium, 2 large).
_RANGES = {'': (None, 0), ' .5': (0.5, 0), ' .75': (0.75, 0), ' (M)': (None, 1), ' (L)': (None, 2)}
_IOU_THRS = np.linspace(0.5, 0.95, 10)


@stand_in(METRICS, 'mmpose').register_module(name='CocoMetric')
@METRICS.register_module()
class KeypointCocoMetric(BaseMetric):
    """Average precision and recall by the object keypoint similarity.

    Args:
        ann_file: ground truth in COCO's format.
        use_area: False takes 0.53 of the box for the area of an object, as is done for objects without `area`.
        score_mode: what detections are ranked by: 'bbox', their score; 'bbox_keypoint', times the mean score of their
            keypoints above `keypoint_score_thr`; 'keypoint', the mean score of their keypoints.
        keypoint_score_thr: see `score_mode`.
        nms_mode: 'oks_nms' suppresses detections whose keypoints are similar to better ones'; 'none'.
        nms_thr: similarity from which they are.
        backend: 'faster_coco_eval' or 'pycocotools'.
        collect_device, prefix: of mmengine's BaseMetric.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        use_area: bool = True,
        score_mode: str = 'bbox_keypoint',
        keypoint_score_thr: float = 0.2,
        nms_mode: str = 'oks_nms',
        nms_thr: float = 0.9,
        backend: str = 'faster_coco_eval',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for name, value, allowed in (
            ('score_mode', score_mode, SCORE_MODES),
            ('nms_mode', nms_mode, NMS_MODES),
            ('backend', backend, BACKENDS),
        ):
            if value not in allowed:
                raise ValueError(f'{type(self).__name__}: {name} is {value!r}, allowed are {allowed}')
        self.use_area = use_area
        self.score_mode = score_mode
        self.keypoint_score_thr = keypoint_score_thr
        self.nms_mode = nms_mode
        self.nms_thr = nms_thr
        self.backend = backend
        with get_local_path(ann_file) as path:
            self._truth = read_coco(path)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch: not needed.
            data_samples: of each image `img_id` and `pred_instances` with `bboxes` (n, 4), `scores` (n,), `labels`
                (n,), `keypoints` (n, K, 2) and `keypoint_scores` (n, K), in pixels of the original image.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            arrays = {
                key: np.asarray(value.cpu() if hasattr(value, 'cpu') else value)
                for key, value in (
                    (key, found[key]) for key in ('bboxes', 'scores', 'labels', 'keypoints', 'keypoint_scores')
                )
            }
            self.results.append(dict(arrays, img_id=sample['img_id']))

    def compute_metrics(self, results: Sequence[dict]) -> dict[str, float]:
        """Evaluate all predictions.

        Args:
            results: what `process` kept.

        Returns:
            `AP`, `AP .5`, `AP .75`, `AP (M)`, `AP (L)` and the same of `AR`, between 0 and 1, or -1 where the set has
            no ground truth.
        """
        truth, cat_ids = self._ground_truth({result['img_id'] for result in results})
        detections = [record for result in results for record in self._records(result, cat_ids)]
        if not detections:
            print_log(
                'No keypoints were detected in the whole validation set: AP is 0. This is common in the first epochs.',
                'current',
                logging.WARNING,
            )
        numbered = [dict(record, id=index) for index, record in enumerate(detections, 1)]
        precision, recall = evaluate(
            truth,
            dict(truth, annotations=numbered),
            'keypoints',
            max_dets=[MAX_DETS],
            iou_thrs=_IOU_THRS,
            sigmas=self.dataset_meta['sigmas'],
            backend=self.backend,
        )
        metrics = {}
        for name, table in (('AP', precision), ('AR', recall)):
            for suffix, (iou, area) in _RANGES.items():
                rows = table if iou is None else table[np.isclose(_IOU_THRS, iou)]
                metrics[name + suffix] = mean_defined(rows[..., area, 0])
        return metrics

    def _ground_truth(self, img_ids: set) -> tuple:
        """Return the ground truth of the evaluated images and the category of each label, None for a missing one."""
        cat_ids = category_ids(self.dataset_meta['classes'], self._truth['categories'])
        annotations = []
        for annotation in self._truth['annotations']:
            if annotation['category_id'] in cat_ids and annotation['image_id'] in img_ids and 'keypoints' in annotation:
                box = annotation['bbox']
                area = annotation.get('area') if self.use_area else None
                labelled = sum(value > 0 for value in annotation['keypoints'][2::3])
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': annotation['image_id'],
                        'category_id': annotation['category_id'],
                        'bbox': box,
                        'area': box[2] * box[3] * 0.53 if area is None else area,
                        'iscrowd': annotation.get('iscrowd', 0),
                        'keypoints': annotation['keypoints'],
                        'num_keypoints': annotation.get('num_keypoints', labelled),
                    }
                )
        images = [image for image in self._truth['images'] if image['id'] in img_ids]
        categories = [category for category in self._truth['categories'] if category['id'] in cat_ids]
        return {'images': images, 'categories': categories, 'annotations': annotations}, cat_ids

    def _records(self, result: dict, cat_ids: Sequence[int | None]) -> list[dict]:
        """Return the detections of an image as COCO's records."""
        points, visible, scores = (result[key].astype(np.float64) for key in ('keypoints', 'keypoint_scores', 'scores'))
        if len(points) == 0:
            return []
        if self.score_mode == 'keypoint':
            scores = visible.mean(1)
        elif self.score_mode == 'bbox_keypoint':
            good = visible > self.keypoint_score_thr
            scores = scores * (visible * good).sum(1) / good.sum(1).clip(min=1)
        lower, upper = points.min(1), points.max(1)
        areas = (upper - lower).prod(1)  # as COCO takes it from detected keypoints
        keep = np.argsort(-scores, kind='stable')
        if self.nms_mode == 'oks_nms':
            keep = oks_nms(points, scores, box_areas(result['bboxes']), self.dataset_meta['sigmas'], self.nms_thr)
        rows = np.concatenate((points, visible[..., None]), axis=2).reshape(len(points), -1)
        boxes = np.concatenate((lower, upper - lower), axis=1)
        return [
            {
                'image_id': result['img_id'],
                'category_id': cat_ids[result['labels'][index]],
                'keypoints': rows[index].tolist(),
                'score': float(scores[index]),
                'area': float(areas[index]),
                'bbox': boxes[index].tolist(),
                'iscrowd': 0,
            }
            for index in keep
            if cat_ids[result['labels'][index]] is not None
        ]


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (n,) of boxes (n, 4), xyxy."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, threshold: float
) -> np.ndarray:
    """Suppress objects whose keypoints are similar to those of a better one.

    Args:
        keypoints: (n, K, 2).
        scores: (n,).
        areas: (n,) of the objects, in square pixels.
        sigmas: (K,) tolerances.
        threshold: similarity above which the object with the lower score is dropped.

    Returns:
        Indices of the objects that are kept, best first.
    """
    order = np.argsort(-scores, kind='stable')
    variances = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        distance = np.square(keypoints[order] - keypoints[best]).sum(2)  # (m, K)
        scale = (areas[order] + areas[best])[:, None] / 2 + np.spacing(1)
        similarity = np.exp(-distance / variances / scale / 2).mean(1)
        order = order[similarity <= threshold]
    return np.array(kept, dtype=np.int64)
