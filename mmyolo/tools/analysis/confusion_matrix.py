"""Which classes a detector takes for which: counts and their picture.

Rows are true classes, columns predicted ones, the last of both is the background. Each object and each detection counts
once. Detections choose by falling score, in two rounds: first the free object of their class with the largest IoU of at
least the threshold, as for the average precision; then those left over any object left over, whatever its class. What
is left then is counted in the background's row (detections) and column (objects). Crowds are neither found nor missed,
and a detection that takes no object of its class and lies in one (its share there is the IoU) does not count. The
report of `ymir` has the same definition.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from mmcv.ops import batched_nms
from mmengine.dataset import BaseDataset
from torch import Tensor

from mmyolo.evaluation.coco_api import match

from .annotations import data_infos
from .plotting import new_figure, shown_names

MANY = 30  # classes, from which on cells are smaller and zeros are left out


def count(
    dataset: BaseDataset,
    predictions: Sequence[Mapping],
    score_thr: float = 0.0,
    tp_iou_thr: float = 0.5,
    nms_iou_thr: float | None = None,
) -> np.ndarray:
    """Compare predictions with the annotations of a data set.

    Args:
        dataset: Built without pipelines.
        predictions: What `tools/test.py --out` wrote, in any order.
        score_thr: Lowest score that counts.
        tp_iou_thr: Least IoU of a detection with its object.
        nms_iou_thr: Drop detections that overlap a better one of their class more than this; None: none.

    Returns:
        (C + 1, C + 1) counts.

    Raises:
        ValueError: If the predictions are not those of this data set.
    """
    num_classes = len(dataset.metainfo['classes'])
    if len(predictions) != len(dataset):
        raise ValueError(
            f'There are predictions for {len(predictions)} images, but the test set of the config has '
            f'{len(dataset)}; use the config that the predictions were made with'
        )
    by_image = {prediction.get('img_id', index): prediction for index, prediction in enumerate(predictions)}
    objects: list[dict] = []
    detections: list[dict] = []
    for index, info in enumerate(data_infos(dataset, 'Comparing')):
        image = info.get('img_id', index)
        if image not in by_image:
            raise ValueError(f'There is no prediction for the image with the id {image!r}')
        found = by_image[image]['pred_instances']
        if len(found['labels']) and int(found['labels'].max()) >= num_classes:
            label = int(found['labels'].max())
            raise ValueError(
                f'Image {image!r} has a prediction of class {label}, but the data set has {num_classes} classes'
            )
        for item in info['instances']:
            ignored = int(bool(item.get('ignore_flag')))
            objects.append(box_record(index, item['bbox'], item['bbox_label'], iscrowd=ignored))
        rows = (found[name].cpu() for name in ('bboxes', 'scores', 'labels'))
        for box, score, label in zip(*(values.tolist() for values in _kept(*rows, score_thr, nms_iou_thr))):
            detections.append(box_record(index, box, label, score=score))
    return count_boxes(objects, detections, num_classes, tp_iou_thr)


def _kept(
    bboxes: Tensor, scores: Tensor, labels: Tensor, score_thr: float, nms_iou_thr: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the boxes (n, 4), scores (n, ) and labels (n, ) of an image that count; see `count`."""
    kept = scores >= score_thr
    bboxes, scores, labels = bboxes[kept].float(), scores[kept].float(), labels[kept]
    if nms_iou_thr is not None and len(bboxes):
        _, kept = batched_nms(bboxes, scores, labels, {'type': 'nms', 'iou_threshold': nms_iou_thr})
        bboxes, scores, labels = bboxes[kept], scores[kept], labels[kept]
    return bboxes, scores, labels


def box_record(image: int, xyxy: Sequence[float], label: int, **more: float) -> dict:
    """Return a box as `count_boxes` takes it.

    Args:
        image: Number of its image.
        xyxy: In pixels.
        label: Its class.
        **more: `iscrowd` of an object, `score` of a detection.
    """
    x1, y1, x2, y2 = map(float, xyxy)
    w, h = x2 - x1, y2 - y1
    return {'image_id': image, 'category_id': int(label), 'bbox': [x1, y1, w, h], 'area': w * h, 'iscrowd': 0, **more}


