"""Wrong arguments raise what code for public mmyolo catches, and what they are."""

import pytest
import torch

from mmyolo.datasets.transforms import LetterResize
from mmyolo.engine import YOLOv5ParamSchedulerHook
from mmyolo.models import IoULoss, RepVGGBlock, YOLOv5CSPDarknet, YOLOv5PAFPN


@pytest.mark.parametrize('error', [AssertionError, ValueError])
@pytest.mark.parametrize(
    'call',
    [
        lambda: RepVGGBlock(4, 4, kernel_size=5),
        lambda: RepVGGBlock(4, 4, padding=0),
        lambda: IoULoss(iou_mode='diou'),
        lambda: YOLOv5ParamSchedulerHook(scheduler_type='step'),
        lambda: YOLOv5CSPDarknet(plugins=[{'cfg': {'type': 'CBAM'}, 'stages': (True, True)}], widen_factor=0.125),
        lambda: YOLOv5PAFPN([8, 16, 32], [8, 16, 32])([torch.zeros(1, 8, 4, 4)]),
    ],
)
def test_values_that_are_not_allowed(call, error):
    with pytest.raises(error):
        call()


@pytest.mark.parametrize('error', [AssertionError, TypeError])
def test_types_that_are_not_allowed(error):
    with pytest.raises(error):
        LetterResize(scale=(640, 640), pad_val='grey')
