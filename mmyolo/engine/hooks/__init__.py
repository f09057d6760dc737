"""What happens between the steps of a training or a test."""
from .memory_format_hook import MemoryFormatHook
from .switch_to_deploy_hook import SwitchToDeployHook
from .yolov5_param_scheduler_hook import YOLOv5ParamSchedulerHook

__all__ = ['MemoryFormatHook', 'SwitchToDeployHook', 'YOLOv5ParamSchedulerHook']
