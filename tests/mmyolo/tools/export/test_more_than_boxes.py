"""Heads that predict more than boxes: raw maps only, and an error that says so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from mmyolo.registry import MODELS  # noqa: E402
from mmyolo.tools.export import ExportOptions, OnnxDetector, export_onnx  # noqa: E402
from mmyolo.tools.export.model import pack_maps  # noqa: E402
from mmyolo.tools.random_weights import draw_weights  # noqa: E402
from mmyolo.utils import register_all_modules  # noqa: E402
from tests.closeness import assert_maps_close  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[4] / 'configs'


@pytest.mark.slow
@pytest.mark.parametrize(
    'config',
    [
        'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance',
        'yolox/pose/yolox-pose_tiny_8xb32-300e-rtmdet-hyp_coco',
        'rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco',
        'rtmdet/rotated/rtmdet-r_tiny_fast_1xb8-36e_dota',
    ],
)
def test_maps_only(config, tmp_path):
    register_all_modules()
    cfg = Config.fromfile(CONFIGS / f'{config}.py')
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model)
    draw_weights(model)
    model.eval()
    with pytest.raises(ValueError, match='--model-only'):
        export_onnx(model, tmp_path / 'x.onnx', ExportOptions(image_size=(96, 96)))
    export_onnx(model, tmp_path / 'x.onnx', ExportOptions(image_size=(96, 96), form='raw'))
    batch = np.random.default_rng(0).random((1, 3, 96, 96), np.float32)
    with torch.no_grad():
        expected = pack_maps(model.bbox_head.forward_raw(model.extract_feat(torch.from_numpy(batch))))
    found = OnnxDetector(tmp_path / 'x.onnx').run(batch)
    assert len(found) == len(expected) >= 3
    for ours, theirs in zip(found, expected):
        assert_maps_close(ours, theirs)
