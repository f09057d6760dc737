"""Heads from outside that build on ours: what they replace is called, what they call and read is there."""

import types

import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo import models
from mmyolo.models.dense_heads.yolov7_head import BatchYOLOv7Assigner
from mmyolo.models.utils import OutputSaveFunctionWrapper, OutputSaveObjectWrapper, gt_instances_preprocess
from tests.mmyolo.models.heads import FAMILIES, batch, build, features, losses_of, names_of, noting, predictions_of
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS

POINT_FAMILIES = ['yolov6', 'yolov8', 'ppyoloe', 'rtmdet']


def assert_same(results, expected):
    for one, other in zip(results, expected):
        assert len(one) == len(other) > 0
        torch.testing.assert_close(one.bboxes, other.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-6)
        assert one.labels.tolist() == other.labels.tolist()


@pytest.fixture(scope='module')
def plain():
    """Losses and predictions of the classes themselves."""
    return {family: (losses_of(build(family), family), predictions_of(build(family), family)) for family in FAMILIES}


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize(
    'names', [('forward',), ('loss_by_feat', 'predict_by_feat'), ('loss', 'predict'), ('special_init',)]
)
def test_methods_of_a_head(plain, family, names):
    head, calls = noting(getattr(models, FAMILIES[family].head), *names)
    losses, predictions = plain[family]
    one = build(family, head=head)
    assert losses_of(one, family) == pytest.approx(losses, rel=1e-4)
    assert_same(predictions_of(one, family), predictions)
    assert names_of(calls) == set(names)


@pytest.mark.parametrize('family', FAMILIES)
def test_replaced_prediction_gets_the_maps_of_forward(family):
    """Not those of a short cut: a subclass reads distances, and anchors within the channels."""
    head, calls = noting(getattr(models, FAMILIES[family].head), 'predict_by_feat', 'loss_by_feat')
    one = build(family, head=head)
    predictions_of(one, family)
    losses_of(one, family)
    wanted = {'predict_by_feat': one.eval()(features(family)), 'loss_by_feat': one.train()(features(family))}
    for name, args, _ in calls:
        for given, kind in zip(args, wanted[name]):
            torch.testing.assert_close(given, kind)


@pytest.mark.parametrize('family', [family for family in FAMILIES if family != 'rtmdet'])
def test_layers_of_a_level(plain, family):
    layers, calls = noting(getattr(models, FAMILIES[family].layers), 'forward_single')
    one = build(family, layers=layers)
    losses, predictions = plain[family]
    assert losses_of(one, family) == pytest.approx(losses, rel=1e-4)
    assert len(calls) == 3
    assert_same(predictions_of(one, family), predictions)
    assert len(calls) == 6


@pytest.mark.parametrize('family', FAMILIES)
def test_forward_of_the_layers(plain, family):
    layers, calls = noting(getattr(models, FAMILIES[family].layers), 'forward')
    one = build(family, layers=layers)
    losses, predictions = plain[family]
    assert losses_of(one, family) == pytest.approx(losses, rel=1e-4)
    assert_same(predictions_of(one, family), predictions)
    assert len(calls) == 2


@pytest.mark.parametrize('family', FAMILIES)
def test_a_method_put_on_a_built_head(family):
    """As export plugins do."""
    one = build(family).eval()
    expected = one.head_module(features(family))
    one.head_module.forward = types.MethodType(lambda self, x: [len(x)], one.head_module)
    assert one(features(family)) == one.forward_raw(features(family)) == [3]
    del one.head_module.forward
    torch.testing.assert_close(one(features(family)), expected)


@pytest.mark.parametrize('family', ['yolov5', 'yolov7', 'yolov8', 'ppyoloe', 'rtmdet', 'yolox'])
@pytest.mark.parametrize('with_nms', [True, False])
def test_post_processing(plain, family, with_nms):
    head, calls = noting(getattr(models, FAMILIES[family].head), '_bbox_post_process')
    one, maps = build(family, head=head).eval(), build(family).eval()(features(family))
    metas = [{'ori_shape': (50, 60), 'scale_factor': (1, 1), 'pad_param': [7, 7, 2, 2]}] * 2
    with torch.no_grad():
        results = one.predict_by_feat(*maps, batch_img_metas=metas, with_nms=with_nms)
        expected = build(family).predict_by_feat(*maps, batch_img_metas=metas, with_nms=with_nms)
    assert_same(results, expected)
    assert len(calls) == 2
    _, args, kwargs = calls[0]
    assert args == () and sorted(kwargs) == ['cfg', 'img_meta', 'rescale', 'results', 'with_nms']
    assert isinstance(kwargs['results'], InstanceData) and kwargs['cfg'].score_thr == 0.01


