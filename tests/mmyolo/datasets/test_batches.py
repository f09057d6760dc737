import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData, PixelData

from mmyolo.datasets import BatchShapePolicy, yolov5_collate
from mmyolo.registry import TASK_UTILS


def policy_shapes(policy, sizes):
    return [
        (info['id'], info['batch_shape'].tolist())
        for info in policy([{'id': i, 'height': h, 'width': w} for i, (h, w) in enumerate(sizes)])
    ]


@pytest.mark.parametrize(
    'size, shape',
    [((333, 500), [448, 672]), ((480, 640), [512, 672]), ((640, 640), [672, 672]), ((640, 427), [672, 448])],
)
def test_batch_shape_of_one_image(size, shape):
    assert policy_shapes(BatchShapePolicy(batch_size=1), [size]) == [(0, shape)]


def test_batch_shapes_match_the_public_numbers():
    policy = TASK_UTILS.build({'type': 'BatchShapePolicy', 'batch_size': 2})
    shapes = policy_shapes(policy, [(20, 100), (11, 100), (21, 100), (30, 100), (10, 100)])
    assert shapes == [(4, [96, 672]), (1, [96, 672]), (0, [160, 672]), (2, [160, 672]), (3, [224, 672])]


def test_equal_ratios_keep_their_order_and_nothing_stays_nothing():
    shapes = policy_shapes(BatchShapePolicy(batch_size=4), [(10, 10)] * 40)
    assert [index for index, _ in shapes] == list(range(40))
    assert BatchShapePolicy()([]) == []


def test_a_batch_counts_over_all_processes(monkeypatch):
    monkeypatch.setattr('mmyolo.datasets.batch_shape_policy.get_dist_info', lambda: (0, 2))
    shapes = policy_shapes(BatchShapePolicy(batch_size=1, extra_pad_ratio=0), [(320, 640), (640, 640)])
    assert shapes == [(0, [640, 640]), (1, [640, 640])]


def packed(boxes, labels, **instances):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4)),
        labels=torch.tensor(labels, dtype=torch.long),
        **instances,
    )
    return {'inputs': torch.full((3, 4, 6), len(labels), dtype=torch.uint8), 'data_samples': sample}


def test_collate_joins_the_batch():
    batch = [packed([[1.0, 2, 3, 4], [5, 6, 7, 8]], [1, 0]), packed([], []), packed([[9.0, 9, 10, 10]], [2])]
    result = FUNCTIONS.get('yolov5_collate')(batch)
    assert result['inputs'].shape == (3, 3, 4, 6) and result['inputs'].dtype == torch.uint8
    assert result['inputs'][:, 0, 0, 0].tolist() == [2, 0, 1]
    rows = result['data_samples']['bboxes_labels']
    assert rows.dtype == torch.float32 and result['data_samples'].keys() == {'bboxes_labels'}
    assert rows.tolist() == [[0, 1, 1, 2, 3, 4], [0, 0, 5, 6, 7, 8], [2, 2, 9, 9, 10, 10]]


def test_collate_of_nothing_but_empty_images():
    result = yolov5_collate([packed([], []), packed([], [])])
    assert result['data_samples']['bboxes_labels'].shape == (0, 6)


def test_collate_keeps_a_list_for_multi_scale_training():
    inputs = yolov5_collate([packed([], []), packed([], [])], use_ms_training=True)['inputs']
    assert isinstance(inputs, list) and [image.shape for image in inputs] == [(3, 4, 6)] * 2


def test_collate_joins_masks_and_keypoints():
    batch = [
        packed(
            [[1.0, 2, 3, 4]],
            [1],
            masks=torch.ones(1, 4, 6),
            keypoints=torch.zeros(1, 17, 2),
            keypoints_visible=torch.ones(1, 17),
        )
        for _ in range(2)
    ]
    result = yolov5_collate(batch)['data_samples']
    assert result['masks'].shape == (2, 4, 6)
    assert result['keypoints'].shape == (2, 17, 2) and result['keypoints_visible'].shape == (2, 17)

    batch = [packed([[1.0, 2, 3, 4]], [1]) for _ in range(2)]
    for data in batch:
        data['data_samples'].gt_panoptic_seg = PixelData(pan_seg=torch.ones(1, 4, 6))
    assert yolov5_collate(batch)['data_samples']['masks'].shape == (2, 4, 6)