def count_boxes(objects: Sequence[dict], detections: Sequence[dict], num_classes: int, iou_thr: float) -> np.ndarray:
    """Count which class is taken for which.

    Args:
        objects: COCO's annotations without ids; category ids are class indices.
        detections: The same of the detections, with a `score` each.
        num_classes: C.
        iou_thr: Least IoU of a detection with its object.

    Returns:
        (C + 1, C + 1) counts.
    """
    taken = match_boxes(objects, detections, iou_thr)
    used = set(taken.values())
    free = [k for k, item in enumerate(objects) if k not in used and not item['iscrowd']]
    loose = [k for k in range(len(detections)) if k not in taken]
    one_class = [
        [dict(items[k], category_id=0) for k in kept] for items, kept in ((objects, free), (detections, loose))
    ]
    confused = {loose[detection]: free[truth] for detection, truth in match_boxes(*one_class, iou_thr).items()}
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for detection, truth in (taken | confused).items():
        if not objects[truth]['iscrowd']:
            matrix[objects[truth]['category_id'], detections[detection]['category_id']] += 1
    for k in set(free).difference(confused.values()):
        matrix[objects[k]['category_id'], -1] += 1
    for k in set(loose).difference(confused):
        matrix[-1, detections[k]['category_id']] += 1
    return matrix


def match_boxes(objects: Sequence[dict], detections: Sequence[dict], iou_thr: float) -> dict[int, int]:
    """Return the index of the object that each detection takes.

    Args:
        objects: See `count_boxes`.
        detections: See there.
        iou_thr: Least IoU.

    Returns:
        Index of a detection to that of the object of its class, which may be a crowd; those without one are left out.
    """
    images = [{'id': image} for image in {item['image_id'] for item in (*objects, *detections)}]
    categories = [{'id': label} for label in {item['category_id'] for item in (*objects, *detections)}]
    truth, found = (
        {
            'images': images,
            'categories': categories,
            'annotations': [dict(item, id=number) for number, item in enumerate(items, 1)],
        }
        for items in (objects, detections)
    )
    return {detection - 1: number - 1 for detection, number in match(truth, found, iou_thr).items()}


def normalize(matrix: np.ndarray) -> np.ndarray:
    """Give counts in per cent of their row; a row without counts stays 0."""
    return matrix * 100 / np.maximum(matrix.sum(1, keepdims=True), 1)


def plot(
    matrix: np.ndarray,
    classes: Sequence[str],
    color_theme: str = 'plasma',
    show: bool = False,
    title: str = 'Normalized confusion matrix',
) -> Figure:
    """Draw a matrix; every cell is large enough to be read, so the figure grows with the classes.

    Args:
        matrix: (C + 1, C + 1) in per cent.
        classes: Names of the C classes.
        color_theme: Name of a colour map of matplotlib.
        show: See `new_figure`.
        title: Over the matrix.
    """
    names: list[str] = [*shown_names(classes), 'background']
    many = len(names) > MANY
    cell, font = (0.27, 6) if many else (max(0.42, 2.6 / len(names)), 8)
    matrix_side, margin = cell * len(names), 0.085 * max(map(len, names)) + 0.6  # inches
    figure = new_figure(matrix_side + margin + 1, matrix_side + margin + 0.4, show)
    axis = figure.add_subplot()
    colours = matplotlib.colormaps[color_theme]
    image = axis.imshow(matrix, cmap=colours, vmin=0, vmax=100)
    bar = axis.inset_axes([1 + 0.15 / matrix_side, 0, 0.18 / matrix_side, 1])
    figure.colorbar(image, cax=bar, label='% of the row')
    axis.set_title(title, fontsize=11)
    axis.set_ylabel('Ground truth')
    axis.set_xlabel('Prediction')
    places = np.arange(len(names))
    axis.set_xticks(places, names, rotation=90, fontsize=font + 1)
    axis.set_yticks(places, names, fontsize=font + 1)
    axis.set_xticks(places[:-1] + 0.5, minor=True)
    axis.set_yticks(places[:-1] + 0.5, minor=True)
    axis.grid(which='minor', linewidth=0.3, color='white', alpha=0.5)
    axis.tick_params(which='minor', length=0)
    for row, column in np.argwhere(matrix > 0) if many else np.ndindex(matrix.shape):
        red, green, blue, _ = colours(matrix[row, column] / 100)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        text = axis.text(
            column,
            row,
            _per_cent(matrix[row, column]),
            ha='center',
            va='center',
            fontsize=font,
            color='white' if dark else 'black',
        )
        text.set_in_layout(False)  # thousands of them would be measured again and again
    return figure


def _per_cent(value: float) -> str:
    return '<1' if 0 < value < 0.5 else f'{value:.0f}'