@pytest.mark.parametrize('family', FAMILIES)
def test_levels(family):
    one = build(family)
    assert one.head_module.num_levels == one.num_levels == 3


@pytest.mark.parametrize('family', POINT_FAMILIES)
def test_points_of_training(family):
    one = build(family)
    assert one.featmap_sizes_train is one.flatten_priors_train is one.num_level_priors is one.stride_tensor is None
    losses_of(one, family)
    assert one.featmap_sizes_train == [torch.Size(size) for size in SIZES]
    assert one.num_level_priors == [64, 16, 4]
    levels = one.prior_generator.grid_priors(SIZES, device='cpu', with_stride=True)
    torch.testing.assert_close(one.flatten_priors_train, torch.cat(levels))
    assert one.stride_tensor.shape == (84, 1)
    assert one.stride_tensor.flatten().tolist() == [8.0] * 64 + [16.0] * 16 + [32.0] * 4

    kept = one.flatten_priors_train
    losses_of(one, family)
    assert one.flatten_priors_train is kept
    one.featmap_sizes_train = None
    losses_of(one, family)
    assert one.flatten_priors_train is not kept
    one.head_module.forward = lambda x: type(one.head_module).forward(one.head_module, x)
    smaller = [level[..., 1:, :] for level in features(family)]
    one.loss(smaller, batch())
    assert one.num_level_priors == [56, 12, 2] and len(one.flatten_priors_train) == 70


@pytest.mark.parametrize('family', FAMILIES)
def test_priors_of_prediction(family):
    one = build(family)
    assert one.mlvl_priors is None and len(one.featmap_sizes) == 3
    assert [torch.Size(size) for size in SIZES] != one.featmap_sizes  # what subclasses ask
    predictions_of(one, family)
    assert one.featmap_sizes == [torch.Size(size) for size in SIZES]
    assert [len(level) for level in one.mlvl_priors] == [count * one.num_base_priors for count in (64, 16, 4)]
    kept = one.mlvl_priors
    predictions_of(one, family)
    assert one.mlvl_priors is kept
    one.featmap_sizes = [torch.empty(1)] * 3
    predictions_of(one, family)
    assert one.mlvl_priors is not kept


class OwnLoss(models.YOLOv8Head):
    """Computes the loss anew from what the head keeps, as an open-vocabulary detector does."""

    def loss_by_feat(
        self,
        cls_scores,
        bbox_preds,
        bbox_dist_preds,
        batch_gt_instances,
        batch_img_metas,
        batch_gt_instances_ignore=None,
    ):
        num_imgs = len(batch_img_metas)
        sizes = [level.shape[2:] for level in cls_scores]
        if sizes != self.featmap_sizes_train:
            self.featmap_sizes_train = sizes
            levels = self.prior_generator.grid_priors(
                sizes, dtype=cls_scores[0].dtype, device=cls_scores[0].device, with_stride=True
            )
            self.num_level_priors = [len(level) for level in levels]
            self.flatten_priors_train = torch.cat(levels, dim=0)
            self.stride_tensor = self.flatten_priors_train[..., [2]]
        truth = gt_instances_preprocess(batch_gt_instances, num_imgs)
        labels, boxes = truth[:, :, :1], truth[:, :, 1:]
        flag = (boxes.sum(-1, keepdim=True) > 0).float()

        def flat(maps, channels):
            return torch.cat([level.permute(0, 2, 3, 1).reshape(num_imgs, -1, channels) for level in maps], dim=1)

        logits, distances = flat(cls_scores, self.num_classes), flat(bbox_preds, 4)
        dist = torch.cat([level.reshape(num_imgs, -1, self.head_module.reg_max * 4) for level in bbox_dist_preds], 1)
        points, strides = self.flatten_priors_train[..., :2], self.stride_tensor
        decoded = self.bbox_coder.decode(points, distances, strides[..., 0])
        found = self.assigner(
            decoded.detach(), logits.detach().sigmoid(), self.flatten_priors_train, labels, boxes, flag
        )
        scores, positive = found['assigned_scores'], found['fg_mask_pre_prior'] > 0
        total = scores.sum().clamp(min=1)
        loss_cls = self.loss_cls(logits, scores).sum() / total
        weight = scores.sum(-1)[positive]
        target = (found['assigned_bboxes'] / strides)[positive]
        loss_bbox = self.loss_bbox((decoded / strides)[positive], target, weight=weight) / total
        sides = self.bbox_coder.encode(
            (points / strides), found['assigned_bboxes'] / strides, max_dis=self.head_module.reg_max - 1, eps=0.01
        )
        loss_dfl = self.loss_dfl(
            dist[positive].reshape(-1, self.head_module.reg_max),
            sides[positive].reshape(-1),
            weight=weight[:, None].expand(-1, 4).reshape(-1),
            avg_factor=total,
        )
        return {'loss_cls': loss_cls * num_imgs, 'loss_bbox': loss_bbox * num_imgs, 'loss_dfl': loss_dfl * num_imgs}


