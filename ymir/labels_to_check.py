"""labels-to-check.csv: the labels of a training that its model contradicts, for whoever corrects them."""

import logging

from tmi.labels.check import Box, Doubt, check_labels
from tmi.training.config import TrainingTask
from tmi.training.examination import Examination
from ymir.stage_files import write_later_file
from ymir_exc.label_check import LABELS_TO_CHECK_FILE, XYWH, LabelToCheck, labels_to_check_table
from ymir_exc.skipped_images import TRAINING, VALIDATION

logger = logging.getLogger('ymir')

MAX_ROWS = 10_000


def list_labels_to_check(examination: Examination, task: TrainingTask, weights: str) -> None:
    """Write the table and name it beside the weights.

    Args:
        examination: What the model found in the images of the task.
        task: Of the training.
        weights: The weight file as result.yaml names it.
    """
    doubts = check_labels(examination, len(task.class_names))[:MAX_ROWS]
    table = labels_to_check_table(_row(doubt, task.class_names) for doubt in doubts)
    path = write_later_file(LABELS_TO_CHECK_FILE, weights, lambda stream: stream.write(table))
    if path is not None:
        likely = sum(doubt.score >= 0.5 for doubt in doubts)
        logger.info('Labels to check: %d, of which %d are more likely wrong than right: %s', len(doubts), likely, path)


def _row(doubt: Doubt, class_names: tuple[str, ...]) -> LabelToCheck:
    label, prediction = doubt.label, doubt.prediction
    return LabelToCheck(
        doubt.path,
        TRAINING if doubt.is_training else VALIDATION,
        doubt.kind,
        class_names[label.label] if label else '',
        class_names[prediction.label] if prediction else '',
        _xywh(label),
        _xywh(prediction),
        doubt.score,
    )


def _xywh(box: Box | None) -> XYWH:
    if box is None:
        return None
    x1, y1, x2, y2 = box.xyxy
    return x1, y1, x2 - x1, y2 - y1
