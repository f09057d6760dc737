"""The losses of the RTMDet instance head: against mmdet's head for the same assignment, and what batches may hold."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import AssignResult
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmyolo.models import RTMDetInsSepBNHead
from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from tests.mmyolo.models.heads import batch, build, features, losses_of
from tests.mmyolo.models.test_rtmdet_head import META, ROWS, SIZES, head, values

register_all_modules()
SIDE = 128
METAS = [META] * 2
NO_ROWS = torch.zeros(0, 6)


def leaves():
    """Maps of a batch of two images, as leaves whose gradients can be read."""
    kinds = ((3, 0.1, 4, -2.0), (4, 0.5, 3, 0.2), (169, 0.3, 2, -1.0))
    levels = [
        [values((2, channels, n, n), start * (1 + level), scale) + shift for level, n in enumerate(SIZES)]
        for channels, start, scale, shift in kinds
    ]
    maps = (*levels, values((2, 8, 16, 16), 0.2, 2) - 1)
    for leaf in flat(maps):
        leaf.requires_grad_()
    return maps


def flat(maps):
    return [leaf for kind in maps for leaf in (kind if isinstance(kind, list) else [kind])]


def ellipses(rows=ROWS):
    """(N, SIDE, SIDE) masks that touch the sides of their boxes."""
    places = torch.arange(SIDE) + 0.5
    (x1, y1), (x2, y2) = (rows[:, i : i + 2].t()[..., None, None] for i in (2, 4))
    x, y = (places - (x1 + x2) / 2) / (x2 - x1) * 2, (places[:, None] - (y1 + y2) / 2) / (y2 - y1) * 2
    return x**2 + y**2 <= 1


def at_stride(masks, stride):
    return masks[:, stride // 2 :: stride, stride // 2 :: stride].byte()


def instance_head(**kwargs):
    one = head('RTMDetInsSepBNHead')
    for name, value in kwargs.items():
        setattr(one, name, value)
    return one


class SameAssignment:
    """An assigner of mmdet's head that gives each image what ours gave."""

    def __init__(self, assigned):
        self.images = zip(assigned.gt_inds, assigned.metrics, assigned.labels)

    def assign(self, pred_instances, gt_instances, *args, **kwargs):
        gt_inds, metrics, labels = next(self.images)
        return AssignResult(len(gt_instances), gt_inds + 1, metrics, labels)


def losses_of_mmdet(maps, assigned):
    cfg = dict(
        type='RTMDetInsHead',
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        norm_cfg={'type': 'BN'},
        with_objectness=False,
        anchor_generator={'type': 'MlvlPointGenerator', 'offset': 0, 'strides': [8, 16, 32]},
        bbox_coder={'type': 'DistancePointBBoxCoder'},
        loss_cls={'type': 'QualityFocalLoss', 'use_sigmoid': True, 'beta': 2.0, 'loss_weight': 1.0},
        loss_bbox={'type': 'GIoULoss', 'loss_weight': 2.0},
        loss_mask={'type': 'DiceLoss', 'loss_weight': 2.0, 'eps': 5e-6, 'reduction': 'mean'},
        train_cfg={'assigner': {'type': 'DynamicSoftLabelAssigner'}, 'allowed_border': -1, 'pos_weight': -1},
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        theirs = MODELS.build(cfg)
    theirs.assigner = SameAssignment(assigned)
    masks = ellipses().numpy().astype(np.uint8)
    images = [
        InstanceData(
            bboxes=ROWS[own, 2:], labels=ROWS[own, 1].long(), masks=BitmapMasks(masks[own.numpy()], SIDE, SIDE)
        )
        for own in (ROWS[:, 0] == 0, ROWS[:, 0] == 1)
    ]
    cls_scores, bbox_preds, kernels, mask_feats = maps
    distances = [level * stride for level, stride in zip(bbox_preds, (8, 16, 32))]  # which their layers do
    metas = [{'img_shape': (SIDE, SIDE), 'pad_shape': (SIDE, SIDE)}] * 2
    losses = theirs.loss_by_feat(cls_scores, distances, kernels, mask_feats, images, metas)
    return {name: sum(loss) if isinstance(loss, list) else loss for name, loss in losses.items()}


def test_losses_and_gradients_are_those_of_mmdet():
    one, ours, theirs = instance_head(), leaves(), leaves()
    losses = one.loss_by_feat(*ours, ROWS, at_stride(ellipses(), 4), METAS)
    assigned = one.losses_of_boxes(*leaves()[:2], ROWS)[1]
    wanted = losses_of_mmdet(theirs, assigned)
    assert set(losses) == set(wanted) == {'loss_cls', 'loss_bbox', 'loss_mask'}
    for name, loss in wanted.items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-5), name
    assert losses['loss_mask'] > 0.5
    # Classes and boxes have gradients of their own; here are those of the masks.
    losses['loss_mask'].backward()
    wanted['loss_mask'].backward()
    assert assigned.positives.sum() > 8
    for leaf, like in zip(flat(ours[2:]), flat(theirs[2:])):
        assert like.grad.abs().max() > 1e-3
        torch.testing.assert_close(leaf.grad, like.grad, rtol=1e-4, atol=1e-7)


