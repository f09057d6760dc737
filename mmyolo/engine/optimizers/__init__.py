"""How the parameters of a model are handed to an optimizer."""
from .amp_optim_wrapper import AmpOptimWrapper
from .yolov5_optim_constructor import YOLOv5OptimizerConstructor

__all__ = ['AmpOptimWrapper', 'YOLOv5OptimizerConstructor']
