"""From the examined images of a training to the statistics that mining reads."""

import json
import logging
from collections.abc import Iterable, Sequence

import numpy as np

from tmi.mining.calibration import fit_calibration
from tmi.mining.centroids import find_centroids
from tmi.mining.matching import match_labels
from tmi.mining.parameters import PARAMETERS
from tmi.mining.stats import MiningStats
from tmi.training.data import TrainingData
from tmi.training.examination import Examination, ExaminedImage

logger = logging.getLogger('tmi')

SCORE_THR = next(item.default for item in PARAMETERS if item.name == 'mining_score_thr')


def fit_stats(
    examination: Examination,
    data: TrainingData,
    class_names: Sequence[str],
    average_precision: Sequence[float | None] = (),
    seed: int = 0,
) -> MiningStats:
    """Fit the statistics of a training.

    Args:
        examination: Of its images.
        data: The two sets, whose training set is counted whole.
        class_names: Names of the classes, C of them.
        average_precision: (C,) of the validation, None where there was no object; empty if unknown.
        seed: Of the centroids.

    Returns:
        The statistics; the calibration is of the validation images alone, as scores are too high where the model was
        trained.
    """
    num_classes = len(class_names)
    num_boxes, num_images = _count(data, num_classes)
    samples = detections(image for image in examination if not image.is_training)
    calibration, calibration_all = fit_calibration(*samples, num_classes)
    if np.isnan(calibration_all).all():
        logger.warning(
            'The %d boxes found in the validation images are too few, or all right or all wrong, to tell how '
            'reliable scores are: mining will take them as they are.',
            len(samples[0]),
        )
    if len(average_precision) != num_classes:
        average_precision = [None] * num_classes
    return MiningStats(
        class_names=list(class_names),
        num_boxes=num_boxes,
        num_images=num_images,
        average_precision=np.array([np.nan if value is None else value for value in average_precision], dtype=float),
        calibration=calibration,
        calibration_all=calibration_all,
        centroids=find_centroids(examination.embeddings.rows(np.arange(len(examination))), seed=seed),
    )


def detections(images: Iterable[ExaminedImage]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the detections that mining would count in some images, without those on crowds.

    Args:
        images: Examined ones.

    Returns:
        (n,) labels, (n,) scores, (n,) support, and (n,) bool, whether each found a label of its class.
    """
    rows: list[tuple[int, float, int, bool]] = []
    for _, labels, prediction in images:
        counted = prediction.above(SCORE_THR)
        found = match_labels(
            np.array(counted.boxes), np.array(counted.labels), labels.boxes, labels.classes, labels.crowd
        )
        rows.extend(
            (label, score, support, place >= 0)
            for label, score, support, place in zip(counted.labels, counted.scores, counted.support, found.tolist())
            if place < 0 or not labels.crowd[place]
        )
    labels, scores, support, right = zip(*rows) if rows else ((), (), (), ())
    return np.array(labels, dtype=np.int64), np.array(scores), np.array(support), np.array(right, dtype=bool)


def _count(data: TrainingData, num_classes: int) -> tuple[np.ndarray, int]:
    coco = json.loads(data.train_file.read_text(encoding='utf-8'))
    classes = [annotation['category_id'] for annotation in coco['annotations'] if not annotation.get('iscrowd')]
    return np.bincount(np.array(classes, dtype=np.int64), minlength=num_classes), len(coco['images'])
