"""The YOLOv5 instance head against published numbers, and its masks against their definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmyolo.models.dense_heads import mask_prediction
from mmyolo.models.dense_heads.maps import gather_priors
from mmyolo.models.dense_heads.mask_prediction import draw_masks, enlarge, frame_of
from mmyolo.models.dense_heads.yolov5_ins_head import ProtoModule
from mmyolo.registry import MODELS

SIZES = (8, 4, 2)
ROWS = torch.tensor([(0, 1, 4, 6, 30, 40), (0, 2, 20, 10, 60, 50), (1, 0, 2, 2, 14, 18), (1, 2, 31, 33, 63, 60.0)])
REGIONS = [(0, 2, 10, 1, 7), (0, 3, 12, 5, 15), (1, 0, 4, 0, 3), (1, 8, 15, 8, 15)]  # image, rows, columns
META = {
    'ori_shape': (50, 60),
    'scale_factor': (1, 1),
    'pad_param': np.array([7, 7, 2, 2.0]),
    'batch_input_shape': (64, 64),
}
CFG = {
    'multi_label': True,
    'nms_pre': 30000,
    'score_thr': 0.05,
    'nms': {'type': 'nms', 'iou_threshold': 0.65},
    'max_per_img': 300,
    'min_bbox_size': 0,
    'mask_thr_binary': 0.5,
}


def wave(shape, step, offset=0.0):
    return torch.tensor((np.sin(step * np.arange(np.prod(shape))) + offset).astype(np.float32)).reshape(shape)


def maps():
    kinds = [(9, 0.11, 0.0), (12, 0.07, 0.0), (3, 0.05, -1.0), (12, 0.03, 0.0)]
    levels = [
        [wave((2, channels, n, n), step + 0.01 * level, offset) for level, n in enumerate(SIZES)]
        for channels, step, offset in kinds
    ]
    return (*levels, wave((2, 4, 16, 16), 0.09))


def true_masks(overlap):
    if not overlap:
        masks = torch.zeros(4, 16, 16, dtype=torch.uint8)
        for mask, (_, top, bottom, left, right) in zip(masks, REGIONS):
            mask[top:bottom, left:right] = 1
        return masks
    masks, count = torch.zeros(2, 16, 16, dtype=torch.uint8), [0, 0]
    for image, top, bottom, left, right in REGIONS:
        count[image] += 1
        masks[image, top:bottom, left:right] = count[image]
    return masks


def head(num_classes=3, **kwargs):
    layers = {'type': 'YOLOv5InsHeadModule', 'num_classes': num_classes, 'in_channels': [8, 8, 8], 'mask_channels': 4}
    return MODELS.build(dict(type='YOLOv5InsHead', head_module=layers, test_cfg=CFG, **kwargs))


@pytest.mark.parametrize('overlap, expected', [(True, 0.23094), (False, 0.23107)])
def test_published_losses(overlap, expected):
    losses = head(mask_overlap=overlap).loss_by_feat(*maps(), ROWS.clone(), true_masks(overlap), [META] * 2)
    assert losses['loss_cls'].item() == pytest.approx(2.18262, abs=1e-4)
    assert losses['loss_obj'].item() == pytest.approx(4.28477, abs=1e-4)
    assert losses['loss_bbox'].item() == pytest.approx(0.26116, abs=1e-4)
    assert losses['loss_mask'].item() == pytest.approx(expected, abs=1e-5)
    # masks of another size are brought to the prototypes'
    large = true_masks(overlap).repeat_interleave(2, 1).repeat_interleave(2, 2)
    again = head(mask_overlap=overlap).loss_by_feat(*maps(), ROWS.clone(), large, [META] * 2)
    assert again['loss_mask'].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('num_classes', [1, 3])
def test_losses_without_boxes(num_classes):
    one = head(num_classes)
    levels = [[level.clone().requires_grad_() for level in kind] for kind in maps()[:4]]
    levels[0] = [level[:, : 3 * num_classes] for level in levels[0]]
    losses = one.loss_by_feat(*levels, maps()[4], torch.zeros(0, 6), torch.zeros(2, 16, 16), [META] * 2)
    assert losses['loss_cls'] == losses['loss_bbox'] == losses['loss_mask'] == 0 and losses['loss_obj'] > 0
    sum(losses.values()).sum().backward()
    assert levels[3][0].grad is not None


def test_loss_takes_collated_batches_with_masks_only():
    with pytest.raises(NotImplementedError, match='yolov5_collate'):
        head().loss([], [])
    with pytest.raises(KeyError, match='Polygon2Mask'):
        head().loss([], {'bboxes_labels': ROWS, 'img_metas': [META] * 2})


@pytest.mark.parametrize('fast_test', [True, False])
def test_published_predictions(fast_test):
    results = head().predict_by_feat(*maps(), batch_img_metas=[META] * 2, cfg=dict(CFG, fast_test=fast_test))
    expected = [(71.7191, 33713.02, 275, 97153), (58.6958, 31119.96, 308, 73409)]
    for result, (scores, bboxes, labels, pixels) in zip(results, expected):
        assert result.scores.sum().item() == pytest.approx(scores, abs=1e-3)
        assert result.bboxes.sum().item() == pytest.approx(bboxes, abs=0.1)
        assert result.labels.sum() == labels
        assert result.masks.shape == (300, 50, 60) and result.masks.dtype == torch.bool
        assert result.masks.sum() == pytest.approx(pixels, abs=5)


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('fast_test', [True, False])
def test_masks_by_definition(rescale, fast_test):
    """An image twice as large as its part of the input: coefficients times prototypes, enlarged, cut to the box."""
    meta = dict(META, ori_shape=(100, 120), scale_factor=(0.5, 0.5))
    one = head()
    cfg = dict(CFG, fast_test=fast_test, max_per_img=20)
    result = one.predict_by_feat(*maps(), batch_img_metas=[meta] * 2, cfg=cfg, rescale=rescale)[1]
    found = one.predict_batch(maps(), [meta] * 2, cfg=cfg, rescale=False).split()[1]
    coeffs, objectness = (
        torch.cat([level[1].unflatten(0, (3, -1)).flatten(2).permute(2, 0, 1).flatten(0, 1) for level in kind])
        for kind in (maps()[3], maps()[2])
    )
    coeffs = (coeffs * objectness.sigmoid())[found.priors]
    masks = (coeffs @ maps()[4][1].flatten(1)).sigmoid().view(1, -1, 16, 16)
    masks = F.interpolate(masks, (64, 64), mode='bilinear')[0]
    for mask, (x1, y1, x2, y2) in zip(masks, found.bboxes.tolist()):
        inside = torch.zeros(64, 64)
        inside[int(np.ceil(y1)) : int(np.ceil(y2)), int(np.ceil(x1)) : int(np.ceil(x2))] = 1
        mask *= inside
    if rescale:
        masks = masks[:, 7:57, 2:62]
        if not fast_test:
            masks = (masks > 0.5).float()
        masks = F.interpolate(masks[None], (100, 120), mode='bilinear')[0]
        shifted = (found.bboxes - torch.tensor([2.0, 7.0, 2.0, 7.0])) * 2
        limit = torch.tensor([120.0, 100.0, 120.0, 100.0])
        torch.testing.assert_close(result.bboxes, torch.minimum(shifted.clamp(min=0), limit))
    assert result.masks.shape == masks.shape
    # OpenCV rounds bits at exactly one half up or down
    assert (result.masks != (masks > 0.5)).float().mean() < (0.02 if rescale and not fast_test else 1e-6)


def test_padding_in_halves_goes_to_the_image():
    meta = dict(META, ori_shape=(100, 122), scale_factor=(0.5, 0.5), pad_param=np.array([7, 7, 1.5, 1.5]))
    result = head().predict_by_feat(*maps(), batch_img_metas=[meta] * 2)[0]
    boxes = head().predict_batch(maps(), [meta] * 2, rescale=False).split()[0].bboxes
    torch.testing.assert_close(result.bboxes[:, 0], ((boxes[:, 0] - 1.5) * 2).clamp(0, 122))
    assert result.masks.shape[1:] == (100, 122)


def test_nothing_found():
    results = head().predict_by_feat(*maps(), batch_img_metas=[META] * 2, cfg=dict(CFG, score_thr=0.99))
    assert [result.masks.shape for result in results] == [(0, 50, 60)] * 2


def test_without_nms_every_candidate_has_a_mask():
    result = head().predict_by_feat(*maps(), batch_img_metas=[META] * 2, with_nms=False)[0]
    assert len(result.masks) == len(result.bboxes) > 300


def test_layers():
    module = head().head_module
    outs = module([torch.rand(2, 8, n, n) for n in SIZES])
    assert [out.shape for out in outs[0]] == [(2, 9, n, n) for n in SIZES]
    assert [out.shape for out in outs[3]] == [(2, 12, n, n) for n in SIZES]
    assert outs[4].shape == (2, 4, 16, 16)
    # channels of an anchor: box, objectness, classes, coefficients
    for conv in module.convs_pred:
        conv.weight.data.zero_()
        conv.bias.data.copy_(torch.arange(36.0))
    cls, bbox, objectness, coeffs, _ = module.eval()([torch.rand(1, 8, 1, 1)] * 3)
    assert bbox[0].flatten().tolist()[:5] == [0, 1, 2, 3, 12]
    assert objectness[0].flatten().tolist() == [4, 16, 28]
    assert cls[0].flatten().tolist()[:4] == [5, 6, 7, 17]
    assert coeffs[0].flatten().tolist()[:5] == [8, 9, 10, 11, 20]
    assert ProtoModule(in_channels=8, middle_channels=4, mask_channels=2)(torch.rand(1, 8, 3, 5)).shape == (1, 2, 6, 10)


def test_memory_is_bounded(monkeypatch):
    """The largest float tensor on the way has no more pixels than allowed, or is a single mask."""
    monkeypatch.setattr(mask_prediction, '_MAX_PIXELS', 3 * 5000)
    seen = []

    def draw(part):
        seen.append(part.stop - part.start)
        return torch.arange(part.start, part.stop)[:, None, None].expand(-1, 50, 100) % 2 > 0

    masks = draw_masks(draw, 10, (50, 100), 64, torch.device('cpu'))
    assert seen == [3, 3, 3, 1]
    assert masks.any(2).any(1).tolist() == [False, True] * 5
    assert draw_masks(draw, 0, (50, 100), 64, torch.device('cpu')).shape == (0, 50, 100)


def test_frames():
    assert frame_of({'ori_shape': (50, 60, 3), 'scale_factor': (1, 1), 'pad_param': [6.5, 6.5, 2, 2]}, (64, 64))[
        :4
    ] == (6, 58, 2, 62)
    assert frame_of({'ori_shape': (50, 60), 'scale_factor': (0.5, 0.5)}, (64, 64)) == (0, 25, 0, 30, (50, 60))


def test_gathering_counts_over_levels_rows_columns_and_anchors():
    levels, first = [], 0
    for n in (4, 2):
        numbers = torch.arange(first, first + n * n * 3).view(n, n, 3).permute(2, 0, 1).float()  # (A, H, W)
        levels.append(torch.stack((numbers, -numbers), 1).flatten(0, 1)[None].repeat(2, 1, 1, 1))
        first += n * n * 3
    levels[0][1] += 1000
    images, priors = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 47, 48, 59])
    found = gather_priors(levels, images, priors, 3)
    assert found.tolist() == [[0, 0], [1047, 953], [48, -48], [59, -59]]
    assert gather_priors(levels, images[:0], priors[:0], 3).shape == (0, 2)


def test_enlarging_to_the_same_size_is_free():
    masks = torch.rand(2, 4, 4)
    assert enlarge(masks, (4, 4)) is masks