def test_dice_by_definition_at_the_stride_of_the_features():
    """Masks of the size of the features are compared as they are: 2 (1 - 2 ab / (a² + b²)), a mean over priors."""
    one, maps = instance_head(), leaves()
    masks = at_stride(ellipses(), 8)
    loss = one.loss_by_feat(*maps, ROWS, masks, METAS)['loss_mask']
    assigned = one.losses_of_boxes(*maps[:2], ROWS)[1]
    kernels = torch.cat([level.flatten(2) for level in maps[2]], 2).transpose(1, 2)  # (B, N, 169)
    terms = []
    for image, prior in assigned.positives.nonzero().tolist():
        row = (ROWS[:, 0] == image).nonzero()[assigned.gt_inds[image, prior]].item()
        priors = one.flatten_priors_train[None, prior]
        a = one._mask_predict_by_feat(maps[3][image], kernels[image, None, prior], priors).sigmoid()[0]
        b = masks[row].float()
        terms.append(1 - 2 * (a * b).sum() / ((a * a).sum() + (b * b).sum() + 1e-5))
    assert loss.item() == pytest.approx(2 * sum(terms).item() / len(terms), rel=1e-5)


def test_order_of_the_boxes_does_not_matter():
    """Each box keeps its own mask wherever it stands in the batch; a box of no image of the batch counts nothing."""
    one, maps, masks = instance_head(), leaves(), at_stride(ellipses(), 4)
    first = one.loss_by_feat(*maps, ROWS, masks, METAS)['loss_mask'].item()
    order = torch.tensor([2, 1, 0])
    assert one.loss_by_feat(*maps, ROWS[order], masks[order], METAS)['loss_mask'].item() == pytest.approx(first)
    assert one.loss_by_feat(*maps, ROWS, masks[order], METAS)['loss_mask'].item() != pytest.approx(first, rel=1e-4)
    stray = torch.tensor([[2, 0, 5, 5, 90, 90.0]])
    more = torch.cat((stray, ROWS)), torch.cat((torch.ones_like(masks[:1]), masks))
    assert one.loss_by_feat(*maps, *more, METAS)['loss_mask'].item() == pytest.approx(first)


def test_overlapping_masks_are_one_map_of_numbers():
    rows = torch.tensor([[1, 1, 10, 12, 60, 70], [0, 2, 64, 80, 120, 120], [1, 0, 70, 75, 110, 120.0]])
    masks, maps = at_stride(ellipses(rows), 4), leaves()
    apart = instance_head().loss_by_feat(*maps, rows, masks, METAS)['loss_mask']
    numbers = torch.stack((masks[1], masks[0] + 2 * masks[2]))
    joined = instance_head(mask_overlap=True).loss_by_feat(*maps, rows, numbers, METAS)['loss_mask']
    assert joined.item() == pytest.approx(apart.item(), rel=1e-6)


@pytest.mark.parametrize('empty', ['both', 'first'])
def test_every_parameter_has_a_gradient(empty):
    """Also without an object, as a distributed training needs it; the masks' are 0 then."""
    one = build('rtmdet_ins').train()
    rows = NO_ROWS if empty == 'both' else torch.tensor([[1, 2, 5, 5, 60, 60.0]])
    losses = one.loss(features('rtmdet_ins'), batch(rows))
    assert (losses['loss_mask'] == 0) == (empty == 'both')
    sum(losses.values()).backward()
    for name, parameter in one.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    masks = [one.head_module.mask_head.projection.weight, *(layer.weight for layer in one.head_module.rtm_kernel)]
    assert all((weight.grad == 0).all() for weight in masks) == (empty == 'both')


