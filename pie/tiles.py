"""How a large picture is cut: blocks that are read and written as a whole, and in each the tiles that a network sees.

A tile shares its borders with its neighbours. Of what is predicted in it the core counts, which no other tile covers,
so a pixel has as much around it as if the picture were one, up to half of what tiles share. At the borders of the
picture a tile is moved inwards and its core reaches to the border.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

SMALLEST_BLOCK = 512  # pixels a side, where tiles are smaller
FILE_MULTIPLE = 16  # of the sides of the tiles of a TIFF


class Window(NamedTuple):
    """A part of a picture in pixels; right and bottom are the first ones outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def within(self, outer: 'Window') -> tuple[slice, slice]:
        """Return the rows and columns of this part in an array of another one."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


class Tile(NamedTuple):
    """What a network sees at once.

    Args:
        seen: All of it, which may reach beyond a picture that is smaller.
        core: The part that no other tile covers.
    """

    seen: Window
    core: Window


class Block(NamedTuple):
    """What is written at once.

    Args:
        window: Its place.
        tiles: Their cores make it up.
    """

    window: Window
    tiles: tuple[Tile, ...]

    @property
    def seen(self) -> Window:
        """What its tiles see together."""
        parts = [tile.seen for tile in self.tiles]
        return Window(
            min(part.left for part in parts),
            min(part.top for part in parts),
            max(part.right for part in parts),
            max(part.bottom for part in parts),
        )


@dataclass(frozen=True)
class Grid:
    """The blocks of a picture.

    Args:
        size: (width, height) of the picture.
        tile: (width, height) of what the network sees.
        overlap: Pixels that neighbouring tiles share, less than a side of a tile; odd ones count one less.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: int

    @property
    def block(self) -> tuple[int, int]:
        """(width, height) of a block, a multiple of FILE_MULTIPLE where that of tiles and overlap is."""
        return tuple(_block(length, tile, self.overlap // 2) for length, tile in zip(self.size, self.tile))

    def __len__(self) -> int:
        width, height = (-(-length // block) for length, block in zip(self.size, self.block))
        return width * height

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks row by row."""
        columns, rows = (list(_blocks(length, tile, self.overlap // 2)) for length, tile in zip(self.size, self.tile))
        for (top, bottom, down), (left, right, across) in product(rows, columns):
            tiles = tuple(
                Tile(Window(x.seen, y.seen, x.seen_end, y.seen_end), Window(x.core, y.core, x.core_end, y.core_end))
                for y, x in product(down, across)
            )
            yield Block(Window(left, top, right, bottom), tiles)


class Span(NamedTuple):
    """A tile along one side of the picture."""

    seen: int
    seen_end: int
    core: int
    core_end: int


def _block(length: int, tile: int, margin: int) -> int:
    if length <= tile:
        return -(-length // FILE_MULTIPLE) * FILE_MULTIPLE
    core = tile - 2 * margin
    return max(round(SMALLEST_BLOCK / core), 1) * core


def _blocks(length: int, tile: int, margin: int) -> Iterator[tuple[int, int, list[Span]]]:
    """Yield start, end and tiles of the blocks along one side."""
    core = tile - 2 * margin
    step = _block(length, tile, margin)
    for start in range(0, length, step):
        end = min(start + step, length)
        if length <= tile:
            yield start, end, [Span(0, tile, 0, length)]
            continue
        spans = []
        for first in range(start, end, core):
            seen = min(max(first - margin, 0), length - tile)
            if spans and spans[-1].seen == seen:  # at the border of the picture
                first = spans.pop().core
            spans.append(Span(seen, seen + tile, first, min(first + core, end) if seen < length - tile else end))
        yield start, end, spans
