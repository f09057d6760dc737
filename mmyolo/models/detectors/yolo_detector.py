"""The detector that all YOLO configs name."""

from mmdet.models.detectors import SingleStageDetector
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import convert_sync_batchnorm

from mmyolo.registry import MODELS


@MODELS.register_module()
class YOLODetector(SingleStageDetector):
    """A single-stage detector whose batch norms share their statistics between processes.

    Args:
        backbone: config of the backbone.
        neck: config of the neck.
        bbox_head: config of the head.
        train_cfg: settings of training, for the head.
        test_cfg: settings of prediction, for the head.
        data_preprocessor: config of what turns batches into model input.
        init_cfg: initialisation of mmengine.
        use_syncbn: whether batch norms become synchronised ones when several processes train. On a machine without an
            accelerator they stay as they are, because PyTorch's synchronised norm does not take CPU tensors.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict | None,
        bbox_head: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
        use_syncbn: bool = True,
    ) -> None:
        super().__init__(backbone, neck, bbox_head, train_cfg, test_cfg, data_preprocessor, init_cfg)
        if use_syncbn and get_world_size() > 1 and get_device() != 'cpu':
            convert_sync_batchnorm(self)
            print_log('Batch norms share their statistics between processes (use_syncbn)', 'current')
