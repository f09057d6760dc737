"""The two implementations of COCO's evaluation behind one interface; their numbers are the same."""

import contextlib
import io
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

BACKENDS = ('faster_coco_eval', 'pycocotools')
UNDEFINED = -1.0  # COCO's value where there is no ground truth to find


def coco_classes(backend: str) -> tuple[type, type]:
    """Give the classes COCO and COCOeval of a backend; without faster-coco-eval those of pycocotools.

    Args:
        backend: 'faster_coco_eval' or 'pycocotools'.
    """
    if backend == 'faster_coco_eval':
        try:
            from faster_coco_eval import COCO, COCOeval_faster

            return COCO, COCOeval_faster
        except ImportError as error:
            print_log(
                f'faster-coco-eval cannot be imported ({error}); pycocotools evaluates, with the same numbers '
                'but slower',
                'current',
                logging.WARNING,
            )
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval


def category_ids(classes: Sequence[str], categories: Sequence[dict]) -> list[int | None]:
    """Return the category of each class by its name, None for one that the validation annotations do not have.

    Raises:
        ValueError: none of the classes is among them.
    """
    ids = {category['name']: category['id'] for category in categories}
    if not ids.keys() & set(classes):
        raise ValueError(
            f'None of the classes {tuple(classes)} is among the categories of the validation '
            f'annotations, {sorted(ids)}. Make the names equal.'
        )
    return [ids.get(name) for name in classes]


def mean_defined(values: np.ndarray) -> float:
    """Return the mean of the defined values of a precision or recall table, -1 if there are none."""
    values = values[values > -1]
    return float(values.mean()) if values.size else UNDEFINED


def evaluate(
    truth: dict,
    detections: dict,
    kind: str,
    max_dets: Sequence[int],
    iou_thrs: np.ndarray | None = None,
    sigmas: np.ndarray | None = None,
    backend: str = 'faster_coco_eval',
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections with the ground truth.

    Args:
        truth: COCO dictionary of the ground truth, annotation ids from 1.
        detections: the same of the detections, with a `score` each.
        kind: 'bbox', 'segm' or 'keypoints'.
        max_dets: numbers of detections per image to evaluate at, ascending.
        iou_thrs: thresholds, by default 0.5 to 0.95.
        sigmas: (K,) tolerances of keypoints, by default those of COCO's persons.
        backend: see `coco_classes`.

    Returns:
        Precisions (thresholds, recall thresholds, classes, areas, max_dets) and recalls (thresholds, classes, areas,
        max_dets), classes by rising category id, -1 where undefined.
    """
    params: dict[str, Any] = {'maxDets': list(max_dets)}
    if iou_thrs is not None:
        params['iouThrs'] = np.atleast_1d(iou_thrs)
    if sigmas is not None:
        params['kpt_oks_sigmas'] = np.asarray(sigmas, dtype=float)
    result = _run(coco_classes(backend), truth, detections, kind, params)
    return np.asarray(result['precision']), np.asarray(result['recall'])


def match(truth: dict, detections: dict, iou_thr: float) -> dict[int, int]:
    """Match all boxes as `evaluate` does, those of any size and without a limit on their number.

    Args:
        truth: COCO dictionary of the ground truth, annotation ids from 1.
        detections: The same of the detections, with a `score` each.
        iou_thr: The least IoU.

    Returns:
        Id of the object that each detection takes, which may be a crowd; detections without one are left out.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    params = dict(
        maxDets=[len(detections['annotations'])], iouThrs=np.array([iou_thr]), areaRng=[[0, 1e10]], areaRngLbl=['all']
    )
    matched = _run((COCO, COCOeval_faster), truth, detections, 'bbox', params)['matched']
    return dict(tuple(map(int, pair.split('_'))) for pair in matched)


def _run(classes: tuple[type, type], truth: dict, detections: dict, kind: str, params: dict[str, Any]) -> dict:
    coco_class, eval_class = classes
    apis = []
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        for content in (truth, detections):
            api = coco_class()
            api.dataset = content
            api.createIndex()
            apis.append(api)
        evaluation = eval_class(*apis, kind)
        vars(evaluation.params).update(params)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval
