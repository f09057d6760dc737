"""What happens between the steps of a training or a test."""

from .config_check_hook import ConfigCheckHook
from .memory_format_hook import MemoryFormatHook
from .ppyoloe_param_scheduler_hook import PPYOLOEParamSchedulerHook
from .switch_to_deploy_hook import SwitchToDeployHook
from .sync_norm_statistics_hook import SyncNormStatisticsHook
from .unreadable_images_hook import UnreadableImagesHook
from .yolov5_param_scheduler_hook import YOLOv5ParamSchedulerHook
from .yolox_mode_switch_hook import YOLOXModeSwitchHook

__all__ = [
    'ConfigCheckHook',
    'MemoryFormatHook',
    'PPYOLOEParamSchedulerHook',
    'SwitchToDeployHook',
    'SyncNormStatisticsHook',
    'UnreadableImagesHook',
    'YOLOXModeSwitchHook',
    'YOLOv5ParamSchedulerHook',
]
