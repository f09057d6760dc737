"""Converts the data set of a training task into the formats that training code reads."""
from .blank_area import find_blank_area_in_dataset, train_with_black_area_or_not
from .report import ConversionReport, Finding, Findings, SplitReport
from .to_coco import convert_dataset_to_coco, convert_ymir_to_coco
from .to_yolov5 import convert_ymir_to_yolov5

__all__ = [
    'ConversionReport', 'Finding', 'Findings', 'SplitReport', 'convert_dataset_to_coco', 'convert_ymir_to_coco',
    'convert_ymir_to_yolov5', 'find_blank_area_in_dataset', 'train_with_black_area_or_not'
]
