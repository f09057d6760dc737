"""Names that a font can show, and windows only where there can be some."""

import matplotlib
import pytest

from mmyolo.tools.analysis import plotting
from mmyolo.tools.demo import fonts


@pytest.fixture(autouse=True)
def former_settings():
    with matplotlib.rc_context():
        yield


def test_names_stay_where_they_can():
    assert plotting.shown_names(['cat', 'naïve', '$a$ $b$']) == ['cat', 'naïve', '$a$ $b$']
    assert plotting.shown_names(['x' * 33, 'y' * 32]) == ['x' * 31 + '…', 'y' * 32]
    figure = plotting.new_figure(2, 1)
    figure.add_subplot().set_title('$\\nonsense$')  # no formula
    figure.canvas.draw()


def test_a_font_that_has_all_characters_is_used():
    name = '\ue000'  # of a private range; some symbol fonts that come with matplotlib have it
    former = list(matplotlib.rcParams['font.sans-serif'])
    holders = [font for font, path in fonts._other_fonts() if name in fonts._characters(path)]
    if not holders:
        pytest.skip('no font has the character')
    assert plotting.shown_names([name]) == [name]
    assert matplotlib.rcParams['font.sans-serif'] == [holders[0], *former]


def test_no_window_without_a_display(monkeypatch, capsys):
    for name in 'DISPLAY', 'WAYLAND_DISPLAY':
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('sys.platform', 'linux')
    assert not plotting.windows_wanted(True)
    assert capsys.readouterr().err.count('\n') == 1
    assert not plotting.windows_wanted(False) and not capsys.readouterr().err


def test_a_figure_is_written_whole(tmp_path):
    path = tmp_path / 'new' / 'a.jpg'
    plotting.save_figure(plotting.new_figure(2, 1), path, dpi=100)
    import cv2

    assert cv2.imread(str(path)).shape == (100, 200, 3)
    assert list(path.parent.iterdir()) == [path]