def test_own_loss_of_yolov8(plain):
    assert losses_of(build('yolov8', head=OwnLoss), 'yolov8') == pytest.approx(plain['yolov8'][0], rel=1e-4)


class ImageAndText(models.YOLOv8HeadModule):
    """Layers that take another input beside the image and lay out their maps themselves."""

    def forward(self, feats, factors):
        assert len(feats) == self.num_levels
        return tuple(map(list, zip(*map(self.forward_single, feats, factors, self.cls_preds, self.reg_preds))))

    def forward_single(self, x, factor, cls_pred, reg_pred):
        cls, *boxes = super().forward_single(x, cls_pred, reg_pred)
        return (cls * factor, *boxes)


class ImageAndTextHead(models.YOLOv8Head):
    """Its head."""

    def forward(self, feats, factors):
        return self.head_module(feats, factors)

    def loss(self, feats, factors, batch_data_samples):
        outs = self(feats, factors)
        return self.loss_by_feat(*(outs + (batch_data_samples['bboxes_labels'], batch_data_samples['img_metas'])))


def test_layers_with_another_input(plain):
    one = build('yolov8', head=ImageAndTextHead, layers=ImageAndText)
    losses = one.train().loss(features('yolov8'), [1.0, 1.0, 1.0], batch())
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(plain['yolov8'][0], rel=1e-4)
    other = one.loss(features('yolov8'), [2.0, 2.0, 2.0], batch())
    assert other['loss_cls'].item() != pytest.approx(losses['loss_cls'].item(), rel=1e-2)


def test_head_with_another_assigner(plain):
    one = build('yolov8')
    assigner, calls = noting(models.BatchTaskAlignedAssigner, 'forward')
    one.assigner = assigner(3, topk=10, alpha=0.5, beta=6.0, eps=1e-9, use_ciou=True)
    assert losses_of(one, 'yolov8') == pytest.approx(plain['yolov8'][0], rel=1e-5)
    _, args, kwargs = calls[0]
    assert [tuple(part.shape) for part in args] == [(2, 84, 4), (2, 84, 3), (84, 4), (2, 2, 1), (2, 2, 4), (2, 2, 1)]
    assert kwargs == {}


def test_targets_that_an_assigner_gives_to_background_count():
    class Smooth(models.BatchTaskAlignedAssigner):
        def forward(self, *args):
            found = super().forward(*args)
            found['assigned_scores'] = found['assigned_scores'] + 0.01
            return found

    one = build('yolov8')
    one.assigner = Smooth(3, topk=10, alpha=0.5, beta=6.0, eps=1e-9, use_ciou=True)
    own = build('yolov8', head=OwnLoss)
    own.assigner = one.assigner
    assert losses_of(one, 'yolov8')['loss_cls'] == pytest.approx(losses_of(own, 'yolov8')['loss_cls'], rel=1e-4)


@pytest.mark.parametrize('family', ['yolov5', 'yolov7', 'yolov7_aux', 'yolov5_ins'])
def test_targets_of_anchors(plain, family):
    head, calls = noting(getattr(models, FAMILIES[family].head), '_convert_gt_to_norm_format')
    one = build(family, head=head)
    assert losses_of(one, family) == pytest.approx(plain[family][0], rel=1e-5)
    ((_, (rows, metas), _),) = calls
    assert metas is TRAIN_METAS and torch.equal(rows, GT_ROWS)

    targets = build(family)._convert_gt_to_norm_format(GT_ROWS, TRAIN_METAS)
    assert targets.shape == (3, 4, 8 if family == 'yolov5_ins' else 7)
    assert targets[2, 1, :7].tolist() == pytest.approx([0, 2, 40 / 64, 30 / 64, 40 / 64, 40 / 64, 2])
    assert one.prior_inds.shape == (3, 1) and 'prior_inds' not in one.state_dict()
    if family == 'yolov5_ins':
        assert targets[0, :, 7].tolist() == [1, 2, 1, 2]
        assert build(family, mask_overlap=False)._convert_gt_to_norm_format(GT_ROWS, TRAIN_METAS)[1, :, 7].tolist() == [
            0,
            1,
            2,
            3,
        ]


