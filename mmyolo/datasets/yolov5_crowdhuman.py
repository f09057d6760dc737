"""CrowdHuman for the YOLO recipes."""

from mmdet.datasets import CrowdHumanDataset

from mmyolo.registry import DATASETS

from .yolov5_coco import BatchShapePolicyDataset


@DATASETS.register_module()
class YOLOv5CrowdHumanDataset(BatchShapePolicyDataset, CrowdHumanDataset):
    """mmdet's CrowdHumanDataset with batch shapes and mix transforms."""
