"""The helper by which tests compare float32 results: it grants rounding and finds faults."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.closeness import LAYER, NETWORK, assert_maps_close, assert_same_detections, score_error


def network(depth, width):
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        for _ in range(depth)
    ]
    return nn.Sequential(*layers), torch.randn(2, width, 8, 8)


def test_order_of_a_sum_is_granted_and_a_fault_is_not():
    net, x = network(20, 32)
    net.train()(x)
    net.eval()
    with torch.no_grad():
        found, exact = net(x), net.double()(x.double())
        assert_maps_close(found, exact)
        for fault in (exact.flip(-1), exact * 1.002, exact + 0.01 * exact.abs().max(), torch.zeros_like(exact)):
            with pytest.raises(AssertionError):
                assert_maps_close(fault, exact)


def test_error_of_scores_holds_where_a_sigmoid_is_steepest():
    logits = torch.linspace(-12, 12, 1001)
    moved = logits + NETWORK * 12
    assert (moved.sigmoid() - logits.sigmoid()).abs().max() <= score_error(logits)
    assert ((moved.sigmoid() ** 2) - logits.sigmoid() ** 2).abs().max() <= score_error(logits, logits)
    assert score_error(logits, share=LAYER) < score_error(logits) / 50


def detections(boxes, scores, labels):
    return SimpleNamespace(
        boxes=torch.tensor(boxes).float().reshape(-1, 4), scores=torch.tensor(scores), labels=torch.tensor(labels)
    )


ONE = detections([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.9, 0.5, 0.4], [0, 1, 1])


@pytest.mark.parametrize(
    'other, same',
    [
        (
            detections([[0, 0, 9, 9], [40, 0, 49, 9], [20, 0, 29, 9]], [0.9, 0.4002, 0.5], [0, 1, 1]),
            True,
        ),  # another order
        (detections([[0, 0, 9, 9], [20, 0, 29, 9]], [0.9, 0.5], [0, 1]), True),  # one at the threshold
        (detections([[0, 0, 9, 9.04], [20, 0, 29, 9], [40, 0, 49, 9]], [0.9, 0.5, 0.4], [0, 1, 1]), True),
        (detections([[0, 0, 9, 9]], [0.9], [0]), False),
        (detections([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.9, 0.5, 0.4], [0, 0, 0]), False),
        (detections([[0, 0, 9, 9], [21, 0, 29, 9], [41, 0, 49, 9]], [0.9, 0.5, 0.4], [0, 1, 1]), False),
        (detections([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.9, 0.6, 0.3], [0, 1, 1]), False),
        (detections([], [], []), False),
    ],
)
def test_detections(other, same):
    if same:
        assert_same_detections(other, ONE)
    else:
        with pytest.raises(AssertionError):
            assert_same_detections(other, ONE)