def test_replaced_targets_count():
    class OneBox(models.YOLOv5Head):
        def _convert_gt_to_norm_format(self, *args):
            return super()._convert_gt_to_norm_format(*args)[:, :1]

    expected = losses_of(build('yolov5'), 'yolov5', GT_ROWS[:1])
    assert losses_of(build('yolov5', head=OneBox), 'yolov5') == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('family, merges', [('yolov7', 1), ('yolov7_aux', 2)])
def test_merged_maps_of_yolov7(plain, family, merges):
    head, calls = noting(models.YOLOv7Head, '_merge_predict_results')
    one = build(family, head=head)
    assert losses_of(one, family) == pytest.approx(plain[family][0], rel=1e-5)
    assert len(calls) == merges
    cls, bbox, obj = build('yolov7').eval()(features('yolov7'))
    merged = build('yolov7')._merge_predict_results(bbox, obj, cls)
    assert [tuple(level.shape) for level in merged] == [(2, 3, *size, 8) for size in SIZES]
    assert merged[1][1, 2, 3, 0].tolist() == [
        *bbox[1].view(2, 3, 4, 4, 4)[1, 2, :, 3, 0].tolist(),
        obj[1][1, 2, 3, 0].item(),
        *cls[1].view(2, 3, 3, 4, 4)[1, 2, :, 3, 0].tolist(),
    ]


@pytest.mark.parametrize('family, thresholds', [('yolov7', [0.5]), ('yolov7_aux', [0.5, 1.0])])
def test_assigner_of_yolov7(plain, family, thresholds):
    assigner, calls = noting(BatchYOLOv7Assigner, 'forward')
    one = build(family)
    one.assigner = assigner(3, 3, (8, 16, 32), candidate_topk=20)
    assert losses_of(one, family) == pytest.approx(plain[family][0], rel=1e-5)
    assert [kwargs['near_neighbor_thr'] for _, _, kwargs in calls] == thresholds
    _, (preds, targets, shape, sizes, offset), _ = calls[0]
    assert preds[0].shape == (2, 3, 8, 8, 8) and targets.shape == (3, 4, 7) and tuple(shape) == (64, 64)
    assert sizes is one.priors_base_sizes and offset is one.grid_offset


def test_masks_are_cropped_by_the_method(plain):
    head, calls = noting(models.YOLOv5InsHead, 'crop_mask')
    losses, predictions = plain['yolov5_ins']
    one = build('yolov5_ins', head=head)
    assert losses_of(one, 'yolov5_ins') == pytest.approx(losses, rel=1e-5)
    assert len(calls) == 2  # of each image
    results = predictions_of(one, 'yolov5_ins')
    assert len(calls) == 4 and torch.equal(results[0].masks, predictions[0].masks)

    masks = torch.ones(2, 4, 6)
    cropped = one.crop_mask(masks, torch.tensor([[1.0, 1.0, 3.0, 2.5], [0.5, 0, 9, 9]]))
    assert cropped[0].tolist() == [[0] * 6, [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6]
    assert cropped[1].tolist() == [[0, 1, 1, 1, 1, 1]] * 4
    assert masks.min() == 1


def test_uncropped_masks_count():
    class Whole(models.YOLOv5InsHead):
        def crop_mask(self, masks, boxes):
            return masks

    one, other = build('yolov5_ins', head=Whole), build('yolov5_ins')
    assert predictions_of(one, 'yolov5_ins')[0].masks.sum() > predictions_of(other, 'yolov5_ins')[0].masks.sum()
    assert losses_of(one, 'yolov5_ins')['loss_mask'] > losses_of(other, 'yolov5_ins')['loss_mask']


def test_a_sampler_of_yolox_chooses(plain):
    one = build('yolox')
    assert losses_of(one, 'yolox')['loss_cls'] > 0
    one.sampler.sample = lambda assigned, predicted, truth: types.SimpleNamespace(
        pos_inds=assigned.gt_inds.nonzero().squeeze(1)[:0]
    )
    assert losses_of(one, 'yolox')['loss_cls'] == 0


def test_output_wrappers_around_a_head(plain):
    wrapped = OutputSaveObjectWrapper(build('yolov8').eval())
    maps = wrapped.forward(features('yolov8'))
    assert wrapped.log['forward'] == [maps] and wrapped.num_levels == 3
    with OutputSaveFunctionWrapper(gt_instances_preprocess, globals()) as log:
        losses_of(build('yolov8', head=OwnLoss), 'yolov8')
    assert [tuple(one.shape) for one in log] == [(2, 2, 5)]
