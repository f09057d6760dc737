"""The package needs none of the others."""

import subprocess
import sys

import pytest

CODE = """
import sys
from vidt.models import ViDT
import torch
backbone = dict(type='mmdet.SwinWithRAM', arch='nano', num_det_tokens=7)
model = ViDT(backbone, 3, num_decoder_layers=1, data_preprocessor=dict(type='mmdet.DetDataPreprocessor'))
print(tuple(model.forward_levels(torch.zeros(1, 3, 64, 96))['pred_boxes'].shape))
print(sorted({name.partition('.')[0] for name in sys.modules} & {'mmyolo', 'tmi', 'ymir', 'ymir_exc', 'pie'}))
import mmyolo
from mmcv.ops import nms
boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
print(nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist())
"""


@pytest.mark.slow  # a process that imports everything
def test_a_detector_without_another_package_and_then_with_one():
    done = subprocess.run([sys.executable, '-c', CODE], capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines() == ['(1, 7, 4)', '[]', '[0, 2]'], done.stdout + done.stderr
