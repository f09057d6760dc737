"""Parameter groups and weight decay of YOLOv7."""
from mmyolo.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .yolov5_optim_constructor import YOLOv5OptimizerConstructor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOv7OptimWrapperConstructor(YOLOv5OptimizerConstructor):
    """As `YOLOv5OptimizerConstructor`, whose group of norms holds the implicit knowledge of YOLOv7 too.

    Args:
        optim_wrapper_cfg: config of the wrapper, with `optimizer`.
        paramwise_cfg: {'base_total_batch_size': 64} if None.

    Raises:
        TypeError: if the config of the wrapper is not a dict.
        AssertionError: if `optimizer` or `base_total_batch_size` is missing.
    """
