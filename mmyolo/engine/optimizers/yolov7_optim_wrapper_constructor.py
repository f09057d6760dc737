"""Parameter groups and weight decay of YOLOv7."""

from mmyolo.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .yolov5_optim_constructor import YOLOv5OptimizerConstructor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOv7OptimWrapperConstructor(YOLOv5OptimizerConstructor):
    """As its parent, whose group of norms holds the implicit knowledge of YOLOv7 too; arguments are the same."""
