"""Run-length codes in place of masks of pixels: the same masks, a few at a time."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mmyolo.models.dense_heads import mask_prediction
from mmyolo.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


@pytest.mark.parametrize(
    'config, pixels_at_once',
    [
        ('yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py', 1),
        ('rtmdet/rtmdet-ins_s_syncbn_fast_8xb32-300e_coco.py', 1 << 24),
    ],
)
def test_codes_are_those_of_the_masks(config, pixels_at_once, monkeypatch):
    monkeypatch.setattr(mask_prediction, '_MAX_PIXELS', pixels_at_once)
    cfg = Config.fromfile(CONFIGS / config)
    cfg.model.bbox_head.head_module.num_classes = 2
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    meta = {
        'ori_shape': (50, 70),
        'scale_factor': (64 / 70, 64 / 70),
        'pad_param': [9, 9, 0, 0],
        'batch_input_shape': (64, 64),
        'img_shape': (64, 64),
    }
    settings = dict(cfg.model.test_cfg, score_thr=0.0, max_per_img=7)
    with torch.inference_mode():
        maps = model.bbox_head(model.extract_feat(torch.rand(1, 3, 64, 64)))
        plain, coded = (
            model.bbox_head.predict_by_feat(*maps, batch_img_metas=[meta], cfg={**settings, 'masks_as_rle': as_rle})[0]
            for as_rle in (False, True)
        )
    assert torch.equal(plain.bboxes, coded.bboxes) and len(plain) == len(coded) == len(coded.masks) == 7
    for mask, code in zip(plain.masks, coded.masks):
        assert code['size'] == [50, 70]
        assert torch.equal(torch.from_numpy(mask_utils.decode(code)).bool(), mask.cpu())
    assert plain.masks.any()


def test_no_mask_at_all():
    assert mask_prediction.draw_masks(None, 0, (5, 6), 30, torch.device('cpu'), as_rle=True) == []
