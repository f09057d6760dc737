"""How the parameters of a model are handed to an optimizer."""

from .amp_optim_wrapper import AmpOptimWrapper
from .yolov5_optim_constructor import YOLOv5OptimizerConstructor
from .yolov7_optim_wrapper_constructor import YOLOv7OptimWrapperConstructor

__all__ = ['AmpOptimWrapper', 'YOLOv5OptimizerConstructor', 'YOLOv7OptimWrapperConstructor']
