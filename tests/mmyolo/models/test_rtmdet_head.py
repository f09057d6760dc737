"""The RTMDet heads for boxes and for instances against published numbers, and their layers."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo.models import CSPNeXt, CSPNeXtPAFPN
from mmyolo.models.dense_heads import RTMDetHead, RTMDetInsSepBNHead
from mmyolo.models.dense_heads.rtmdet_ins_head import MaskFeatModule
from mmyolo.registry import MODELS

SIZES = (16, 8, 4)
ROWS = torch.tensor([[0, 1, 10, 12, 60, 70], [0, 2, 30, 40, 120, 110], [1, 0, 5, 5, 40, 30.0]])
META = {'ori_shape': (100, 120), 'scale_factor': (1, 1), 'pad_param': np.array([2, 2, 4, 4.0])}


def values(shape, start, scale):
    """Numbers in [0, scale) that any implementation can draw."""
    wave = np.sin(12.9898 * np.arange(np.prod(shape)) + start) * 43758.5453
    return torch.tensor(((wave - np.floor(wave)) * scale).astype(np.float32)).reshape(shape)


def maps():
    cls_scores = [values((2, 3, n, n), 0.1 * level, 4) - 2 for level, n in enumerate(SIZES)]
    bbox_preds = [values((2, 4, n, n), 0.5 + 0.1 * level, 3) + 0.2 for level, n in enumerate(SIZES)]
    return cls_scores, bbox_preds


def head(kind='RTMDetHead', num_classes=3, **kwargs):
    module = kind.replace('Head', 'HeadModule') if 'Ins' in kind else 'RTMDetSepBNHeadModule'
    layers = dict(type=module, num_classes=num_classes, in_channels=8, feat_channels=8, **kwargs)
    assigner = {'type': 'BatchDynamicSoftLabelAssigner', 'num_classes': 80, 'topk': 13}
    test_cfg = {
        'multi_label': True,
        'score_thr': 0.3,
        'nms': {'type': 'nms', 'iou_threshold': 0.65},
        'max_per_img': 300,
    }
    return MODELS.build(
        {'type': kind, 'head_module': layers, 'train_cfg': {'assigner': assigner}, 'test_cfg': test_cfg}
    )


def test_published_losses():
    losses = head().loss_by_feat(*maps(), ROWS, [META, META])
    assert losses['loss_cls'].item() == pytest.approx(154.269135, rel=1e-5)
    assert losses['loss_bbox'].item() == pytest.approx(1.172863, rel=1e-5)
    instances = [InstanceData(bboxes=rows[:, 2:], labels=rows[:, 1].long()) for rows in ROWS.split([2, 1])]
    listed = head().loss_by_feat(*maps(), instances, [META, META])
    for name, loss in losses.items():
        assert listed[name].item() == pytest.approx(loss.item(), rel=1e-6)


def test_published_assignment():
    from mmyolo.models.dense_heads.maps import by_prior

    one = head()
    cls_scores, bbox_preds = maps()
    points, strides = one.points_and_strides(cls_scores)
    bboxes = one.decode_bboxes(points, by_prior(bbox_preds), strides)
    assigned = one.assign(by_prior(cls_scores), bboxes, one.priors_for_training(cls_scores), ROWS)
    first, second = assigned.positives
    assert first.nonzero().flatten().tolist() == [84, 267, 273, 298, 302, 308, 330, 334]
    assert assigned.labels[0, first].tolist() == [1, 1, 1, 2, 2, 2, 1, 2]
    assert assigned.metrics[0, first].tolist() == pytest.approx(
        [0.42622, 0.50687, 0.5592, 0.42116, 0.37613, 0.55811, 0.38207, 0.33341], abs=1e-5
    )
    assert second.nonzero().flatten().tolist() == [18, 19, 34, 49]
    assert assigned.metrics[1, second].tolist() == pytest.approx([0.45527, 0.5243, 0.44251, 0.41454], abs=1e-5)


def test_published_predictions():
    first, _ = head().predict_by_feat(*maps(), batch_img_metas=[META, META])
    expected = torch.tensor([[44.03157, 2.75310, 120, 63.26794], [20.12321, 0, 62.84067, 100]])
    torch.testing.assert_close(first.bboxes[:2], expected, atol=1e-4, rtol=0)
    assert first.scores[:2].tolist() == pytest.approx([0.88030, 0.87983], abs=1e-5)
    assert first.labels[:2].tolist() == [2, 2]
    raw, _ = head().predict_by_feat(*maps(), batch_img_metas=[META, META], with_nms=False)
    assert len(raw) > len(first)


@pytest.mark.parametrize('num_classes', [1, 4])
def test_losses_with_and_without_boxes(num_classes):
    """The assigner has more classes than the head, which must not matter."""
    one = head(num_classes=num_classes)
    cls_scores = [torch.rand(1, num_classes, n, n, requires_grad=True) for n in SIZES]
    bbox_preds = [torch.rand(1, 4, n, n, requires_grad=True) for n in SIZES]
    empty = one.loss_by_feat(cls_scores, bbox_preds, torch.zeros(0, 6), [META])
    assert empty['loss_cls'] > 0 and empty['loss_bbox'] == 0
    sum(empty.values()).backward()
    assert all((level.grad == 0).all() for level in bbox_preds)
    box = torch.tensor([[0.0, 0.0, 23.6667, 23.8757, 100.0, 100.0]])
    losses = one.loss_by_feat(cls_scores, bbox_preds, box, [META])
    assert losses['loss_cls'] > 0 and losses['loss_bbox'] > 0


@pytest.mark.parametrize('share_conv', [True, False])
def test_levels_share_convolutions_not_norms(share_conv):
    module = head(share_conv=share_conv).head_module
    module.init_weights()
    for towers in (module.cls_convs, module.reg_convs):
        assert (towers[0][1].conv is towers[2][1].conv) == share_conv
        assert towers[0][1].bn is not towers[2][1].bn
    assert module.cls_convs[0] is not module.reg_convs[0]
    assert module.rtm_cls[1].bias.tolist() == pytest.approx([-4.59512] * 3, abs=1e-5)
    assert module.rtm_reg[1].bias.tolist() == [0] * 4
    assert module.rtm_reg[0].weight.std().item() == pytest.approx(0.01, rel=0.5)


def test_instance_layers():
    module = head('RTMDetInsSepBNHead').head_module
    module.init_weights()
    assert all(module.cls_convs[level] is module.reg_convs[level] for level in range(3))
    assert module.kernel_convs[0][0].conv is not module.kernel_convs[1][0].conv
    assert (module.weight_nums, module.bias_nums, module.num_gen_params) == ([80, 64, 8], [8, 8, 1], 169)
    assert module.rtm_reg[0].bias.tolist() == [1] * 4
    assert module.rtm_cls[0].bias.tolist() == pytest.approx([-4.59512] * 3, abs=1e-5)
    state = module.state_dict()
    assert all(
        torch.equal(state[key], state[key.replace('reg_convs', 'cls_convs')])
        for key in state
        if key.startswith('reg_convs')
    )


def test_published_masks():
    one = head('RTMDetInsSepBNHead')
    priors = torch.tensor([(8, 16, 8, 8), (16, 0, 16, 16), (32, 32, 32, 32.0)])
    masks = one._mask_predict_by_feat(values((8, 6, 5), 0.3, 2) - 1, values((3, 169), 0.7, 2) - 1, priors)
    assert masks[:, 0, 0].tolist() == pytest.approx([0.88512, -0.77815, -0.87772], abs=1e-5)
    assert masks[:, 5, 4].tolist() == pytest.approx([0.80464, -0.96939, -0.04817], abs=1e-5)
    assert masks.sum().item() == pytest.approx(-13.5815, abs=1e-3)


def instance_maps():
    cls_scores, bbox_preds = maps()
    kernels = [values((2, 169, n, n), 0.3 * level, 2) - 1 for level, n in enumerate(SIZES)]
    return cls_scores, bbox_preds, kernels, values((2, 8, 16, 16), 0.2, 2) - 1


@pytest.mark.parametrize('pad_param', [np.array([2.0, 2.0, 4.0, 4.0], np.float32), [2, 2, 4, 4], None])
def test_instance_predictions(pad_param):
    one = head('RTMDetInsSepBNHead')
    meta = {'ori_shape': (248, 240), 'scale_factor': (0.5, 0.5)}
    if pad_param is not None:
        meta['pad_param'] = pad_param
    results = one.predict_by_feat(*instance_maps(), batch_img_metas=[meta] * 2)
    boxes = RTMDetHead.predict_by_feat(head(), *maps(), batch_img_metas=[meta] * 2)
    for result, box in zip(results, boxes):
        assert torch.equal(result.bboxes, box.bboxes)
        assert result.masks.shape == (len(box), 248, 240) and result.masks.dtype == torch.bool

    # the same by hand: logits of the input, cropped to the image, enlarged, above 0
    first = one.predict_batch(instance_maps(), [meta] * 2).split()[0]
    points, strides = one.points_and_strides(maps()[0])
    priors = torch.cat((points, strides[:, None].expand(-1, 2)), 1)[first.priors]
    kernels = torch.cat([level[0].flatten(1) for level in instance_maps()[2]], 1).t()[first.priors]
    logits = one._mask_predict_by_feat(instance_maps()[3][0], kernels, priors)[None]
    logits = torch.nn.functional.interpolate(logits, scale_factor=8, mode='bilinear')
    logits = logits[..., 2:126, 4:124] if pad_param is not None else logits[..., :124, :120]
    masks = torch.nn.functional.interpolate(logits, (248, 240), mode='bilinear')[0].sigmoid() > 0.5
    assert (results[0].masks != masks).float().mean() < 1e-6
    assert 0 < masks.float().mean() < 1


def test_instance_predictions_of_the_input_and_of_nothing():
    one = head('RTMDetInsSepBNHead')
    results = one.predict_by_feat(*instance_maps(), batch_img_metas=[META] * 2, rescale=False)
    assert results[0].masks.shape[1:] == (128, 128)
    nothing = one.predict_by_feat(*instance_maps(), batch_img_metas=[META] * 2, cfg=dict(one.test_cfg, score_thr=0.999))
    assert [result.masks.shape for result in nothing] == [(0, 100, 120)] * 2
    with pytest.raises(AssertionError, match='with_nms=True'):
        one.predict_by_feat(*instance_maps(), batch_img_metas=[META] * 2, with_nms=False)


def test_kinds_of_class_outputs_must_agree():
    with pytest.raises(AssertionError, match='make them equal'):
        RTMDetInsSepBNHead(
            {'type': 'RTMDetInsSepBNHeadModule', 'num_classes': 3, 'in_channels': 8, 'use_sigmoid_cls': False}
        )


def test_prototypes_have_the_finest_size():
    module = MaskFeatModule(in_channels=8, feat_channels=4, num_prototypes=5)
    assert module([torch.rand(2, 8, n, n) for n in SIZES]).shape == (2, 5, 16, 16)


def test_backbone():
    assert [out.shape for out in CSPNeXt(widen_factor=0.125, deepen_factor=0.33)(torch.rand(1, 3, 64, 64))] == [
        (1, 32, 8, 8),
        (1, 64, 4, 4),
        (1, 128, 2, 2),
    ]
    grey = CSPNeXt(arch='P6', widen_factor=0.125, deepen_factor=0.33, input_channels=1, out_indices=range(6))
    assert [out.shape[1] for out in grey.eval()(torch.rand(1, 1, 64, 64))] == [8, 16, 32, 64, 96, 128]
    assert not hasattr(CSPNeXt(widen_factor=0.125, channel_attention=False).stage1[1], 'attention')
    depthwise = CSPNeXt(widen_factor=0.125, use_depthwise=True)
    assert hasattr(depthwise.stage1[0], 'depthwise_conv') and not hasattr(depthwise.stem[0], 'depthwise_conv')
    with pytest.raises(AssertionError):
        CSPNeXt(out_indices=[6])
    with pytest.raises(ValueError):
        CSPNeXt(frozen_stages=6)


def test_neck():
    neck = CSPNeXtPAFPN([32, 64, 128], 48, widen_factor=0.5, deepen_factor=0.1)
    outs = neck([torch.rand(1, 16, 16, 16), torch.rand(1, 32, 8, 8), torch.rand(1, 64, 4, 4)])
    assert [out.shape for out in outs] == [(1, 24, 16, 16), (1, 24, 8, 8), (1, 24, 4, 4)]
    assert len(neck.top_down_layers[0][0].blocks) == 0  # round(3 * 0.1), not clamped
    depthwise = CSPNeXtPAFPN([32, 64, 128], 48, use_depthwise=True)
    assert depthwise.conv.__name__ == 'DepthwiseSeparableConvModule'
    assert not hasattr(depthwise.bottom_up_layers[0].blocks[0].conv1, 'depthwise_conv')
