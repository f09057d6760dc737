"""SimOTA assigns as mmdet's does, and handles what is empty."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo.models.task_modules.assigners.sim_ota_assigner import SimOTAAssigner, pairwise_bce
from mmyolo.registry import TASK_UTILS


def scene(seed, num_gt=20, num_classes=5, cells=16):
    """Predictions around a grid of cells, some near to true boxes, of which some lie on each other."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.meshgrid(torch.arange(float(cells)), torch.arange(float(cells)), indexing='ij')
    centre = torch.stack((x.flatten(), y.flatten()), 1) * 8 + 4
    priors = torch.cat((centre, torch.full_like(centre, 8.0)), 1)
    corner = torch.rand(num_gt, 2, generator=generator) * cells * 6
    truth = InstanceData(
        bboxes=torch.cat((corner, corner + torch.rand(num_gt, 2, generator=generator) * 60 + 5), 1),
        labels=torch.randint(num_classes, (num_gt,), generator=generator),
    )
    half = torch.rand(len(priors), 2, generator=generator) * 30 + 4
    boxes = torch.cat((centre - half, centre + half), 1)
    scores = torch.rand(len(priors), num_classes, generator=generator)
    return InstanceData(bboxes=boxes, scores=scores, priors=priors), truth


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize(
    'settings', [{}, {'center_radius': 1.0, 'candidate_topk': 3, 'iou_weight': 1.0, 'cls_weight': 2.0}]
)
def test_equals_mmdets(seed, settings):
    predicted, truth = scene(seed)
    mmdets = TASK_UTILS.build(
        dict(type='mmdet.SimOTAAssigner', iou_calculator={'type': 'mmdet.BboxOverlaps2D'}, **settings)
    )
    expected, found = mmdets.assign(predicted, truth), SimOTAAssigner(**settings).assign(predicted, truth)
    positive = expected.gt_inds > 0
    assert positive.sum() >= 15
    assert torch.equal(found.gt_inds, expected.gt_inds) and torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.max_overlaps[positive], expected.max_overlaps[positive])
    assert found.num_gts == expected.num_gts


def test_cost_of_classes():
    scores = torch.tensor([[0.0, 0.5, 1.0], [0.2, 0.9, 0.3]])
    labels = torch.tensor([2, 0, 2, 1])
    target = torch.nn.functional.one_hot(labels, 3).float()
    expected = torch.stack(
        [
            torch.nn.functional.binary_cross_entropy(score.expand(4, 3), target, reduction='none').sum(1)
            for score in scores
        ]
    )
    torch.testing.assert_close(pairwise_bce(scores, labels), expected)


def test_a_contested_prior_goes_to_the_cheapest_box():
    """One prior, two boxes around it: the box that is predicted better gets it, the other nothing."""
    predicted = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 20, 20]]), scores=torch.tensor([[0.5]]), priors=torch.tensor([[10.0, 10, 8, 8]])
    )
    truth = InstanceData(bboxes=torch.tensor([[0.0, 0, 16, 16], [0, 0, 19, 19]]), labels=torch.tensor([0, 0]))
    assert SimOTAAssigner().assign(predicted, truth).gt_inds.tolist() == [2]


def test_nothing():
    predicted, truth = scene(0)
    for pair in ((predicted, truth[:0]), (predicted[:0], truth)):
        found = SimOTAAssigner().assign(*pair)
        assert not found.gt_inds.any() and len(found.gt_inds) == len(pair[0])
        assert (found.labels == -1).all()
    truth.bboxes += 10000
    assert not SimOTAAssigner().assign(predicted, truth).gt_inds.any()
