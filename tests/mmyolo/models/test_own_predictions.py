"""Heads from outside that predict, or look at assignments, by themselves from what our heads keep."""

import pytest
import torch
from mmdet.models.utils import filter_scores_and_topk
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmyolo import models
from tests.mmyolo.models.heads import FAMILIES, build, features, predictions_of
from tests.mmyolo.models.maps import GT_ROWS, SIZES, TRAIN_METAS


def own_prediction(base):
    """A subclass of a head that predicts anew from what the head keeps."""

    def predict_by_feat(
        self, cls_scores, bbox_preds, objectnesses=None, batch_img_metas=None, cfg=None, rescale=True, with_nms=True
    ):
        cfg, num_imgs = ConfigDict(self.test_cfg if cfg is None else cfg), len(batch_img_metas)
        sizes = [level.shape[2:] for level in cls_scores]
        if sizes != self.featmap_sizes:
            self.mlvl_priors = self.prior_generator.grid_priors(
                sizes, dtype=cls_scores[0].dtype, device=cls_scores[0].device
            )
            self.featmap_sizes = sizes
        priors = torch.cat(self.mlvl_priors)
        strides = torch.cat(
            [
                level.new_full((size.numel() * self.num_base_priors,), stride)
                for level, size, stride in zip(self.mlvl_priors, sizes, self.featmap_strides)
            ]
        )

        def flat(maps, channels):
            return torch.cat([level.permute(0, 2, 3, 1).reshape(num_imgs, -1, channels) for level in maps], dim=1)

        scores = flat(cls_scores, self.num_classes).sigmoid()
        boxes = self.bbox_coder.decode(priors[None], flat(bbox_preds, 4), strides)
        if objectnesses is not None:
            scores = scores * flat(objectnesses, 1).sigmoid()
        results = []
        for score, box, meta in zip(scores, boxes, batch_img_metas):
            score, label, keep, _ = filter_scores_and_topk(score, cfg.score_thr, cfg.nms_pre)
            top, _, left, _ = meta['pad_param']
            box = box[keep] - box.new_tensor([left, top, left, top])
            found = InstanceData(scores=score, labels=label, bboxes=box)
            found = self._bbox_post_process(results=found, cfg=cfg, rescale=False, with_nms=with_nms, img_meta=meta)
            found.bboxes[:, 0::2].clamp_(0, meta['ori_shape'][1])
            found.bboxes[:, 1::2].clamp_(0, meta['ori_shape'][0])
            results.append(found)
        return results

    return type('OwnPrediction', (base,), {'predict_by_feat': predict_by_feat, '__module__': __name__})


@pytest.mark.parametrize('family', ['yolov5', 'yolov6', 'yolov7', 'yolov7_aux', 'yolov8', 'ppyoloe', 'yolox', 'rtmdet'])
def test_own_prediction(family):
    one = build(family, head=own_prediction(getattr(models, FAMILIES[family].head)))
    wanted = predictions_of(build(family), family)
    for _ in range(2):
        for found, expected in zip(predictions_of(one, family), wanted):
            torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(found.bboxes.sum(), expected.bboxes.sum(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize('family', ['yolov5', 'yolov7', 'yolov5_ins'])
def test_what_a_viewer_of_assignments_reads(family):
    one = build(family)
    anchors = torch.tensor(one.prior_generator.base_sizes, dtype=torch.float)
    strides = torch.tensor([8.0, 16, 32]).view(3, 1, 1)
    torch.testing.assert_close(one.priors_base_sizes, anchors / strides)
    assert one.grid_offset.tolist() == [[[0, 0]], [[1, 0]], [[0, 1]], [[-1, 0]], [[0, -1]]]
    assert one.prior_inds.tolist() == [[0], [1], [2]]
    assert (one.near_neighbor_thr, one.prior_match_thr, one.num_base_priors, one.num_levels) == (0.5, 4.0, 3, 3)
    targets = one._convert_gt_to_norm_format(GT_ROWS, TRAIN_METAS)
    counts = []
    for size, sizes in zip(SIZES, one.priors_base_sizes):  # matches by shape alone
        ratio = targets[..., 4:6] * torch.tensor(size[::-1]) / sizes[:, None]
        counts.append(int((torch.max(ratio, 1 / ratio).max(2)[0] < one.prior_match_thr).sum()))
    assert counts[0] > 0
    if family != 'yolov7':
        return
    merged = one._merge_predict_results(*(one.eval()(features(family))[index] for index in (1, 2, 0)))
    found = one.assigner(merged, targets, TRAIN_METAS[0]['batch_input_shape'], one.priors_base_sizes, one.grid_offset)
    assert sorted(found) == ['mlvl_positive_infos', 'mlvl_priors', 'mlvl_targets_normed']
    for infos, priors, rows, sizes in zip(*(found[key] for key in sorted(found)), one.priors_base_sizes):
        assert infos.shape[1] == 4 and torch.equal(priors, sizes[infos[:, 1]]) and rows.shape == (len(infos), 7)
