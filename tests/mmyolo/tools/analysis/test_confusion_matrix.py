"""The confusion matrix against a matrix made by hand and against loops."""

import numpy as np
import pytest
import torch

from mmyolo.tools.analysis import confusion_matrix as cm

GT = [([0, 0, 100, 100], 0), ([200, 0, 300, 100], 1), ([400, 0, 500, 100], 1)]
FOUND = [  # box, score, label
    ([0, 0, 100, 100], 0.9, 0),  # right
    ([200, 0, 300, 100], 0.8, 0),  # takes the second object for class 0
    ([0, 0, 100, 95], 0.7, 0),  # the first object again
    ([0, 200, 100, 300], 0.6, 2),  # nothing there
    ([400, 0, 500, 100], 0.1, 1),  # not sure enough
]


class DataSet:
    metainfo = {'classes': ('a', 'b', 'c')}

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def get_data_info(self, index):
        instances = [{'bbox': box, 'bbox_label': label, 'ignore_flag': 0} for box, label in self.images[index]]
        return {'img_id': index, 'instances': instances}


def prediction(image, found):
    boxes, scores, labels = zip(*found) if found else ((), (), ())
    return {
        'img_id': image,
        'pred_instances': {
            'bboxes': torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            'scores': torch.tensor(scores, dtype=torch.float32),
            'labels': torch.tensor(labels, dtype=torch.long),
        },
    }


def test_by_hand():
    # the order of predictions does not matter, and an image may be empty
    images = DataSet([[], GT])
    found = [prediction(1, FOUND), prediction(0, [])]
    expected = np.zeros((4, 4), int)
    expected[0, 0], expected[1, 0], expected[1, 3], expected[3, 0], expected[3, 2] = 1, 1, 1, 1, 1
    np.testing.assert_array_equal(cm.count(images, found, 0.3), expected)
    # NMS drops the second hit on the first object, whose score is that of the third detection
    expected[3, 0] = 0
    np.testing.assert_array_equal(cm.count(images, found, 0.3, nms_iou_thr=0.5), expected)
    percent = cm.normalize(expected)
    np.testing.assert_allclose(percent[1], [50, 0, 0, 50])
    assert percent[2].tolist() == [0, 0, 0, 0]  # no object of class c


def test_objects_to_be_ignored_are_neither_found_nor_missed():
    images = DataSet([GT[:2]])
    images.get_data_info = lambda index: {
        'img_id': 0,
        'instances': [
            {'bbox': [0, 0, 100, 100], 'bbox_label': 0, 'ignore_flag': 1},
            {'bbox': [200, 0, 300, 100], 'bbox_label': 1},
        ],
    }
    found = [([0, 0, 100, 100], 0.9, 0), ([0, 0, 60, 60], 0.8, 0), ([0, 0, 60, 60], 0.7, 1)]
    matrix = cm.count(images, [prediction(0, found)])
    # two lie in the first object; the third does too, but is of another class
    assert np.argwhere(matrix).tolist() == [[1, 3], [3, 1]] and matrix.sum() == 2


def overlap_of(box, other):
    w, h = (min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1))
    shared = max(w, 0) * max(h, 0)
    return shared / (sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)) - shared)


def naive(gt, found, score_thr, tp_iou_thr, classes):
    matrix = np.zeros((classes + 1, classes + 1), int)
    free = dict(enumerate(gt))
    left = sorted((item for item in found if item[1] >= score_thr), key=lambda item: -item[1])
    for same_class in True, False:
        waiting, left = left, []
        for box, score, label in waiting:
            fitting = [
                (overlap_of(box, true_box), index)
                for index, (true_box, true_label) in free.items()
                if true_label == label or not same_class
            ]
            overlap, index = max(fitting, default=(0, -1))
            if overlap >= tp_iou_thr:
                matrix[free.pop(index)[1], label] += 1
            else:
                left.append((box, score, label))
    for _, _, label in left:
        matrix[classes, label] += 1
    for _, label in free.values():
        matrix[label, classes] += 1
    return matrix


def test_against_loops():
    rng = np.random.default_rng(0)

    def boxes(count):
        corner, size = rng.uniform(0, 60, (count, 2)), rng.uniform(10, 60, (count, 2))
        return np.concatenate([corner, corner + size], 1).round().tolist()

    images, found = [], []
    for _ in range(20):
        images.append(list(zip(boxes(5), rng.integers(0, 3, 5).tolist())))
        found.append(list(zip(boxes(12), rng.uniform(0, 1, 12).round(3).tolist(), rng.integers(0, 3, 12).tolist())))
    expected = sum(naive(gt, dets, 0.31, 0.4, 3) for gt, dets in zip(images, found))
    counted = cm.count(DataSet(images), [prediction(i, dets) for i, dets in enumerate(found)], 0.31, 0.4)
    np.testing.assert_array_equal(counted, expected)
    assert counted.sum() > 200


@pytest.mark.parametrize(
    'found, said',
    [
        ([], 'predictions for 0 images, but the test set of the config has 1'),
        ([prediction(7, [])], 'no prediction for the image with the id 0'),
        ([prediction(0, [([0, 0, 1, 1], 0.9, 3)])], 'class 3, but the data set has 3'),
    ],
)
def test_predictions_of_another_data_set(found, said):
    with pytest.raises(ValueError, match=said):
        cm.count(DataSet([GT]), found)


@pytest.mark.parametrize('num_classes', [1, 20, 40])
def test_picture(num_classes):
    matrix = np.full((num_classes + 1,) * 2, 0.2)
    np.fill_diagonal(matrix, 100)
    figure = cm.plot(matrix, [f'class {index}' for index in range(num_classes)])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == (num_classes + 1) ** 2 and texts[:2] == ['100', '<1']
    figure.canvas.draw()
    cell = figure.axes[0].get_window_extent().width / (num_classes + 1)
    assert figure.axes[0].texts[0].get_window_extent().width < cell
