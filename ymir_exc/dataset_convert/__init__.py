"""Converts the data set of a task into the formats that training code reads."""

from __future__ import annotations

from .report import ConversionReport, DataIssue, DataIssues, SplitReport
from .ymir2coco import convert_dataset_to_coco, convert_ymir_to_coco
from .ymir2mmseg import find_blank_area_in_dataset, train_with_black_area_or_not
from .ymir2yolov5 import convert_ymir_to_yolov5

__all__ = [
    'ConversionReport',
    'DataIssue',
    'DataIssues',
    'SplitReport',
    'convert_dataset_to_coco',
    'convert_ymir_to_coco',
    'convert_ymir_to_yolov5',
    'find_blank_area_in_dataset',
    'train_with_black_area_or_not',
]
