"""Names that a font can show."""

import shutil

import matplotlib
import pytest

from mmyolo.tools.demo import fonts


@pytest.fixture(autouse=True)
def usual_settings():
    with matplotlib.rc_context({'font.sans-serif': ['DejaVu Sans']}):
        yield


def test_the_usual_font_is_kept_where_it_can_be():
    assert fonts.fit_font(['cat', 'naïve']) == (['cat', 'naïve'], None)
    assert fonts.fit_font([]) == ([], None)


def test_characters_without_a_font_are_written_as_codes(monkeypatch):
    monkeypatch.setattr(fonts, '_other_fonts', lambda: [])
    assert fonts.fit_font(['猫', 'dog 狗']) == (['\\u732b', 'dog \\u72d7'], None)


def test_a_font_installed_after_the_first_run_is_found(monkeypatch, tmp_path):
    file = tmp_path / 'new.ttf'
    shutil.copy(fonts.usual_font_file(), file)
    monkeypatch.setattr(fonts, 'findSystemFonts', lambda: [str(file), str(tmp_path / 'absent.ttf')])
    monkeypatch.setattr(fonts.fontManager, 'ttflist', list(fonts.fontManager.ttflist))
    assert ('DejaVu Sans', str(file)) in fonts._other_fonts()
