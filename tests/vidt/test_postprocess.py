"""What becomes of the outputs of the last level."""

import pytest
import torch

from vidt.postprocess import select_detections, to_pixels

LOGITS = torch.tensor([[[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]])
BOXES = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.2, 0.4, 0.6]]])


def test_a_query_may_give_several_classes():
    found = select_detections({'pred_logits': LOGITS, 'pred_boxes': BOXES}, 4)
    assert found.queries.tolist() == [[1, 0, 0, 1]]
    assert found.labels.tolist() == [[1, 0, 2, 0]]
    assert found.scores[0].tolist() == pytest.approx([0.952574, 0.880797, 0.622459, 0.5])
    assert torch.equal(found.boxes, BOXES[:, [1, 0, 0, 1]])


def test_fewer_scores_than_detections():
    assert select_detections({'pred_logits': LOGITS, 'pred_boxes': BOXES}, 100).scores.shape == (1, 6)


def test_with_background_each_query_gives_one():
    found = select_detections({'pred_logits': LOGITS, 'pred_boxes': BOXES}, 1, background=True)
    assert found.queries.tolist() == [[0, 1]]
    assert found.labels.tolist() == [[0, 1]]
    assert found.scores[0].tolist() == pytest.approx([0.785597, 0.946499], abs=1e-5)


def test_half_precision_is_left():
    outputs = {'pred_logits': torch.tensor([[[8.0, 8.0625]]]).bfloat16(), 'pred_boxes': BOXES[:, :1].bfloat16()}
    found = select_detections(outputs)
    assert found.scores.dtype == found.boxes.dtype == torch.float32
    assert found.scores[0, 0] > found.scores[0, 1]


def test_pixels_are_those_of_each_image():
    boxes = to_pixels(BOXES[:, :1].expand(2, -1, -1), torch.tensor([[100, 200], [10, 30]]))
    torch.testing.assert_close(boxes, torch.tensor([[[80.0, 30, 120, 70]], [[12.0, 3, 18, 7]]]))
    outside = to_pixels(BOXES[:, 1:], torch.tensor([[100, 200]]))
    torch.testing.assert_close(outside, torch.tensor([[[-20.0, -10, 60, 50]]]))
