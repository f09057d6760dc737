"""Subclasses of the task-aligned assigner: the steps that they replace are called, and what these return counts."""

import pytest
import torch

from mmyolo import models
from mmyolo.models.utils import gt_instances_preprocess
from tests.mmyolo.models.heads import build, names_of, noting
from tests.mmyolo.models.maps import GT_ROWS, SIZES

STEPS = ('get_pos_mask', 'get_box_metrics', 'select_topk_candidates', 'get_targets')


def assigner_inputs():
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat((GT_ROWS, GT_ROWS + torch.tensor([0, 0, 1.0, 2, -3, -1]), GT_ROWS[:1] * 0.9))
    rows[:, :2] = rows[:, :2].round()
    truth = gt_instances_preprocess(rows, 3)  # the third image has no box
    one = build('yolov8')
    priors = torch.cat(one.prior_generator.grid_priors(SIZES, device='cpu', with_stride=True))
    sides = torch.rand(3, len(priors), 4, generator=generator) * 20
    boxes = torch.cat((priors[:, :2] - sides[..., :2], priors[:, :2] + sides[..., 2:]), -1)
    scores = torch.rand(3, len(priors), 3, generator=generator)
    flag = (truth[..., 1:].sum(-1, keepdim=True) > 0).float()
    return boxes, scores, priors, truth[..., :1], truth[..., 1:], flag


@pytest.mark.parametrize('replaced', [(step,) for step in STEPS] + [STEPS])
@pytest.mark.parametrize('options', [{}, {'use_ciou': True, 'alpha': 0.5, 'topk': 10}, {'topk': 1}, {'topk': 500}])
def test_steps_of_task_aligned_assignment(replaced, options):
    inputs = assigner_inputs()
    expected = models.BatchTaskAlignedAssigner(3, **options)(*inputs)
    assigner, calls = noting(models.BatchTaskAlignedAssigner, *replaced)
    found = assigner(3, **options)(*inputs)
    assert names_of(calls) == set(replaced)
    assert found['fg_mask_pre_prior'].tolist() == expected['fg_mask_pre_prior'].tolist()
    for name in ('assigned_labels', 'assigned_bboxes', 'assigned_scores'):
        torch.testing.assert_close(found[name], expected[name])
    empty = [*inputs[:3], inputs[3][:, :0], inputs[4][:, :0], inputs[5][:, :0]]
    assert not assigner(3, **options)(*empty)['fg_mask_pre_prior'].any()


class FirstHalf(models.BatchTaskAlignedAssigner):
    """Lets boxes choose among the first priors only, and hands out half of the scores."""

    def get_pos_mask(self, *args):
        pos_mask, metrics, overlaps = super().get_pos_mask(*args)
        pos_mask[..., 40:] = 0
        return pos_mask, metrics, overlaps

    def get_targets(self, *args):
        labels, bboxes, scores = super().get_targets(*args)
        return labels, bboxes, scores / 2


def test_what_a_step_returns_counts():
    inputs = assigner_inputs()
    found = FirstHalf(3)(*inputs)
    assert found['fg_mask_pre_prior'][:, :40].any() and not found['fg_mask_pre_prior'][:, 40:].any()
    mask = models.BatchTaskAlignedAssigner.get_pos_mask(FirstHalf(3), *inputs, 3, inputs[3].shape[1])[0]
    assert mask.shape == (3, inputs[3].shape[1], 84) and set(mask.unique().tolist()) == {0, 1}
    assert found['assigned_scores'].max() <= 0.5
