"""Box coders, by hand-computed boxes."""

import torch

from mmyolo.models.task_modules.coders import DistancePointBBoxCoder, YOLOv5BBoxCoder


def test_yolov5_decodes_around_the_anchor():
    anchors = torch.tensor([[0.0, 0, 8, 8], [2, 4, 14, 20]])
    logits = torch.zeros(1, 2, 4)
    logits[0, 1] = torch.tensor([20.0, -20, 20, -20])  # sigmoid 1, 0, 1, 0
    boxes = YOLOv5BBoxCoder().decode(anchors, logits, torch.tensor([8.0, 16]))
    # centre +- one stride, width four times the anchor's, no height
    torch.testing.assert_close(boxes, torch.tensor([[[0.0, 0, 8, 8], [0, -4, 48, -4]]]))
    torch.testing.assert_close(YOLOv5BBoxCoder().decode(anchors[:1], logits[:, :1], 8), boxes[:, :1])


def test_distances_count_in_strides_and_come_back():
    points, stride = torch.tensor([[16.0, 16], [40, 24]]), torch.tensor([8.0, 16])
    distances = torch.tensor([[[1.0, 0.5, 2, 0], [1, 1, 1, 1]]])
    coder = DistancePointBBoxCoder()
    boxes = coder.decode(points, distances, stride)
    torch.testing.assert_close(boxes, torch.tensor([[[8.0, 12, 32, 16], [24, 8, 56, 40]]]))
    torch.testing.assert_close(coder.encode(points / stride[:, None], boxes[0] / stride[:, None]), distances[0])
    far = coder.encode(torch.zeros(1, 2), torch.tensor([[1.0, 1, 99, 99]]), max_dis=15)
    torch.testing.assert_close(far, torch.tensor([[0.0, 0, 14.99, 14.99]]))


def test_distances_are_clipped_only_on_request():
    points, stride, distances = torch.zeros(1, 2), torch.ones(1), torch.full((1, 1, 4), 5.0)
    assert DistancePointBBoxCoder().decode(points, distances, stride).tolist() == [[[-5, -5, 5, 5]]]
    assert DistancePointBBoxCoder().decode(points, distances, stride, max_shape=(4, 3)).tolist() == [[[0, 0, 3, 4]]]
    unclipped = DistancePointBBoxCoder(clip_border=False).decode(points, distances, stride, max_shape=(4, 3))
    assert unclipped.tolist() == [[[-5, -5, 5, 5]]]
