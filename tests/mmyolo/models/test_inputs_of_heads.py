"""What heads and batch augmentations make of inputs that do not belong together."""

import pytest
import torch

from mmyolo.models.data_preprocessors import (
    PPYOLOEBatchRandomResize,
    PPYOLOEDetDataPreprocessor,
    YOLOv5DetDataPreprocessor,
    YOLOXBatchSyncRandomResize,
)
from mmyolo.models.utils import gt_instances_preprocess
from tests.mmyolo.models.heads import FAMILIES, TEST_METAS, build, features, losses_of
from tests.mmyolo.models.maps import GT_ROWS, TRAIN_METAS

WITH_MASKS = ['yolov5_ins', 'rtmdet_ins']
STRANGERS = torch.tensor([[2, 1, 5, 6, 40, 50], [-1, 0, 1, 1, 20, 20], [7, 2, 3, 3, 9, 60.0]])


@pytest.mark.parametrize('family', [family for family in FAMILIES if family not in WITH_MASKS])
@pytest.mark.parametrize('rows', [GT_ROWS, GT_ROWS[:0]])
def test_rows_of_no_image_of_the_batch_are_left_out(family, rows):
    with_strangers = torch.cat((STRANGERS[:2], rows, STRANGERS[2:]))
    losses = build(family).train().loss(features(family), {'bboxes_labels': with_strangers, 'img_metas': TRAIN_METAS})
    values = {name: loss.detach().sum().item() for name, loss in losses.items()}
    assert values == pytest.approx(losses_of(build(family), family, rows), rel=1e-6)


@pytest.mark.parametrize('family', WITH_MASKS)
@pytest.mark.parametrize('overlap', [True, False])
def test_rows_of_no_image_leave_the_masks_where_they_are(family, overlap):
    masks = torch.zeros(2, 16, 16) if overlap else torch.zeros(7, 16, 16)
    for number, (image, _, *box) in enumerate(GT_ROWS.int().tolist()):
        x1, y1, x2, y2 = (side // 4 for side in box)
        masks[image if overlap else number + 2, y1:y2, x1:x2] = 1 + number % 2 if overlap else 1
    rows = torch.cat((STRANGERS[:2], GT_ROWS, STRANGERS[2:]))

    def loss(rows, masks):
        head = build(family).train()
        head.mask_overlap = overlap
        batch = {'bboxes_labels': rows, 'masks': masks, 'img_metas': TRAIN_METAS}
        return head.loss(features(family), batch)['loss_mask'].item()

    assert loss(rows, masks) == pytest.approx(loss(GT_ROWS, masks if overlap else masks[2:6]), rel=1e-6)


def test_ignored_rows_of_no_image():
    head = build('yolov5', ignore_iof_thr=0.5)
    maps = head(features('yolov5'))
    ignored = torch.tensor([[0, 0, 0, 0, 20, 64.0]])
    one = head.loss_by_feat(*maps, GT_ROWS, TRAIN_METAS, torch.cat((STRANGERS, ignored)))
    other = head.loss_by_feat(*maps, GT_ROWS, TRAIN_METAS, ignored)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_padding():
    padded = gt_instances_preprocess(torch.cat((STRANGERS, GT_ROWS)), 2)
    assert torch.equal(padded, gt_instances_preprocess(GT_ROWS, 2))
    assert gt_instances_preprocess(STRANGERS, 2).shape == (2, 0, 5)


@pytest.mark.parametrize('family', ['yolov5', 'yolov8', 'yolov5_ins', 'yolox', 'rtmdet'])
def test_maps_that_do_not_belong_together(family):
    head = build(family).eval()
    maps = head(features(family))
    with pytest.raises(AssertionError, match='3 levels.*1 of bbox_preds'):
        head.predict_by_feat(maps[0], maps[1][:1], *maps[2:], batch_img_metas=TEST_METAS)
    for metas in (None, TEST_METAS[:1], TEST_METAS + TEST_METAS):
        with pytest.raises(AssertionError, match='batch_img_metas of each of the 2 images'):
            head.predict_by_feat(*maps, batch_img_metas=metas)


def test_maps_of_masks():
    head = build('yolov5_ins').eval()
    cls, bbox, obj, coeff, proto = head(features('yolov5_ins'))
    for wrong in (
        (obj, None, proto),
        (obj, coeff[:2], proto),
        (obj, proto, proto),
        (obj, coeff, None),
        (coeff, proto, TEST_METAS),
    ):
        with pytest.raises(AssertionError):
            head.predict_by_feat(cls, bbox, *wrong, batch_img_metas=TEST_METAS)
    with pytest.raises(AssertionError):
        head.predict_by_feat(cls, bbox, obj, coeff, proto)


IMAGES, SAMPLES = torch.zeros(2, 3, 64, 64), {'bboxes_labels': GT_ROWS.clone()}


@pytest.mark.parametrize(
    'augment, inputs, samples',
    [
        (YOLOXBatchSyncRandomResize, IMAGES, []),
        (YOLOXBatchSyncRandomResize, IMAGES, None),
        (YOLOXBatchSyncRandomResize, list(IMAGES), SAMPLES),
        (PPYOLOEBatchRandomResize, IMAGES, SAMPLES),
        (PPYOLOEBatchRandomResize, list(IMAGES), [SAMPLES]),
    ],
)
def test_batches_of_another_collation(augment, inputs, samples):
    with pytest.raises(AssertionError, match='collate_fn') as error:
        augment((320, 640))(inputs, samples)
    assert isinstance(error.value, TypeError)


@pytest.mark.parametrize(
    'preprocessor, inputs, samples',
    [(YOLOv5DetDataPreprocessor, IMAGES, [SAMPLES]), (PPYOLOEDetDataPreprocessor, IMAGES, SAMPLES)],
)
def test_preprocessors(preprocessor, inputs, samples):
    with pytest.raises(AssertionError, match='collate_fn') as error:
        preprocessor()({'inputs': inputs, 'data_samples': samples}, training=True)
    assert isinstance(error.value, TypeError)
