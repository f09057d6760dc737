"""Keypoints and links are drawn in their colours, where they are, if they are likely enough."""

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import VISUALIZERS as ROOT_VISUALIZERS
from mmengine.structures import InstanceData

import mmyolo.registry  # noqa: F401
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info
from mmyolo.visualization import PoseLocalVisualizer


def sample(scores=(0.9, 0.1)):
    keypoints = np.zeros((2, 17, 2), np.float32)
    keypoints[0, 9], keypoints[0, 7] = (20, 20), (60, 20)  # left wrist and elbow
    keypoints[1, 9] = (20, 60)
    visible = np.zeros((2, 17), np.float32)
    visible[:, [7, 9]] = 1
    one = DetDataSample()
    one.pred_instances = InstanceData(
        bboxes=np.array([[10.0, 10, 70, 30], [10, 50, 70, 70]], np.float32),
        scores=np.array(scores, np.float32),
        labels=np.zeros(2, int),
        keypoints=keypoints,
        keypoint_scores=visible,
    )
    return one


def test_what_is_drawn(tmp_path):
    assert ROOT_VISUALIZERS.get('mmpose.PoseLocalVisualizer') is PoseLocalVisualizer
    visualizer = PoseLocalVisualizer(line_width=3)
    visualizer.set_dataset_meta(load_keypoint_info('configs/_base_/pose/coco.py'))
    image = np.zeros((80, 80, 3), np.uint8)
    visualizer.add_datasample('one', image, sample(), out_file=str(tmp_path / 'one.png'), pred_score_thr=0.3)
    drawn = cv2.imread(str(tmp_path / 'one.png'))[..., ::-1]
    assert drawn.shape == image.shape and image.max() == 0
    assert drawn[20, 20].tolist() == drawn[20, 40].tolist() == [0, 255, 0]  # the left side is green, and the link
    assert drawn[30, 40, 1] > 0, 'the box'
    assert drawn[45:].max() == 0, 'the unlikely object'


def test_truth_and_prediction_side_by_side_and_nothing():
    visualizer = PoseLocalVisualizer(kpt_color='red')
    one = sample()
    one.gt_instances = InstanceData(
        bboxes=torch.zeros(1, 4), keypoints=torch.full((1, 17, 2), 40.0), keypoints_visible=torch.ones(1, 17)
    )
    visualizer.add_datasample('two', np.zeros((80, 80, 3), np.uint8), one)
    drawn = visualizer.get_image()
    assert drawn.shape == (80, 160, 3)
    assert drawn[40, 40].tolist() == drawn[20, 100].tolist() == [255, 0, 0]
    one.pred_instances = one.pred_instances[:0]
    visualizer.add_datasample('none', np.full((80, 80, 3), 7, np.uint8), one, draw_gt=False)
    assert (visualizer.get_image() == 7).all()
