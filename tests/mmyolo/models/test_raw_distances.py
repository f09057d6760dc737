"""Layers whose `reg_max` is set to 0 once they are built: distances come out as the logits of their distributions."""

import pytest
import torch

from mmyolo.registry import MODELS
from mmyolo.testing import get_detector_cfg
from tests.mmyolo.models.heads import build, features, losses_of, predictions_of
from tests.mmyolo.models.maps import SIZES

BINS = {'yolov8': 16, 'ppyoloe': 17, 'yolov6_dfl': 17}


@pytest.mark.parametrize('family, bins', BINS.items())
def test_raw_maps(family, bins):
    head = build(family).eval()
    cls, bbox = head(features(family))
    dist = head.train()(features(family))[2]
    head.head_module.reg_max = 0
    for training in (False, True):
        raw = head.train(training)(features(family))
        assert len(raw) == 3 if training else 2
        assert [tuple(level.shape) for level in raw[1]] == [(2, 4 * bins, *size) for size in SIZES]
    raw_cls, raw = head.eval()(features(family))
    torch.testing.assert_close(raw_cls, cls)
    mean = [level.unflatten(1, (4, bins)).softmax(2).mul(torch.arange(bins).view(-1, 1, 1)).sum(2) for level in raw]
    torch.testing.assert_close(mean, bbox)
    torch.testing.assert_close(head.train()(features(family))[1][0].flatten(2).transpose(1, 2), dist[0].flatten(2))

    head.head_module.reg_max = bins - (family != 'yolov8')
    torch.testing.assert_close(head.eval()(features(family)), (cls, bbox))


@pytest.mark.parametrize('family', BINS)
def test_predictions_and_losses_stay(family):
    losses, predictions = losses_of(build(family), family), predictions_of(build(family), family)
    head = build(family)
    head.head_module.reg_max = 0
    assert losses_of(head, family) == pytest.approx(losses, rel=1e-5)
    assert torch.equal(predictions_of(head, family)[0].bboxes, predictions[0].bboxes)


@pytest.mark.parametrize('family', ['yolov6', 'rtmdet', 'yolox', 'yolov5'])
def test_heads_without_distributions(family):
    head = build(family).eval()
    expected = head(features(family))
    head.head_module.reg_max = 0
    torch.testing.assert_close(head(features(family)), expected)


@pytest.mark.parametrize(
    'config, channels',
    [('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py', 144), ('ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py', 148)],
)
def test_detectors(config, channels):
    cfg = get_detector_cfg(config)
    cfg.backbone.init_cfg = None
    model = MODELS.build(cfg).eval()
    model.bbox_head.head_module.reg_max = 0
    with torch.no_grad():
        levels = [torch.cat(level, 1) for level in zip(*model(torch.zeros(1, 3, 64, 64), mode='tensor'))]
    assert [tuple(level.shape) for level in levels] == [(1, channels, size, size) for size in (8, 4, 2)]


def test_yolov8_starts_alike_with_any_initial_score():
    layers, other = build('yolov8').head_module, build('yolov8').head_module
    layers.init_weights()
    other.init_weights(0.2)
    assert torch.equal(layers.cls_preds[0][-1].bias, other.cls_preds[0][-1].bias)


@pytest.mark.parametrize('family, wanted', [('ppyoloe', 0.2), ('yolov6', 0.2)])
def test_initial_score(family, wanted):
    layers = build(family).head_module
    layers.init_weights(prior_prob=wanted)
    assert layers.cls_preds[0].bias.sigmoid().tolist() == pytest.approx([wanted] * 3)
