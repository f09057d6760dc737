"""The YOLOv5 head: published losses, ground truth in both forms, ignored boxes, edges of the map."""

import math

import pytest
import torch
from mmdet.structures import DetDataSample

from mmyolo.models import YOLOv5Head
from mmyolo.models.dense_heads.yolov5_head import get_prior_xy_info
from mmyolo.registry import MODELS
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS, as_instances, yolov5_maps

IGNORED = torch.tensor([[0, 0, 0, 0, 20, 64.0]])


def build(num_classes=3, **kwargs):
    layers = {'type': 'YOLOv5HeadModule', 'num_classes': num_classes, 'in_channels': [8, 16, 24]}
    return MODELS.build(dict(type='YOLOv5Head', head_module=layers, **kwargs))


def values(losses):
    return [losses[name].item() for name in ('loss_cls', 'loss_obj', 'loss_bbox')]


@pytest.mark.parametrize('rows, expected', [(GT_ROWS, [2.18262, 4.28477, 0.26116]), (GT_ROWS[:0], [0, 4.07162, 0])])
def test_published_losses_from_rows_and_from_instances(rows, expected):
    for ground_truth in (rows, as_instances(rows)):
        losses = build().loss_by_feat(*yolov5_maps(), ground_truth, TRAIN_METAS)
        assert values(losses) == pytest.approx(expected, rel=1e-4)
        assert all(loss.shape == (1,) for loss in losses.values())


@pytest.mark.parametrize('shape', [(64, 64, 3), torch.Size([64, 64])])
def test_input_shapes_in_other_forms(shape):
    losses = build().loss_by_feat(*yolov5_maps(), GT_ROWS, [{'batch_input_shape': shape}] * 2)
    assert values(losses) == pytest.approx([2.18262, 4.28477, 0.26116], rel=1e-4)


def test_ground_truth_is_left_as_it_was():
    rows = GT_ROWS.clone()
    build().loss_by_feat(*yolov5_maps(), rows, TRAIN_METAS)
    assert torch.equal(rows, GT_ROWS)


def test_ignored_boxes():
    maps, instances = yolov5_maps(), as_instances(GT_ROWS)
    head = build(ignore_iof_thr=0.5)
    expected = [6.57819, 4.20709, 0.26216]
    for losses in (
        head.loss_by_feat(*maps, instances, TRAIN_METAS, as_instances(IGNORED)),
        head._loss_by_feat_with_ignore(*maps, instances, TRAIN_METAS, IGNORED),
    ):
        assert values(losses) == pytest.approx(expected, rel=1e-4)
    # no box to ignore, or ignoring switched off: the plain losses
    plain = values(build().loss_by_feat(*maps, instances, TRAIN_METAS))
    assert values(head.loss_by_feat(*maps, instances, TRAIN_METAS, as_instances(IGNORED[:0]))) == plain
    assert values(build().loss_by_feat(*maps, instances, TRAIN_METAS, as_instances(IGNORED))) == plain


def test_everything_ignored_trains_nothing():
    everything = torch.tensor([[0, 0, -500, -500, 500, 500.0]])
    head = build(ignore_iof_thr=0.5)
    instances = as_instances(GT_ROWS[:2], 1)
    losses = head._loss_by_feat_with_ignore(*yolov5_maps(batch_size=1), instances, TRAIN_METAS, everything)
    assert values(losses) == [0, 0, 0]


def test_a_centre_on_the_far_edge_belongs_to_the_last_cell():
    corner = torch.tensor([[0, 1, 44.0, 44, 84, 84]])  # centre (64, 64) of a 64 x 64 input
    maps = [[level.requires_grad_() for level in kind] for kind in yolov5_maps(batch_size=1)]
    losses = build().loss_by_feat(*maps, corner, TRAIN_METAS)
    losses['loss_cls'].backward()
    for level in maps[0]:
        trained = level.grad.abs().sum((0, 1)) > 0
        if trained.any():
            assert trained[-1, -1] and not trained[:-2].any() and not trained[:, :-2].any()
    assert maps[0][2].grad.any()


def test_one_class_learns_objectness_alone():
    maps = [[level.requires_grad_() for level in kind] for kind in yolov5_maps(num_classes=1)]
    rows = GT_ROWS.clone()
    rows[:, 1] = 0
    losses = build(num_classes=1).loss_by_feat(*maps, rows, TRAIN_METAS)
    sum(losses.values()).backward()
    assert losses['loss_cls'].item() == 0 and losses['loss_bbox'].item() == pytest.approx(0.26116, rel=1e-4)
    assert all(level.grad is not None and not level.grad.any() for level in maps[0])


def test_of_two_boxes_on_an_anchor_the_last_sets_its_objectness():
    twice = torch.tensor([[0, 1, 4.0, 6, 30, 40], [0, 1, 4, 6, 34, 44]])  # same centre cell, other overlaps
    maps = yolov5_maps(batch_size=1)
    losses = [values(build().loss_by_feat(*maps, rows, TRAIN_METAS))[1] for rows in (twice, twice.flip(0), twice[:1])]
    assert losses[0] != losses[1]
    same = torch.cat((twice[1:], twice[:1]))
    assert values(build().loss_by_feat(*maps, same, TRAIN_METAS))[1] == losses[1]


def test_features_train_through_either_kind_of_ground_truth():
    torch.manual_seed(0)
    head = build()
    features = [torch.randn(2, c, *size) for c, size in zip((8, 16, 24), SIZES)]
    as_dict = head.loss(features, {'bboxes_labels': GT_ROWS, 'img_metas': TRAIN_METAS})
    samples = []
    for instances, meta in zip(as_instances(GT_ROWS), TRAIN_METAS):
        samples.append(DetDataSample(metainfo=meta, gt_instances=instances))
    as_list = head.loss(features, samples)
    assert values(as_dict) == pytest.approx(values(as_list))
    maps = head(features)
    assert [level.shape[1:] for level in maps[0]] == [(9, 8, 8), (9, 4, 4), (9, 2, 2)]
    assert values(head.loss_by_feat(*maps, GT_ROWS, TRAIN_METAS)) == pytest.approx(values(as_dict))


def test_initial_biases():
    head = build(num_classes=80)
    before = [conv.bias.detach().clone() for conv in head.head_module.convs_pred]
    head.init_weights()
    for conv, old, stride in zip(head.head_module.convs_pred, before, (8, 16, 32)):
        shift = (conv.bias - old).view(3, 85)
        assert shift[:, 4].tolist() == pytest.approx([math.log(8 / (640 / stride) ** 2)] * 3, abs=1e-5)
        assert shift[:, 5:].mean().item() == pytest.approx(math.log(0.6 / 79.000001), abs=1e-5)
        assert not shift[:, :4].any()


def test_state_has_only_what_is_learnt():
    keys = [f'head_module.convs_pred.{level}.{name}' for level in range(3) for name in ('weight', 'bias')]
    assert list(build().state_dict()) == keys


def test_weights_per_level_are_checked():
    with pytest.raises(ValueError, match='2 values.*3 levels'):
        build(obj_level_weights=[1.0, 1.0])


def test_prior_index_taken_apart():
    # prior 2 of the cell in row 4, column 3 of a map 5 high and 6 wide, 3 priors per cell
    assert get_prior_xy_info((4 * 6 + 3) * 3 + 2, 3, (5, 6)) == (2, 3, 4)


def test_head_is_the_base_of_the_anchor_free_ones():
    from mmyolo.models import YOLOv8Head

    assert issubclass(YOLOv8Head, YOLOv5Head)
