"""One small detector of each family with random weights, to compare exported files with PyTorch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmyolo.registry import MODELS
from mmyolo.testing._utils import _get_config_directory
from mmyolo.tools.export.metadata import resize_of
from mmyolo.tools.export.model import ExportModel
from mmyolo.tools.export.runtime import fit
from mmyolo.tools.random_weights import calibrate_batch_norms, draw_weights, temper_predictions, threshold_for
from mmyolo.utils import register_all_modules

# Draws for which no overlap lies so near the threshold of suppression that rounding decides.
SEEDS = {'rtmdet': 2, 'yolov7': 2}

FAMILIES = {
    'yolov5': 'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco',
    'yolov5-p6': 'yolov5/yolov5_n-p6-v62_syncbn_fast_8xb16-300e_coco',
    'yolov5u': 'yolov5/yolov5u/yolov5u_n_syncbn_fast_8xb16-300e_coco',
    'yolov6': 'yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco',
    'yolov6-v3': 'yolov6/yolov6_v3_n_syncbn_fast_8xb32-300e_coco',
    'yolov7': 'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco',
    'yolov7-p6': 'yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco',
    'yolov8': 'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco',
    'yolox': 'yolox/yolox_tiny_fast_8xb8-300e_coco',
    'ppyoloe': 'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco',
    'rtmdet': 'rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco',
}


def make_detector(
    config: str, size: tuple[int, int], images: Sequence[np.ndarray], candidates: int = 100
) -> tuple[nn.Module, float]:
    """Build a detector with random weights; return it with a score threshold.

    Args:
        config: path below `configs`, without its suffix.
        size: height and width of the input.
        images: what it looks at.
        candidates: how many pairs of prior and class are to be above the threshold, per image.
    """
    register_all_modules()
    cfg = Config.fromfile(Path(_get_config_directory()) / f'{config}.py')
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model)
    model.cfg = cfg
    draw_weights(model, SEEDS.get(config.partition('/')[0], 0))
    model.eval()
    network = ExportModel(model, size, preprocess=True)
    pixels = [torch.from_numpy(fit(image, size, resize_of(cfg)).pixels) for image in images]
    inputs = network.normalise(torch.stack(pixels).permute(0, 3, 1, 2))
    inputs = torch.cat([inputs, inputs.flip(3)])
    calibrate_batch_norms(model, inputs)
    temper_predictions(model, inputs)
    with torch.no_grad():
        scores = ExportModel(model, size)(inputs)[1]
    return model, threshold_for(scores, candidates * len(inputs))
