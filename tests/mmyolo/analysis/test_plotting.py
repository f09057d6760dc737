"""Names that a font can show, and windows only where there can be some."""
import shutil

import matplotlib
import pytest

from mmyolo.analysis import plotting


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


def test_characters_without_a_font_are_written_as_codes(monkeypatch):
    monkeypatch.setattr(plotting, '_other_fonts', lambda: [])
    assert plotting.shown_names(['猫', 'dog 狗']) == ['\\u732b', 'dog \\u72d7']


def test_a_font_that_has_all_characters_is_used():
    name = '\ue000'  # of a private range; some symbol fonts that come with matplotlib have it
    former = list(matplotlib.rcParams['font.sans-serif'])
    holders = [font for font, path in plotting._other_fonts() if name in plotting._characters(path)]
    if not holders:
        pytest.skip('no font has the character')
    assert plotting.shown_names([name]) == [name]
    assert matplotlib.rcParams['font.sans-serif'] == [holders[0], *former]


def test_a_font_installed_after_the_first_run_is_found(monkeypatch, tmp_path):
    file = tmp_path / 'new.ttf'
    shutil.copy(plotting.findfont('DejaVu Sans'), file)
    monkeypatch.setattr(plotting, 'findSystemFonts', lambda: [str(file), str(tmp_path / 'absent.ttf')])
    monkeypatch.setattr(plotting.fontManager, 'ttflist', list(plotting.fontManager.ttflist))
    assert ('DejaVu Sans', str(file)) in plotting._other_fonts()


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
