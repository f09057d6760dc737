"""Anchors: numbers by hand, clusters that are known, and what mutations gain."""

import numpy as np
import pytest
import torch

from mmyolo.tools.analysis import anchors

CLUSTERS = np.array([[10, 20], [60, 30], [200, 240]], dtype=np.float64)


def three_clusters():
    return torch.tensor(CLUSTERS.repeat([5, 3, 4], 0), dtype=torch.float32)


class DataSet:
    """Boxes of 20 x 10 and 40 x 40 in an image of 400 x 200, an ignored one, and one without extent."""

    def __len__(self):
        return 2

    def get_data_info(self, index):
        boxes = [[[0, 0, 20, 10], [5, 5, 45, 45]], [[1, 1, 5, 5], [3, 3, 3, 9]]][index]
        ignored = [[0, 0], [1, 0]][index]
        instances = [{'bbox': box, 'bbox_label': 0, 'ignore_flag': flag} for box, flag in zip(boxes, ignored)]
        return {'width': 400, 'height': 200, 'instances': instances}


@pytest.mark.parametrize('shape, ratio', [((640, 640), 1.6), ((200, 200), 0.5), ((800, 300), 1.5)])
def test_sizes_are_those_in_the_input(shape, ratio):
    sizes = anchors.collect_sizes(DataSet(), shape)
    np.testing.assert_allclose(sizes, np.array([[20, 10], [40, 40]]) * ratio)


def test_no_box_is_an_error():
    with pytest.raises(ValueError, match='no boxes'):
        anchors.collect_sizes([], (640, 640))


def test_measures_by_hand():
    sizes, found = torch.tensor([[10.0, 10.0], [10.0, 40.0]]), torch.tensor([[10.0, 20.0], [5.0, 5.0]])
    torch.testing.assert_close(anchors.size_ious(sizes, found), torch.tensor([[0.5, 0.25], [0.5, 25 / 400]]))
    assert anchors.mean_best_iou(sizes, found) == pytest.approx(0.5)
    torch.testing.assert_close(anchors.best_ratios(sizes, found), torch.tensor([0.5, 0.5]))
    assert anchors.best_possible_recall(sizes, found[1:], 4.0) == 0.5  # 40 is 8 times 5
    assert anchors.best_possible_recall(sizes, found[1:], 9.0) == 1


def test_k_means_finds_means():
    sizes = torch.tensor([[10.0, 10.0], [12.0, 12.0], [100.0, 100.0], [120.0, 80.0]])
    found = anchors.k_means(sizes, 2, 100, np.random.default_rng(0))
    np.testing.assert_allclose(found, [[11, 11], [110, 90]])
    found = anchors.k_means(three_clusters(), 3, 100, np.random.default_rng(0))
    np.testing.assert_allclose(found, CLUSTERS)  # no two centres start in one place
    assert anchors.k_means(sizes[:1], 3, 100, np.random.default_rng(0)).tolist() == [[10, 10]] * 3


def test_evolution_finds_the_clusters():
    found = anchors.evolve(three_clusters(), 3, (640, 640), 300, seed=0)
    np.testing.assert_allclose(found, CLUSTERS, atol=0.5)
    again = anchors.evolve(three_clusters(), 3, (640, 640), 300, seed=0)
    np.testing.assert_array_equal(found, again)


def test_v5_k_means_finds_the_clusters_and_leaves_specks_out():
    sizes = torch.cat([three_clusters(), torch.ones(50, 2)])
    found = anchors.v5_k_means(sizes, 3, 20, 4.0, (0.9, 0.1), np.random.default_rng(0))
    np.testing.assert_allclose(found, CLUSTERS, rtol=1e-5)


def test_mutations_only_gain():
    rng = np.random.default_rng(1)
    sizes = torch.tensor(np.exp(rng.normal(4, 1, (300, 2))), dtype=torch.float32)

    def fitness(found):
        best = anchors.best_ratios(sizes, torch.tensor(found, dtype=torch.float32))
        return float((best * (best > 0.25)).mean())

    scores = [
        fitness(anchors.v5_k_means(sizes, 4, count, 4.0, (0.9, 0.1), np.random.default_rng(0)))
        for count in (0, 50, 300)
    ]
    assert scores[0] < scores[1] < scores[2]


def test_too_few_different_boxes():
    found = anchors.v5_k_means(torch.full((5, 2), 30.0), 4, 0, 4.0, (0.9, 0.1), np.random.default_rng(0))
    assert found.shape == (4, 2) and (found >= 2).all() and (found <= 30).all()
    with pytest.raises(ValueError, match='2 pixels'):
        anchors.v5_k_means(torch.ones(5, 2), 4, 0, 4.0, (0.9, 0.1), np.random.default_rng(0))


def test_levels():
    found = anchors.sort_by_area(np.array([[30.4, 30.6], [1, 2], [5, 5]]))
    assert anchors.per_level(found, [1, 2]) == [[[1, 2]], [[5, 5], [30, 31]]]
