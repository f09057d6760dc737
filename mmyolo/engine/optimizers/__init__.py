"""How the parameters of a model are handed to an optimizer."""
from .yolov5_optim_constructor import YOLOv5OptimizerConstructor

__all__ = ['YOLOv5OptimizerConstructor']
