"""Fonts for names in any script, in figures and in pictures."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

LAST_RESORT = 'Last Resort'  # a font that has a box for every character


class Font(NamedTuple):
    """An installed font."""

    name: str
    file: str


def usual_font_file() -> str:
    """Return the file of the font that matplotlib uses by default."""
    return findfont(FontProperties(family=['sans-serif']))


def fit_font(names: Sequence[str]) -> tuple[list[str], Font | None]:
    """Find a font that has all characters of names; the usual one lacks Chinese ones, for example.

    Args:
        names: In any script.

    Returns:
        The names as they are to be drawn, and the first installed font that has all characters, None for the usual one.
        If there is none, the characters that the usual one lacks are written as their codes.
    """
    wanted = {character for name in names for character in name}
    usual = _characters(usual_font_file())
    if wanted <= usual:
        return list(names), None
    for font in _other_fonts():
        try:
            fits = wanted <= _characters(font.file)
        except (OSError, RuntimeError):
            continue
        if fits:
            return list(names), font
    return [''.join(c if c in usual else _code(c) for c in name) for name in names], None


def _code(character: str) -> str:
    return character.encode('ascii', 'backslashreplace').decode()


def _characters(path: str) -> set[str]:
    return {chr(code) for code in FT2Font(path).get_charmap()}


def _other_fonts() -> list[Font]:
    """Return every installed font, upright and regular ones first."""
    known = {font.fname for font in fontManager.ttflist}
    for path in findSystemFonts():  # the list is a cache, which lacks fonts that were installed later
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):
                continue
    fonts = {font.fname: font for font in fontManager.ttflist if not font.name.startswith(LAST_RESORT)}
    fonts = sorted(fonts.values(), key=lambda font: (font.style != 'normal', str(font.weight) not in ('400', 'normal')))
    return [Font(font.name, font.fname) for font in fonts]
