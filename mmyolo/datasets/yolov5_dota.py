"""The data set DOTA with mix transforms."""

from mmyolo.registry import DATASETS
from mmyolo.standins.mmrotate.dota_dataset import DOTADataset

from .yolov5_coco import BatchShapePolicyDataset


@DATASETS.register_module()
class YOLOv5DOTADataset(BatchShapePolicyDataset, DOTADataset):
    """DOTA with mix transforms; it gives no sizes of images, so `batch_shapes_cfg` must be None."""