def test_nothing_positive_is_nothing_even_with_infinite_maps():
    maps = leaves()
    with torch.no_grad():
        maps[3].fill_(math.inf)
    loss = instance_head().loss_by_feat(*maps, NO_ROWS, torch.zeros(0, 32, 32), METAS)['loss_mask']
    assert loss == 0 and loss.requires_grad


def test_one_class():
    one = head('RTMDetInsSepBNHead', num_classes=1)
    maps = leaves()
    rows = ROWS.clone()
    rows[:, 1] = 0
    losses = one.loss_by_feat([level[:, :1] for level in maps[0]], *maps[1:], rows, at_stride(ellipses(), 4), METAS)
    assert all(loss > 0 and loss.isfinite() for loss in losses.values())


def test_positives_are_limited():
    one, maps, masks = instance_head(), leaves(), at_stride(ellipses(), 4)
    drawn = []
    one.loss_mask.register_forward_pre_hook(lambda _, args: drawn.append(tuple(map(len, args))))
    whole = one.loss_by_feat(*maps, ROWS, masks, METAS)['loss_mask'].item()
    (total, _) = drawn.pop()
    one.max_positives = total
    assert one.loss_by_feat(*maps, ROWS, masks, METAS)['loss_mask'].item() == whole
    one.max_positives = total - 1
    torch.manual_seed(0)
    few = [one.loss_by_feat(*maps, ROWS, masks, METAS)['loss_mask'].item() for _ in range(25)]
    assert set(drawn[1:]) == {(total - 1, total - 1)}
    assert len(set(few)) > 5  # which one is left out differs
    assert np.mean(few) == pytest.approx(whole, rel=0.02)
    with pytest.raises(ValueError, match='at least 1'):
        RTMDetInsSepBNHead(
            {'type': 'RTMDetInsSepBNHeadModule', 'num_classes': 3, 'in_channels': 8},
            loss_cls={'type': 'mmdet.QualityFocalLoss', 'use_sigmoid': True},
            max_positives=0,
        )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_masks_are_drawn_in_single_precision(dtype):
    """Places of a large input have more than 8 bits; only what the layers gave is of low precision."""
    one, maps = instance_head(), leaves()
    with torch.no_grad():
        low = tuple([level.to(dtype) for level in kind] if isinstance(kind, list) else kind.to(dtype) for kind in maps)
        same = tuple([level.float() for level in kind] if isinstance(kind, list) else kind.float() for kind in low)
    masks = at_stride(ellipses(), 4)
    with torch.autocast('cpu', dtype=dtype):
        losses = one.loss_by_feat(*low, ROWS, masks, METAS)
    for name, loss in one.loss_by_feat(*same, ROWS, masks, METAS).items():
        assert losses[name].dtype == torch.float
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-5), name


def test_trains_in_half_precision():
    one, plain = build('rtmdet_ins').train(), losses_of(build('rtmdet_ins'), 'rtmdet_ins')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = one.loss(features('rtmdet_ins'), batch())
    assert losses['loss_mask'].item() == pytest.approx(plain['loss_mask'], rel=0.1)
    losses['loss_mask'].backward()
    kernels = [layer.weight.grad for layer in one.head_module.rtm_kernel]
    assert all(grad.isfinite().all() for grad in kernels) and any(grad.abs().max() > 0 for grad in kernels)


def test_loss_names_what_a_batch_lacks():
    one = build('rtmdet_ins').train()
    maps, data = features('rtmdet_ins'), batch()
    assert set(losses_of(one, 'rtmdet_ins')) == {'loss_cls', 'loss_bbox', 'loss_mask'}
    with pytest.raises(NotImplementedError, match='yolov5_collate'):
        one.loss(maps, [])
    with pytest.raises(KeyError, match='Polygon2Mask'):
        one.loss(maps, {key: value for key, value in data.items() if key != 'masks'})
    one.mask_overlap = False
    with pytest.raises(ValueError, match=r'needs 4 masks, one per object, got 2.*Polygon2Mask'):
        one.loss(maps, data)
