"""How the two kinds of models are written as ONNX files, and compared with PyTorch on an image."""

from pathlib import Path

import numpy as np
from torch import nn

from mmyolo.tools.export import ExportOptions, check_export, export_onnx
from mmyolo.tools.export.check import CheckReport
from mmyolo.tools.export.detections import check_detections, export_detections
from mmyolo.tools.export.model import detection_settings
from tmi.families.image_size import Size
from vidt.export import OUTPUTS, ExportedDetector

MAX_BOXES = 300
DETECTIONS_FROM = 0.001  # score of the boxes of a network without suppression that are compared


def export_dense(model: nn.Module, file: Path, size: Size, image: np.ndarray) -> CheckReport:
    """Write a model whose boxes are suppressed, with the thresholds of its validation in the graph.

    Args:
        model: With its weights, `cfg` and `dataset_meta`, on the CPU.
        file: Where to write.
        size: (width, height) of the input.
        image: (h, w, 3) uint8 BGR.

    Returns:
        What the comparison found.
    """
    settings = detection_settings(model)
    options = ExportOptions(
        image_size=size[::-1],
        dynamic=True,
        keep_topk=int(settings.get('max_per_img', MAX_BOXES)),
        iou_threshold=float(settings.get('nms', {}).get('iou_threshold', ExportOptions.iou_threshold)),
        score_threshold=float(settings.get('score_thr', 0.0)),
    )
    export_onnx(model, file, options)
    return check_export(model, file, options, [image])


def export_tokens(model: nn.Module, file: Path, size: Size, image: np.ndarray) -> CheckReport:
    """Write a model that gives its detections itself.

    Args:
        model: With its weights, on the CPU.
        file: Where to write.
        size: (width, height) of the input.
        image: (h, w, 3) uint8 BGR.

    Returns:
        What the comparison found.
    """
    network = ExportedDetector(model)
    export_detections(network, file, size[::-1], OUTPUTS)
    return check_detections(network, model.data_preprocessor, file, size[::-1], image, DETECTIONS_FROM)
