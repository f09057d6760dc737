"""Figures that need no window, and text in them that any font can show."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from mmyolo.tools.demo.fonts import fit_font
from mmyolo.utils.files import replacing

MAX_NAME = 32  # characters of a class name in a figure


def window_available() -> bool:
    """Return whether pictures can be shown here: there is a display, and matplotlib has a toolkit for it."""
    if sys.platform.startswith('linux') and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return False
    import matplotlib.pyplot as plt

    backend = plt.get_backend().lower()
    return backend not in ('agg', 'cairo', 'pdf', 'pgf', 'ps', 'svg', 'template') or 'inline' in backend


def windows_wanted(wanted: bool) -> bool:
    """Return whether to show windows: if they are wanted and can be had; say so in one line if not."""
    if wanted and not window_available():
        print('No window can be shown here: there is no display, or matplotlib has no toolkit for it', file=sys.stderr)
        return False
    return wanted


def new_figure(width: float, height: float, show: bool = False) -> Figure:
    """Make a figure.

    Args:
        width: In inches.
        height: In inches.
        show: Whether `show_figures` will show it.
    """
    matplotlib.rcParams['text.parse_math'] = False  # a class may have a dollar in its name
    if show:
        import matplotlib.pyplot as plt

        return plt.figure(figsize=(width, height), layout='constrained')
    return Figure(figsize=(width, height), layout='constrained')


def show_figures() -> None:
    """Show the figures made with `show=True` and wait until they are closed."""
    import matplotlib.pyplot as plt

    plt.show()


def save_figure(figure: Figure, path: str | Path, dpi: int = 150, trim: bool = False) -> None:
    """Write a figure; the suffix of the file decides the format.

    Args:
        figure: The figure.
        path: The file.
        dpi: Pixels per inch.
        trim: Whether to leave out empty borders, so the size is no longer that of the figure.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches='tight' if trim else None)


def shown_names(names: Sequence[str]) -> list[str]:
    """Make names ready for figures and for boxes in pictures.

    If the usual font lacks characters, another one is used from now on, see `fit_font`.

    Args:
        names: Of classes.

    Returns:
        The names as they are to be drawn; those of more than 32 characters are cut.
    """
    matplotlib.rcParams['text.parse_math'] = False
    names, font = fit_font([name if len(name) <= MAX_NAME else f'{name[: MAX_NAME - 1]}…' for name in names])
    if font is not None:
        matplotlib.rcParams['font.sans-serif'] = [font.name, *matplotlib.rcParams['font.sans-serif']]
    return names
