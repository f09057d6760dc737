"""Box attention maps: their parts, which need no package, and the demo, which needs grad-cam."""

import re
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmyolo.tools.demo import boxam_utils
from mmyolo.tools.demo.boxam_utils import (
    BoxAMDetectorVisualizer,
    BoxAMDetectorWrapper,
    DetAblationLayer,
    DetBoxScoreTarget,
    GradCAM,
    GradCAMPlusPlus,
    norm_in_bboxes,
    reshape_transform,
)
from tests.demo.detector import picture

HAS_GRAD_CAM = boxam_utils._MISSING is None
needs_grad_cam = pytest.mark.skipif(not HAS_GRAD_CAM, reason='grad-cam is not installed')


def boxes(rows, labels=None, scores=None):
    count = len(rows)
    return InstanceData(
        bboxes=torch.tensor(rows, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels or [0] * count),
        scores=torch.tensor(scores or [1.0] * count),
    )


def test_maps_become_one():
    small, large = torch.full((1, 2, 4, 6), -3.0), torch.ones(1, 1, 8, 12)
    assert reshape_transform([small, large], (20, 20)).shape == (1, 3, 8, 12)
    assert reshape_transform([small, large], (5, 20)).shape == (1, 3, 5, 12)
    assert reshape_transform([small, large], (-1, -1)).shape == (1, 3, 8, 12)
    assert torch.equal(reshape_transform(small, is_need_grad=True), -small)
    with pytest.raises(NotImplementedError, match='single output'):
        reshape_transform([small, large], is_need_grad=True)


def test_target_of_a_result():
    target = DetBoxScoreTarget(boxes([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 1]), device='cpu')
    found = boxes([[0, 0, 10, 5], [0, 0, 10, 9], [50, 50, 60, 60]], [0, 0, 0], [0.9, 0.5, 0.8])
    # the best match of the first box overlaps by 0.9 and has score 0.5; the second has another class
    assert target(DetDataSample(pred_instances=found)).item() == pytest.approx(1.4)
    assert target(DetDataSample(pred_instances=boxes([]))).item() == 0


def test_target_of_losses():
    losses = {
        'loss_cls': torch.tensor(1.0),
        'loss_bbox': [torch.tensor(2.0), torch.tensor(3.0)],
        'accuracy': torch.tensor(9.0),
    }
    assert DetBoxScoreTarget(boxes([[0, 0, 1, 1]]), device='cpu')(losses).item() == 6
    assert DetBoxScoreTarget(boxes([[0, 0, 1, 1]]), device='cpu', ignore_loss_params=['loss_cls'])(losses).item() == 5


def test_maps_are_scaled_within_boxes():
    am = np.arange(16, dtype=np.float32).reshape(4, 4)
    normed = norm_in_bboxes(am, torch.tensor([[0.0, 0, 2, 2], [3, 3, 9, 9]]))
    np.testing.assert_allclose(normed[:2, :2], [[0, 0.2], [0.8, 1]])
    assert normed[2:, :3].max() == 0


def test_the_wrapper_gives_results_and_losses(shapes):
    config, checkpoint = shapes
    model = BoxAMDetectorWrapper(config, checkpoint, 0.5, 'cpu')
    image, truth = picture(20, 96, 128, 2)  # padded above and below
    model.set_input_data(image)
    found = model()[0].pred_instances
    assert sorted(found.labels.tolist()) == sorted(label for label, *_ in truth)
    assert [len(result.pred_instances) for result in model(torch.zeros(3, 1))] == [len(truth)] * 3
    model.need_loss(True)
    with pytest.raises(ValueError, match='losses need boxes'):
        model.set_input_data(image)
    model.set_input_data(image, found)
    right = model()[0]
    assert not model.detector.bbox_head.head_module.training
    moved = found.clone()
    moved.bboxes = found.bboxes + 15
    model.set_input_data(image, moved)
    assert model()[0]['loss_bbox'] > 2 * right['loss_bbox'] > 0


@pytest.mark.skipif(HAS_GRAD_CAM, reason='grad-cam is installed')
def test_without_grad_cam(run, write_picture):
    write_picture('a.png', 20, 96, 128, 2)
    for build in (
        DetAblationLayer,
        lambda: GradCAM(None, []),
        lambda: GradCAMPlusPlus(None, []),
        lambda: BoxAMDetectorVisualizer(GradCAM, None, []),
    ):
        with pytest.raises(ImportError, match='need the package grad-cam .*pip install grad-cam'):
            build()
    for method in ('gradcam', 'eigencam'):
        with pytest.raises(ImportError, match='the package grad-cam'):
            run('boxam_vis_demo', 'a.png', '--method', method)


@needs_grad_cam
def test_channels_are_taken_away():
    layer = DetAblationLayer()
    layer.set_next_batch(0, [torch.ones(1, 2, 2, 2), torch.ones(1, 3, 1, 1)], 2)
    layer.indices = np.int32([1, 3])
    first, second = layer(None)
    assert first[:, :, 0, 0].tolist() == [[1, -1000], [1, 1]]
    assert second[:, :, 0, 0].tolist() == [[1, 1, 1], [1, -1000, 1]]
    layer.set_next_batch(0, torch.ones(1, 2, 2, 2), 1)
    layer.indices = np.int32([0])
    assert layer(None)[:, :, 0, 0].tolist() == [[-1000, 1]]


@needs_grad_cam
@pytest.mark.parametrize('method', ['gradcam', 'gradcam++', 'ablationcam', 'eigencam'])
def test_what_decides_a_box_lies_in_it(run, write_picture, method):
    truth = write_picture('a.png', 20, 96, 128, 2)
    run(
        'boxam_vis_demo',
        'a.png',
        '--method',
        method,
        '--target-layers',
        'neck.out_layers[0]',
        '--batch-size',
        4,
        '--ratio-channels-to-ablate',
        0.25,
        '--cfg-options',
        'model.test_cfg.max_per_img=50',
    )
    before, after = cv2.imread('a.png'), cv2.imread('output/a.png').astype(int)
    assert after.shape == before.shape
    if method == 'eigencam':  # its sign is arbitrary
        return
    heat = after[..., 2] + after[..., 1] - after[..., 0]  # JET: blue is low
    inside = np.zeros(heat.shape, bool)
    for _, x1, y1, x2, y2 in truth:
        inside[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3] = True
    assert heat[inside].mean() > np.median(heat[~inside]) + 60


@needs_grad_cam
def test_nothing_found_and_options(run, write_picture, capsys):
    write_picture('dark.png', 0, 90, 128, 0)
    run('boxam_vis_demo', 'dark.png', '--topk', 1, '--norm-in-bbox', '--max-shape', 10, 8)
    assert re.search('dark.png: no box above --score-thr 0.3', capsys.readouterr().out)
    write_picture('a.png', 20, 96, 128, 2)
    run(
        'boxam_vis_demo',
        'a.png',
        '--topk',
        1,
        '--norm-in-bbox',
        '--max-shape',
        10,
        8,
        '--target-layers',
        'neck.out_layers[0]',
    )
    assert cv2.imread('output/a.png') is not None


def test_preview(run, capsys):
    if find_spec('pytorch_grad_cam') is None:
        run('boxam_vis_demo', 'a.png', '--preview-model')
        assert 'Choose layers with --target-layers' in capsys.readouterr().out
