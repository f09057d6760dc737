"""Rotated boxes are drawn where they are, and the image stays where it was."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmyolo.registry import VISUALIZERS
from mmyolo.standins.mmrotate.structures import RotatedBoxes


@pytest.mark.parametrize('kind', ['rbox', 'qbox', 'tensor', 'empty'])
def test_outlines(kind, tmp_path):
    with DefaultScope.overwrite_default_scope('mmyolo'):
        visualizer = VISUALIZERS.build(
            {
                'type': 'mmrotate.RotLocalVisualizer',
                'name': f'rotated-{kind}',
                'save_dir': str(tmp_path),
                'line_width': 2,
                'vis_backends': [{'type': 'LocalVisBackend'}],
            }
        )
    visualizer.dataset_meta = {'classes': ('plane', 'ship'), 'palette': [(255, 0, 0), (0, 255, 0)]}
    boxes = RotatedBoxes([[100.0, 90, 80, 40, 0.6], [150, 20, 60, 30, 0.2]])  # the second sticks out
    if kind == 'qbox':
        boxes = boxes.convert_to('qbox')
    elif kind == 'tensor':
        boxes = boxes.tensor
    elif kind == 'empty':
        boxes = RotatedBoxes(torch.zeros(0, 5))
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=boxes, labels=torch.tensor([0, 1])[: len(boxes)], scores=torch.tensor([0.9, 0.8])[: len(boxes)]
    )
    image = np.full((160, 160, 3), 40, np.uint8)
    image[120:, 120:] = 200
    visualizer.add_datasample('drawn', image, sample, draw_gt=False)
    drawn = visualizer.get_image()
    assert drawn.shape == image.shape
    assert (drawn[135:155, 135:155] == 200).all() and (drawn[140:, :40] == 40).all()
    if kind == 'empty':
        assert (drawn == image).all()
        return
    # points on the sides of the first box, away from its corners and its text
    cos, sin = np.cos(0.6), np.sin(0.6)
    for along, across in ((20, 20), (0, 20), (40, 5), (40, -5)):
        x, y = 100 + along * cos - across * sin, 90 + along * sin + across * cos
        near = drawn[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].astype(int)
        assert (near[..., 0] - near[..., 2]).max() > 60  # red
    assert (drawn[88:93, 98:103] == 40).all()  # the inside stays as it is
