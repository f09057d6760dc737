from xml.etree import ElementTree

import numpy as np
import pytest

from report_pages.charts import Series, bar_chart, heat_map, line_chart, number, ticks
from ymir_local.report.curves import smoothed
from ymir_local.texts import Text

LABEL = Text('a', '甲')


@pytest.mark.parametrize(
    'low, high, expected',
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.02, 0.19, [0, 0.05, 0.1, 0.15, 0.2]),
        (-3, 12, [-5, 0, 5, 10, 15]),
        (5, 5, [2, 3, 4, 5, 6, 7, 8]),
        (0.001, 0.001, [0.0004, 0.0006, 0.0008, 0.001, 0.0012, 0.0014, 0.0016]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    'value, expected', [(12000, '12,000'), (0.12345, '0.123'), (1234.5, '1,234'), (float('nan'), 'NaN')]
)
def test_number(value, expected):
    assert number(value) == expected


def test_points_of_a_line_stand_where_the_axes_say():
    svg = line_chart(
        LABEL, [Series('s', [0, 1, 2, 3], [0, 1, float('nan'), 0.5])], y_range=(0, 1), width=166, height=152
    )
    root = ElementTree.fromstring(svg)
    # 100 pixels each way: 52 to 152 across, 112 up to 12
    assert root.find('polyline').get('points') == '52.0,112.0 85.3,12.0 152.0,62.0'
    assert [title.text for title in root.iter('title')] == ['s', 's: 0 (0)', 's: 1 (1)', 's: 0.5 (3)']
    assert line_chart(LABEL, []) == '' and line_chart(LABEL, [Series('s', [], [])]) == ''


def test_one_point_is_seen():
    root = ElementTree.fromstring(line_chart(LABEL, [Series('s', [7], [3])]))
    assert [circle.get('r') for circle in root.iter('circle')] == ['2.5', '6']


def test_bars_are_stacked():
    root = ElementTree.fromstring(
        bar_chart(LABEL, [0, 1, 2], [('x', [1, 0], 0), ('y', [1, 4], 1)], width=166, height=152)
    )
    bars = [(rect.get('class'), rect.get('y'), rect.get('height')) for rect in root.iter('rect')]
    assert bars == [('c0 bar', '87.0', '25.0'), ('c1 bar', '62.0', '25.0'), ('c1 bar', '12.0', '100.0')]


def test_heat_map_shades_by_the_share_of_the_row():
    root = ElementTree.fromstring(heat_map(LABEL, np.array([[3, 1], [0, 0]]), ['a', 'b'], ['a', 'b'], LABEL, LABEL))
    cells = [(rect.get('class'), rect.get('fill-opacity')) for rect in root.iter('rect') if 'cell' in rect.get('class')]
    assert cells == [('cell right', '0.40'), ('cell wrong', '0.20')]
    assert [text.text for text in root.iter('text') if 'count' in text.get('class')] == ['3', '1']


@pytest.mark.parametrize(
    'classes, count, text',
    [(2, 99_999, '99,999'), (2, 123_456, '123k'), (20, 999, '999'), (20, 4_567, '5k'), (60, 9, None)],
)
def test_counts_fit_their_cells(classes, count, text):
    matrix = np.zeros((classes, classes), np.int64)
    matrix[0, 1] = count
    names = [str(k) for k in range(classes)]
    root = ElementTree.fromstring(heat_map(LABEL, matrix, names, names, LABEL, LABEL))
    assert [item.text for item in root.iter('text') if item.get('class') == 'count'] == ([text] if text else [])
    assert f'0 → 1: {count} (100%)' in [title.text for title in root.iter('title')]


def test_smoothing_is_corrected_at_the_beginning():
    assert smoothed(np.array([1.0, 0.0, np.nan, 1.0]), 0.5)[[0, 1, 3]] == pytest.approx([1, 1 / 3, 5 / 7])


def test_names_are_escaped():
    svg = line_chart(LABEL, [Series('<b>&', [0, 1], [0, 1]), Series('c', [0], [1])])
    assert '<b>' not in svg and '&lt;b&gt;&amp;' in svg
