"""Statistics of a data set, by hand."""

import numpy as np
import pytest

from mmyolo.tools.analysis import dataset_plots
from mmyolo.tools.analysis.dataset_statistics import DatasetStatistics, area_sides

SIZES = np.array([[10, 20], [32, 32], [100, 50], [31, 33], [0, 8]], dtype=float)
LABELS = np.array([0, 2, 2, 0, 2])


@pytest.fixture
def statistics():
    return DatasetStatistics(['a', 'b', 'c'], 4, LABELS, SIZES)


def test_counts(statistics):
    assert statistics.counts().tolist() == [2, 0, 3]
    # areas 200, 1024, 5000, 1023, 0 with borders at 1024 and 9216
    assert statistics.area_counts(area_sides(None)).tolist() == [[2, 0, 0], [0, 0, 0], [1, 2, 0]]
    assert statistics.area_counts(area_sides([50])).tolist() == [[2, 0], [0, 0], [2, 1]]


def test_values(statistics):
    assert [values.tolist() for values in statistics.values('width')] == [[10, 31], [], [32, 100, 0]]
    assert [values.tolist() for values in statistics.values('ratio')] == [[0.5, 31 / 33], [], [1, 2]]


def test_one_class(statistics):
    one = statistics.of_class('c')
    assert one.classes == ['c'] and one.counts().tolist() == [3] and one.num_images == 4
    assert one.values('height')[0].tolist() == [32, 50, 8]
    with pytest.raises(ValueError, match="no class 'd'"):
        statistics.of_class('d')


def test_area_sides():
    assert area_sides(None) == [0, 32, 96, 1e5] and area_sides([1, 2, 3]) == [0, 1, 2, 3, 1e5]
    for rule in [1, 2, 3, 4], [5, 5], [0], [-1]:
        with pytest.raises(ValueError, match='--area-rule'):
            area_sides(rule)


def test_pictures_show_the_numbers(statistics):
    axis = dataset_plots.plot_numbers(statistics).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [2, 0, 3]
    assert [label.get_text() for label in axis.get_yticklabels()] == ['a', 'b', 'c']
    axis = dataset_plots.plot_areas(statistics, area_sides(None)).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [2, 0, 1, 0, 0, 2, 0, 0, 0]
    medians = [
        line.get_xdata()[0] for line in dataset_plots.plot_sizes(statistics).axes[1].lines if line.get_marker() == '|'
    ]
    assert medians == [26.5, 32]
    ratios = dataset_plots.plot_ratios(statistics).axes[0]
    assert [line.get_xdata()[0] for line in ratios.lines if line.get_marker() == '|'][1] == 1.5


def test_pictures_of_an_empty_data_set():
    nothing = DatasetStatistics(['a'], 0, np.zeros(0, int), np.zeros((0, 2)))
    drawings = (dataset_plots.plot_numbers, dataset_plots.plot_sizes, dataset_plots.plot_ratios)
    figures = [draw(nothing) for draw in drawings]
    for figure in [*figures, dataset_plots.plot_areas(nothing, area_sides(None))]:
        figure.canvas.draw()
        assert figure.axes
