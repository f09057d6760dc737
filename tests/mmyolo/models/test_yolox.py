"""YOLOX: published numbers of its networks, losses and predictions; both forms of ground truth; its initialisation."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmyolo.models import YOLOXPAFPN, YOLOXBBoxCoder, YOLOXCSPDarknet, YOLOXHead, YOLOXHeadModule
from mmyolo.models.backbones.csp_darknet import YOLOXCSPDarknet as FromPublicPath
from mmyolo.registry import MODELS, TASK_UTILS
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TEST_METAS, TRAIN_METAS, as_instances, wave
from tests.mmyolo.models.test_architectures import Network, fill, fingerprint

ASSIGNER = {'type': 'SimOTAAssigner', 'center_radius': 2.5}
CFG = ConfigDict(
    yolox_style=True, multi_label=True, score_thr=0.05, nms={'type': 'nms', 'iou_threshold': 0.65}, max_per_img=300
)


def network(widen, use_depthwise=False):
    scale = {'deepen_factor': 0.33, 'widen_factor': widen, 'use_depthwise': use_depthwise}
    return Network(
        YOLOXCSPDarknet(**scale),
        YOLOXPAFPN([256, 512, 1024], 256, **scale),
        YOLOXHeadModule(80, 256, widen_factor=widen, use_depthwise=use_depthwise),
    )


def head(num_classes=3, **kwargs):
    layers = {'type': 'YOLOXHeadModule', 'num_classes': num_classes, 'in_channels': 8, 'feat_channels': 8}
    return MODELS.build(
        dict(type='YOLOXHead', head_module=layers, train_cfg={'assigner': ASSIGNER}, test_cfg=CFG, **kwargs)
    )


def maps(num_classes=3):
    """Class logits, boxes and objectness; what the published numbers were computed from."""

    def kind(channels, step, shift=0.0):
        return [wave((2, channels, *size), step + 0.01 * i, 1.0, shift) for i, size in enumerate(SIZES)]

    return kind(num_classes, 0.11, -1.0), kind(4, 0.07), kind(1, 0.05)


def values(losses):
    return [loss.item() for loss in losses.values()]


FINGERPRINTS = {
    (0.5, False): (
        [[0.10746, 0.16435, 0.03952], [0.35795, 0.75429, 0.27205], [0.16356, 0.10101, -0.15394]],
        [[0.12618, 0.18382, -0.10383], [0.17699, 0.32012, -0.19356], [0.25985, 0.48349, 0.5667]],
    ),
    (0.25, True): (
        [[0.16975, 0.18295, -0.05664], [0.10991, 0.15833, 0.03592], [0.17721, 0.2166, -0.05787]],
        [[0.09461, 0.13032, -0.1529], [0.12853, 0.20216, 0.01243], [0.1787, 0.32061, -0.12244]],
    ),
}


@pytest.mark.parametrize('widen, use_depthwise', FINGERPRINTS)
def test_published_numbers_of_the_network(widen, use_depthwise):
    model = fill(network(widen, use_depthwise))
    image = 0.5 + 0.5 * torch.sin(0.013 * torch.arange(3 * 64 * 64, dtype=torch.float64))
    with torch.no_grad():
        features = model.backbone(image.float().reshape(1, 3, 64, 64))
        outputs = model.neck(features)
        predicted = model.bbox_head.head_module(outputs)
    for got, wanted in zip((*features, *outputs), sum(FINGERPRINTS[widen, use_depthwise], []), strict=True):
        assert fingerprint(got) == pytest.approx(wanted, abs=2e-5)
    if not use_depthwise:
        wanted = [[0.26064, -0.35747, 0.2284], [0.35276, -0.35747, 0.38243], [0.35787, -0.35747, -0.35802]]
        assert [fingerprint(kind[0]) for kind in predicted] == [pytest.approx(row, abs=2e-5) for row in wanted]


def test_layers_of_the_backbone():
    assert FromPublicPath is YOLOXCSPDarknet
    plugins = [
        {'cfg': {'type': 'mmdet.DropBlock', 'drop_prob': 0.1, 'block_size': 3}, 'stages': (False, False, True, True)}
    ]
    model = YOLOXCSPDarknet(widen_factor=0.125, plugins=plugins)
    assert [len(getattr(model, f'stage{index}')) for index in (1, 2, 3, 4)] == [2, 2, 3, 4]
    model = YOLOXCSPDarknet(widen_factor=0.125, out_indices=(0, 1, 2, 3, 4), frozen_stages=1)
    shapes = [tuple(out.shape) for out in model(torch.rand(2, 3, 64, 96))]
    assert shapes == [(2, 8, 32, 48), (2, 16, 16, 24), (2, 32, 8, 12), (2, 64, 4, 6), (2, 128, 2, 3)]
    assert not any(parameter.requires_grad for parameter in model.stem.parameters())
    with pytest.raises(ValueError, match='frozen_stages'):
        YOLOXCSPDarknet(frozen_stages=6)


def test_neck_of_a_shallow_model_has_no_blocks():
    neck = YOLOXPAFPN([32, 64, 128], 32, deepen_factor=0.1)
    assert len(neck.bottom_up_layers[0].blocks) == 0
    outs = neck([torch.rand(1, c, s, s) for c, s in ((32, 8), (64, 4), (128, 2))])
    assert [tuple(out.shape) for out in outs] == [(1, 32, 8, 8), (1, 32, 4, 4), (1, 32, 2, 2)]


def test_initial_biases():
    module = head().head_module
    module.init_weights()
    for convs, bias in ((module.multi_level_conv_cls, -4.59512), (module.multi_level_conv_obj, -4.59512)):
        assert [conv.bias.tolist() for conv in convs] == [pytest.approx([bias] * len(conv.bias)) for conv in convs]
    with pytest.raises(ValueError, match='conv_bias of YOLOXHeadModule'):
        YOLOXHeadModule(3, 8, conv_bias='no')


def test_coder():
    """Centre offset and logarithm of the size, in strides."""
    points, strides = torch.tensor([[16.0, 8], [0, 0]]), torch.tensor([8.0, 16])
    preds = torch.tensor([[[0.5, -1, 0, torch.log(torch.tensor(2.0))], [0, 0, 0, 0]]])
    boxes = YOLOXBBoxCoder().decode(points, preds, strides)
    torch.testing.assert_close(boxes, torch.tensor([[[16.0, -8, 24, 8], [-8, -8, 8, 8]]]))
    torch.testing.assert_close(YOLOXBBoxCoder().decode(points[:1], preds[:, :1], 8), boxes[:, :1])


@pytest.mark.parametrize(
    'rows, expected', [(GT_ROWS, [1.3342, 4.61801, 34.41475, 1.73013]), (GT_ROWS[:0], [0, 0, 138.3009, 0])]
)
def test_published_losses_from_rows_and_from_instances(rows, expected):
    model = head()
    for ground_truth in (rows, as_instances(rows), rows.flip(0)):
        model.use_bbox_aux = False
        plain = model.loss_by_feat(*maps(), ground_truth, TRAIN_METAS)
        model.use_bbox_aux = True
        with_aux = model.loss_by_feat(*maps(), ground_truth, TRAIN_METAS)
        assert values(plain) == pytest.approx(expected[:3], rel=1e-4)
        assert values(with_aux) == pytest.approx(expected, rel=1e-4)
        assert list(with_aux) == ['loss_cls', 'loss_bbox', 'loss_obj', 'loss_bbox_aux']


@pytest.mark.parametrize('dtype', [torch.int32, torch.float32])
def test_labels_of_any_type(dtype):
    instances = as_instances(GT_ROWS)
    for one in instances:
        one.labels = one.labels.to(dtype)
    losses = head().loss_by_feat(*maps(), instances, TRAIN_METAS)
    assert values(losses) == pytest.approx([1.3342, 4.61801, 34.41475], rel=1e-4)


@pytest.mark.parametrize(
    'assigner', [ASSIGNER, {'type': 'mmdet.SimOTAAssigner', 'iou_calculator': {'type': 'mmdet.BboxOverlaps2D'}}]
)
def test_published_positive_priors(assigner):
    model = head()
    model.assigner = TASK_UTILS.build(assigner)
    matches = model.assign(*maps(), YOLOXHead.gt_instances_preprocess(GT_ROWS, 2))
    assert matches.images.tolist() == [0, 0, 1, 1] and matches.priors.tolist() == [65, 81, 9, 75]
    assert len(matches.truth) == 4 and matches.truth.labels.dtype == torch.int64


def test_boxes_outside_of_the_image_train_objectness_alone():
    rows = GT_ROWS.clone()
    rows[:, 2:] += 1000
    losses = head().loss_by_feat(*maps(), rows, TRAIN_METAS)
    assert losses['loss_cls'] == 0 and losses['loss_bbox'] == 0 and losses['loss_obj'] > 0


def test_one_class_and_gradients():
    model = head(num_classes=1)
    model.use_bbox_aux = True
    rows = GT_ROWS.clone()
    rows[:, 1] = 0
    generator = torch.Generator().manual_seed(0)
    x = [torch.randn(2, 8, *size, generator=generator) for size in SIZES]
    losses = model.loss(x, {'bboxes_labels': rows, 'img_metas': TRAIN_METAS})
    assert all(loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_published_predictions():
    results = head().eval().predict_by_feat(*maps(), batch_img_metas=TEST_METAS)
    sums = [[len(one), one.scores.sum().item(), one.bboxes.sum().item(), one.labels.sum().item()] for one in results]
    assert sums == [
        pytest.approx([252, 47.679, 27401.97, 252], rel=1e-4),
        pytest.approx([213, 30.9884, 22888.21, 220], rel=1e-4),
    ]
    assert results[0].bboxes[0].tolist() == pytest.approx([56.4323, 47.7262, 60, 50], rel=1e-4)
    assert results[0].scores[0].item() == pytest.approx(0.33871, rel=1e-4)


def test_the_batch_road_gives_the_same():
    model = head().eval()
    one_by_one = model.predict_by_feat(*maps(), batch_img_metas=TEST_METAS)
    for fast, slow in zip(model.predict_batch(maps(), TEST_METAS).split(), one_by_one, strict=True):
        assert torch.equal(fast.bboxes, slow.bboxes) and torch.equal(fast.scores, slow.scores)


def test_the_list_of_samples_trains_like_the_rows():
    model = head()
    x = [wave((2, 8, *size), 0.3) for size in SIZES]
    samples = []
    for instances in as_instances(GT_ROWS):
        sample = DetDataSample(metainfo=TRAIN_METAS[0])
        sample.gt_instances = InstanceData(bboxes=instances.bboxes, labels=instances.labels)
        samples.append(sample)
    rows = model.loss(x, {'bboxes_labels': GT_ROWS, 'img_metas': TRAIN_METAS})
    assert values(model.loss(x, samples)) == pytest.approx(values(rows))
