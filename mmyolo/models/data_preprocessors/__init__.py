"""From collated batches to the input of a model, on its device."""

from .pixels import normalize_pixels
from .ppyoloe_batch_random_resize import PPYOLOEBatchRandomResize
from .ppyoloe_det_data_preprocessor import PPYOLOEDetDataPreprocessor
from .yolov5_det_data_preprocessor import YOLOv5DetDataPreprocessor
from .yolox_batch_sync_random_resize import YOLOXBatchSyncRandomResize

__all__ = [
    'PPYOLOEBatchRandomResize',
    'PPYOLOEDetDataPreprocessor',
    'YOLOXBatchSyncRandomResize',
    'YOLOv5DetDataPreprocessor',
    'normalize_pixels',
]
