"""Pascal VOC for the YOLO recipes."""
from mmdet.datasets import VOCDataset

from mmyolo.registry import DATASETS

from .yolov5_coco import BatchShapePolicyDataset


@DATASETS.register_module()
class YOLOv5VOCDataset(BatchShapePolicyDataset, VOCDataset):
    """mmdet's VOCDataset with batch shapes and mix transforms."""
