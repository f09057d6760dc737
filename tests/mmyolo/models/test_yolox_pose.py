"""YOLOX-pose: similarity and assignment by hand, losses and predictions against their plain definitions."""

import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional as F

from mmyolo.models import OksLoss
from mmyolo.models.task_modules.assigners import PoseSimOTAAssigner
from mmyolo.registry import MODELS
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS, wave

COCO = 'configs/_base_/pose/coco.py'
K = 3
ASSIGNER = {'type': 'PoseSimOTAAssigner', 'oks_weight': 3.0, 'oks_calculator': {'type': 'OksLoss'}}
CFG = ConfigDict(
    yolox_style=True, multi_label=True, score_thr=0.05, nms={'type': 'nms', 'iou_threshold': 0.65}, max_per_img=300
)
METAS = [
    {'ori_shape': (50, 60), 'scale_factor': (1.25, 0.8), 'pad_param': [7, 7, 2, 2]},
    {'ori_shape': (640, 640), 'scale_factor': (0.1, 0.1)},
]
# keypoints of the objects of GT_ROWS, at these parts of their boxes, and which of them count
PARTS = torch.tensor([[0.2, 0.3], [0.5, 0.5], [0.9, 0.6]])
VISIBLE = torch.tensor([[1.0, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0]])


def keypoints_of(rows):
    return rows[:, None, 2:4] + PARTS * (rows[:, None, 4:6] - rows[:, None, 2:4])


def head(**kwargs):
    layers = {'type': 'YOLOXPoseHeadModule', 'num_keypoints': K, 'num_classes': 3, 'in_channels': 8, 'feat_channels': 8}
    return MODELS.build(
        dict(
            type='YOLOXPoseHead',
            loss_pose={'type': 'OksLoss', 'loss_weight': 30.0},
            head_module=layers,
            train_cfg={'assigner': ASSIGNER},
            test_cfg=CFG,
            **kwargs,
        )
    )


def maps():
    """Class logits, boxes, objectness, keypoint offsets, visibility."""

    def kind(channels, step, shift=0.0):
        return [wave((2, channels, *size), step + 0.01 * i, 1.0, shift) for i, size in enumerate(SIZES)]

    return kind(3, 0.11, -1.0), kind(4, 0.07), kind(1, 0.05), kind(2 * K, 0.09), kind(K, 0.03)


