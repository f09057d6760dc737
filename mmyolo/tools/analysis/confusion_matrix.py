"""Which classes a detector takes for which: counts and their picture.

Rows are true classes, columns predicted ones, the last of both is the background.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from mmcv.ops import batched_nms
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dataset import BaseDataset
from torch import Tensor

from .annotations import boxes_of, data_infos
from .plotting import new_figure, shown_names

MANY = 30  # classes, from which on cells are smaller and zeros are left out


def count_image(
    matrix: np.ndarray,
    gt_bboxes: np.ndarray,
    gt_labels: np.ndarray,
    bboxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    score_thr: float,
    tp_iou_thr: float,
    nms_iou_thr: float | None,
) -> None:
    """Adds the objects and detections of one image.

    A detection counts once for every object that it overlaps enough, whatever the class of the object, and as a find in
    the background if there is none. An object that no detection of its class overlaps counts as taken for background.

    Args:
        matrix: (C + 1, C + 1), changed in place.
        gt_bboxes: (g, 4) xyxy.
        gt_labels: (g, ).
        bboxes: (n, 4) xyxy of detections.
        scores: (n, ).
        labels: (n, ).
        score_thr: Lowest score that counts.
        tp_iou_thr: Lowest IoU at which a detection overlaps an object enough.
        nms_iou_thr: Drop detections that overlap a better one of their class more than this; None: none.
    """
    kept = scores >= score_thr
    bboxes, scores, labels = bboxes[kept].float(), scores[kept].float(), labels[kept]
    if nms_iou_thr is not None and len(bboxes):
        _, kept = batched_nms(bboxes, scores, labels, {'type': 'nms', 'iou_threshold': nms_iou_thr})
        bboxes, labels = bboxes[kept], labels[kept]
    predicted, background = labels.numpy(), len(matrix) - 1
    overlaps = bbox_overlaps(bboxes, torch.as_tensor(gt_bboxes, dtype=torch.float32)).numpy() >= tp_iou_thr
    detection, truth = np.nonzero(overlaps)
    np.add.at(matrix, (gt_labels[truth], predicted[detection]), 1)
    np.add.at(matrix, (background, predicted[~overlaps.any(1)]), 1)
    found = (overlaps & (predicted[:, None] == gt_labels[None])).any(0)
    np.add.at(matrix, (gt_labels[~found], background), 1)


def count(
    dataset: BaseDataset,
    predictions: Sequence[Mapping],
    score_thr: float = 0.0,
    tp_iou_thr: float = 0.5,
    nms_iou_thr: float | None = None,
) -> np.ndarray:
    """Compares predictions with the annotations of a data set; objects to be ignored do not count.

    Args:
        dataset: Built without pipelines.
        predictions: What `tools/test.py --out` wrote, in any order.
        score_thr: See `count_image`, as the next two.

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
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
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
        count_image(
            matrix,
            *boxes_of(info),
            found['bboxes'].cpu(),
            found['scores'].cpu(),
            found['labels'].cpu(),
            score_thr,
            tp_iou_thr,
            nms_iou_thr,
        )
    return matrix


def normalize(matrix: np.ndarray) -> np.ndarray:
    """Gives counts in per cent of their row; a row without counts stays 0."""
    return matrix * 100 / np.maximum(matrix.sum(1, keepdims=True), 1)


def plot(matrix: np.ndarray, classes: Sequence[str], color_theme: str = 'plasma', show: bool = False) -> Figure:
    """Draws a matrix; every cell is large enough to be read, so the figure grows with the classes.

    Args:
        matrix: (C + 1, C + 1) in per cent.
        classes: Names of the C classes.
        color_theme: Name of a colour map of matplotlib.
        show: See `new_figure`.
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
    axis.set_title('Normalized confusion matrix', fontsize=11)
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