@pytest.mark.parametrize('source', [COCO, {'from_file': COCO}])
def test_description_of_keypoints(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = load_keypoint_info(source)
    assert info['num_keypoints'] == 17 and info['keypoint_id2name'][16] == 'right_ankle'
    assert info['flip_indices'] == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert info['sigmas'].tolist() == pytest.approx(
        [
            0.026,
            0.025,
            0.025,
            0.035,
            0.035,
            0.079,
            0.079,
            0.072,
            0.072,
            0.062,
            0.062,
            0.107,
            0.107,
            0.087,
            0.087,
            0.089,
            0.089,
        ]
    )
    assert info['flip_pairs'][0] == [1, 2] and (5, 6) in info['skeleton_links']
    assert info['skeleton_link_colors'].shape == (19, 3)
    assert load_keypoint_info(info) == info


def test_a_wrong_description_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        load_keypoint_info('nowhere.py')
    (tmp_path / 'empty.py').write_text('x = 1')
    with pytest.raises(KeyError, match='keypoint_info'):
        load_keypoint_info(str(tmp_path / 'empty.py'))


def test_similarity_by_hand():
    target = torch.zeros(2, 2, 2)
    output = torch.tensor([[[3.0, 4], [0, 0]], [[0, 0], [6, 8]]])
    weights = torch.tensor([[1.0, 1], [0, 0]])
    boxes = torch.tensor([[0.0, 0, 6, 8], [0, 0, 6, 8]])  # a diagonal of 10
    expected = [(math.exp(-0.5 * 0.5**2) + 1) / 2, 0]
    assert OksLoss().compute_oks(output, target, weights, boxes).tolist() == pytest.approx(expected)
    assert OksLoss(loss_weight=2.0)(output, target, weights, boxes).tolist() == pytest.approx(
        [2 * (1 - oks) for oks in expected]
    )
    assert OksLoss().compute_oks(output, target, weights)[0].item() == pytest.approx((math.exp(-12.5) + 1) / 2)

    loss = OksLoss(metainfo=COCO)
    assert list(loss.state_dict()) == ['sigmas'] and not OksLoss().state_dict()
    output = torch.zeros(1, 17, 2)
    output[0, 0, 0] = 1.0
    oks = loss.compute_oks(output, torch.zeros(1, 17, 2), torch.ones(1, 17), boxes[:1])
    assert oks.item() == pytest.approx((16 + math.exp(-0.5 * (1 / 0.026 / 10) ** 2)) / 17, rel=1e-5)


def instances(bboxes, keypoints=None):
    bboxes = torch.tensor(bboxes).reshape(-1, 4)
    keypoints = torch.ones(len(bboxes), 17, 2) if keypoints is None else keypoints
    return InstanceData(
        bboxes=bboxes,
        labels=torch.zeros(len(bboxes), dtype=torch.long),
        keypoints=keypoints,
        keypoints_visible=torch.ones(len(bboxes), 17),
    )


@pytest.mark.parametrize('oks_weight, vis_weight', [(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)])
def test_assigner(oks_weight, vis_weight):
    assigner = PoseSimOTAAssigner(oks_weight=oks_weight, vis_weight=vis_weight)
    predicted = InstanceData(
        bboxes=torch.cat((torch.tensor([[23.0, 23, 43, 43], [4, 5, 6, 7]]), torch.ones(2, 51)), dim=1),
        scores=torch.tensor([[0.2], [0.8]]),
        priors=torch.tensor([[30.0, 30, 8, 8], [4, 5, 6, 7]]),
    )
    found = assigner.assign(predicted, instances([[23.0, 23, 43, 43]]))
    assert found.gt_inds.tolist() == [1, 0] and found.labels.tolist() == [0, -1]
    assert found.max_overlaps[0] == 1
    # nothing to find, nothing to find it with, nothing near
    assert assigner.assign(predicted, instances([])).gt_inds.tolist() == [0, 0]
    assert assigner.assign(predicted[:0], instances([[23.0, 23, 43, 43]])).gt_inds.tolist() == []
    assert assigner.assign(predicted, instances([[923.0, 923, 943, 943]])).gt_inds.tolist() == [0, 0]


def test_keypoints_decide_between_equal_boxes():
    """Two objects with one box: the prior whose keypoints are like the second's answers for it."""
    keypoints = torch.stack((torch.full((17, 2), 25.0), torch.full((17, 2), 40.0)))
    truth = instances([[20.0, 20, 44, 44], [20, 20, 44, 44]], keypoints)
    place = torch.cat((keypoints.flip(0), torch.zeros(2, 17, 1)), 2).flatten(1)
    predicted = InstanceData(
        bboxes=torch.cat((truth.bboxes, place), 1),
        scores=torch.full((2, 1), 0.5),
        priors=torch.tensor([[32.0, 32, 8, 8], [32, 32, 8, 8]]),
    )
    assigner = PoseSimOTAAssigner(oks_weight=3.0, candidate_topk=1)
    assert assigner.assign(predicted, truth).gt_inds.tolist() == [2, 1]


def test_losses_by_their_definition():
    model, keypoints = head(), keypoints_of(GT_ROWS)
    losses = model.loss_by_feat(*maps(), GT_ROWS, keypoints, VISIBLE, TRAIN_METAS)
    assert list(losses) == ['loss_cls', 'loss_bbox', 'loss_obj', 'loss_kpt', 'loss_vis']

    def flat(levels, channels):
        return torch.cat([level.permute(0, 2, 3, 1).reshape(2, -1, channels) for level in levels], 1)

    cls, bbox, obj, offset, visible = (flat(m, c) for m, c in zip(maps(), (3, 4, 1, 2 * K, K)))
    points = torch.cat(
        [
            torch.tensor([(x * s, y * s, s) for y in range(h) for x in range(w)], dtype=torch.float)
            for (h, w), s in zip(SIZES, (8, 16, 32))
        ]
    )
    stride = points[:, 2:]
    centre, size = bbox[..., :2] * stride + points[:, :2], bbox[..., 2:].exp() * stride
    boxes = torch.cat((centre - size / 2, centre + size / 2), 2)
    places = offset.reshape(2, -1, K, 2) * stride[:, None] + points[:, None, :2]
    total, kpt, vis, vis_count, cls_loss = 0, [], 0, 0, 0
    for image in range(2):
        members = GT_ROWS[:, 0] == image
        truth = InstanceData(
            bboxes=GT_ROWS[members, 2:],
            labels=GT_ROWS[members, 1].long(),
            keypoints=keypoints[members],
            keypoints_visible=VISIBLE[members],
        )
        predicted = InstanceData(
            bboxes=torch.cat((boxes[image], torch.cat((places[image], visible[image, ..., None]), 2).flatten(1)), 1),
            scores=(cls[image].sigmoid() * obj[image].sigmoid()).sqrt(),
            priors=torch.cat((points[:, :2] + stride / 2, stride, stride), 1),
        )
        assigned = model.assigner.assign(predicted, truth).gt_inds
        for prior in assigned.nonzero().flatten().tolist():
            one = truth[int(assigned[prior]) - 1]
            shown = one.keypoints_visible[0]
            diagonal = (one.bboxes[0, 2:] - one.bboxes[0, :2]).norm()
            distance = (places[image, prior] - one.keypoints[0]).norm(dim=1) / diagonal
            oks = (torch.exp(-(distance**2) / 2) * shown).sum() / shown.sum()
            kpt.append(30 * (1 - oks))
            vis += F.binary_cross_entropy_with_logits(visible[image, prior], shown, reduction='sum')
            vis_count += shown.sum()
            target = F.one_hot(one.labels[0], 3) * oks.sqrt()
            cls_loss += F.binary_cross_entropy_with_logits(cls[image, prior], target, reduction='sum')
            total += 1
    assert total >= 4
    torch.testing.assert_close(losses['loss_kpt'], torch.stack(kpt))
    assert losses['loss_vis'].item() == pytest.approx((vis / vis_count).item())
    assert losses['loss_cls'].item() == pytest.approx((cls_loss / total).item(), rel=1e-5)


def test_losses_without_objects_and_in_any_order():
    model, keypoints = head(), keypoints_of(GT_ROWS)
    empty = model.loss_by_feat(*maps(), GT_ROWS[:0], keypoints[:0], VISIBLE[:0], TRAIN_METAS)
    assert {name: loss.sum().item() for name, loss in empty.items() if name != 'loss_obj'} == {
        'loss_cls': 0,
        'loss_bbox': 0,
        'loss_kpt': 0,
        'loss_vis': 0,
    }
    assert empty['loss_obj'] > 0
    losses = model.loss_by_feat(*maps(), GT_ROWS, keypoints, VISIBLE, TRAIN_METAS)
    swapped = [2, 3, 0, 1]  # the images' rows the other way round
    again = model.loss_by_feat(*maps(), GT_ROWS[swapped], keypoints[swapped], VISIBLE[swapped], TRAIN_METAS)
    for name, loss in losses.items():
        torch.testing.assert_close(again[name], loss)
    model.use_bbox_aux = True
    assert 'loss_bbox_aux' in model.loss_by_feat(*maps(), GT_ROWS, keypoints, VISIBLE, TRAIN_METAS)


def test_training_from_rows_and_from_samples():
    model, keypoints = head(), keypoints_of(GT_ROWS)
    x = [wave((2, 8, *size), 0.3) for size in SIZES]
    batch = {'bboxes_labels': GT_ROWS, 'keypoints': keypoints, 'keypoints_visible': VISIBLE, 'img_metas': TRAIN_METAS}
    losses = model.loss(x, batch)
    sum(loss.mean() for loss in losses.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    samples = []
    for image in range(2):
        members = GT_ROWS[:, 0] == image
        sample = DetDataSample(metainfo=TRAIN_METAS[0])
        sample.gt_instances = InstanceData(
            bboxes=GT_ROWS[members, 2:],
            labels=GT_ROWS[members, 1].long(),
            keypoints=keypoints[members],
            keypoints_visible=VISIBLE[members],
        )
        samples.append(sample)
    for name, loss in model.loss(x, samples).items():
        torch.testing.assert_close(loss, losses[name])


@pytest.mark.parametrize('rescale', [True, False])
def test_each_box_brings_the_keypoints_of_its_prior(rescale):
    model = head().eval()
    results = model.predict_by_feat(*maps(), batch_img_metas=METAS, rescale=rescale)
    boxes = model.predict_batch(maps(), METAS, rescale=rescale)
    offsets, visible = maps()[3:]
    for image, (one, fast) in enumerate(zip(results, boxes.split(), strict=True)):
        assert len(one) > 50
        assert set(one.keys()) == {'bboxes', 'scores', 'bbox_scores', 'labels', 'keypoints', 'keypoint_scores'}
        assert torch.equal(one.bboxes, fast.bboxes) and torch.equal(one.scores, one.bbox_scores)
        for index in range(0, len(one), 7):
            prior, level = fast.priors[index].item(), 0
            while prior >= SIZES[level][0] * SIZES[level][1]:
                prior, level = prior - SIZES[level][0] * SIZES[level][1], level + 1
            y, x = divmod(prior, SIZES[level][1])
            stride = 8 * 2**level
            point = offsets[level][image, :, y, x].reshape(K, 2) * stride + torch.tensor([x, y]) * stride
            if rescale:
                top, _, left, _ = METAS[image].get('pad_param', (0, 0, 0, 0))
                point = (point - torch.tensor([left, top])) / torch.tensor(METAS[image]['scale_factor'])
            torch.testing.assert_close(one.keypoints[index], point, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(one.keypoint_scores[index], visible[level][image, :, y, x].sigmoid())


def test_predictions_of_the_detector_are_numpy_and_may_be_none():
    model = head().eval()
    x = [wave((1, 8, *size), 0.3) for size in SIZES]
    sample = DetDataSample(metainfo=METAS[0])
    with torch.no_grad():
        (found,) = model.predict(x, [sample], rescale=True)
        assert isinstance(found.keypoints, np.ndarray) and found.keypoints.shape == (len(found.scores), K, 2)
        model.test_cfg = ConfigDict(CFG, score_thr=0.999)
        (nothing,) = model.predict(x, [sample], rescale=True)
    assert nothing.keypoints.shape == (0, K, 2) and nothing.keypoint_scores.shape == (0, K)


def test_layout_and_initial_biases():
    model = head()
    model.init_weights()
    module = model.head_module
    assert [len(tower) for tower in module.multi_level_pose_convs] == [4, 4, 4]
    assert [len(tower) for tower in module.multi_level_cls_convs] == [2, 2, 2]
    assert module.multi_level_conv_offsets[0].weight.shape == (2 * K, 8, 1, 1)
    for conv in module.multi_level_conv_vis:
        assert conv.bias.tolist() == pytest.approx([-4.59512] * K)
    loss = {'type': 'OksLoss', 'metainfo': COCO}
    layers = {
        'type': 'YOLOXPoseHeadModule',
        'num_keypoints': 17,
        'num_classes': 1,
        'in_channels': 8,
        'feat_channels': 8,
    }
    assigner = dict(ASSIGNER, oks_calculator=loss)
    model = MODELS.build(
        {'type': 'YOLOXPoseHead', 'loss_pose': loss, 'head_module': layers, 'train_cfg': {'assigner': assigner}}
    )
    assert {'loss_pose.sigmas', 'assigner_oks_calculator.sigmas'} <= set(model.state_dict())
