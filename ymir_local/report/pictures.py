"""Pictures in the page: images shrunk into JPEG data addresses, with boxes drawn over them as SVG.

Names of classes may hold any script and emoji, which OpenCV cannot draw; so boxes and names are text and shapes of the
page. All pictures of a page share one allowance of bytes.
"""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from markupsafe import Markup

from ..texts import Text, as_text, t

MAX_BYTES = 5_500_000  # of base64, all pictures together
QUALITY = 80
MAX_NAME, SHORT_NAME = 0.45, 100  # share of a picture's width that a name may take, and what it always may, in pixels
LINE = 15.0  # pixels between the base lines of two texts
NARROW_LETTER, WIDE_LETTER, LAST_NARROW = 8.0, 14.0, 0x2E7F  # pixels at the size that the style sheet sets

# Why there is no picture
BROKEN = t('report.the image cannot be read')
ABSENT = t('report.the image is not there')
LEFT_OUT = t('report.left out to keep the')


class Mark(NamedTuple):
    """A box over a picture.

    Args:
        xywh: in pixels of the image.
        text: beside it; a long one is cut.
        kind: 'truth', 'right', 'wrong', 'missed', 'neutral', 'plain' or 'doubtful'; decides colour and stroke.
        tail: what stands after the text and is never cut, such as a score.
        note: what else shows when the pointer rests on the box.
    """

    xywh: tuple[float, float, float, float]
    text: str
    kind: str
    tail: str = ''
    note: Text | None = None


class Picture(NamedTuple):
    """An image of the page.

    Args:
        name: its id in the page.
        address: `data:image/jpeg;base64,...`; empty: there is no picture.
        origin: left and top of the part shown, in pixels of the image.
        scale: pixels on the screen per pixel of the image.
        width, height: on the screen.
        problem: why there is no picture.
    """

    name: str
    address: str
    origin: tuple[float, float] = (0, 0)
    scale: float = 1.0
    width: int = 160
    height: int = 120
    problem: Text | None = None

    def definition(self) -> Markup:
        """Return the image itself, to be shown any number of times by `svg`."""
        if self.problem:
            return Markup('')
        return Markup(
            '<svg class="store" aria-hidden="true" width="0" height="0"><defs><image id="{}" width="{}" height="{}" '
            'preserveAspectRatio="none" href="{}"/></defs></svg>'
        ).format(self.name, self.width, self.height, self.address)

    def svg(self, label: Text, marks: Sequence[Mark] = ()) -> Markup:
        """Show the image with boxes.

        Args:
            label: what is to be seen, for screen readers.
            marks: boxes, drawn in turn. The later ones choose first where their text stands; a text that finds no
                free place is left out, and shows when the pointer rests on the box.
        """
        if self.problem:
            return Markup('<div class="no-picture" role="img" {}>{}</div>').format(
                label.attribute('aria-label'), self.problem
            )
        parts = [
            Markup(
                '<svg class="picture" role="img" {} viewBox="0 0 {w} {h}" width="{w}" height="{h}"><use href="#{}"/>'
            ).format(label.attribute('aria-label'), self.name, w=self.width, h=self.height)
        ]
        shapes, texts, taken = [], [], []
        for mark in marks[::-1]:
            x, y = ((mark.xywh[k] - self.origin[k]) * self.scale for k in (0, 1))
            w, h = (max(side * self.scale, 1) for side in mark.xywh[2:])
            x1, y1, x2, y2 = max(x, 1), max(y, 1), min(x + w, self.width - 1), min(y + h, self.height - 1)
            if x2 <= x1 or y2 <= y1:
                continue
            shape = Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(x1, y1, x2 - x1, y2 - y1)
            shapes.append(
                Markup('<rect class="halo" {}/><rect class="box {}" {}>{}</rect>').format(
                    shape, mark.kind, shape, _hover(mark)
                )
            )
            if mark.text:
                room = max(x2 - x1, self.width * MAX_NAME, SHORT_NAME)
                text, length = _cut(mark.text, room, mark.tail)
                place = self._place((x1, y1, x2, y2), length, taken)
                if place is not None:
                    texts.append(
                        Markup('<text class="mark {}" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
                            mark.kind, *place, text
                        )
                    )
        return Markup('').join([*parts, *shapes[::-1], *texts]) + Markup('</svg>')

    def _place(
        self, corners: tuple[float, float, float, float], length: float, taken: list[tuple[float, float, float]]
    ) -> tuple[str, float, float] | None:
        """Return anchor and position of a text: above its box, in it, below it, at its bottom; add it to `taken`.

        Args:
            corners: of the box.
            length: of the text.
            taken: left, right and base line of the texts so far.
        """
        x1, y1, x2, y2 = corners
        right_end = min(max(x2, length + 1), self.width - 1)
        begins = [('start', x1 + 1, x1 + 1)] if x1 + 1 + length < self.width else []
        for anchor, x, start in (*begins, ('end', right_end, right_end - length)):
            for base in (y1 - 4, y1 + LINE - 2, y2 + LINE - 2, y2 - 4):
                free = all(
                    start + length <= other or end <= start or abs(base - line) >= LINE for other, end, line in taken
                )
                if free and LINE - 3 <= base <= self.height - 2:
                    taken.append((start, start + length, base))
                    return anchor, x, base
        return None


class Album:
    """Makes the pictures of one page.

    Args:
        max_bytes: of all together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.left = max_bytes
        self.pictures: list[Picture] = []
        self._last: tuple[tuple[str, int] | None, object] = (None, None)
        self._whole: dict[tuple[str, int], Picture] = {}

    def whole(self, path: Path | None, side: int) -> Picture:
        """Show a whole image.

        Args:
            path: the file; None: it is not known where it lies.
            side: the longer side on the screen, in pixels.
        """
        key = (str(path), side)
        if key not in self._whole:
            self._whole[key] = self._make(path, None, side)
        return self._whole[key]

    def crop(self, path: Path | None, xywh: Sequence[float], side: int) -> Picture:
        """Show the surroundings of a box, half as much again on each side.

        Args:
            path: the file; None: it is not known where it lies.
            xywh: the box, in pixels of the image.
            side: the longer side on the screen, in pixels.
        """
        return self._make(path, tuple(xywh), side)

    def _make(self, path: Path | None, xywh: tuple[float, ...] | None, side: int) -> Picture:
        name = f'picture{len(self.pictures)}'
        picture, problem = self._draw(name, path, xywh, side)
        if picture is None:
            picture = Picture(name, '', problem=problem)
        self.pictures.append(picture)
        return picture

    def _draw(
        self, name: str, path: Path | None, xywh: tuple[float, ...] | None, side: int
    ) -> tuple[Picture | None, Text | None]:
        if path is None or not os.path.isfile(path):
            return None, ABSENT
        if self.left <= 0:
            return None, LEFT_OUT
        loaded = self._load(path, side if xywh is None else 0)
        if loaded is None:
            return None, BROKEN
        pixels, width, height = loaded
        left, top, part_w, part_h = _region(xywh, width, height)
        shrunk = max(pixels.shape[:2]) / max(width, height)
        x, y = int(left * shrunk), int(top * shrunk)
        pixels = pixels[y : max(y + round(part_h * shrunk), y + 1), x : max(x + round(part_w * shrunk), x + 1)]
        scale = min(side / max(part_w, part_h), max(8, 64 / max(part_w, part_h)))  # a tiny image is shown as what it is
        shown_w, shown_h = (max(round(length * scale), 1) for length in (part_w, part_h))
        if max(pixels.shape[:2]) > side:
            pixels = cv2.resize(pixels, (shown_w, shown_h), interpolation=cv2.INTER_AREA)
        data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        address = 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()
        if len(address) > self.left:
            self.left = 0
            return None, LEFT_OUT
        self.left -= len(address)
        return Picture(name, address, (left, top), scale, shown_w, shown_h), None

    def _load(self, path: Path, side: int) -> tuple[np.ndarray, int, int] | None:
        """Return pixels and own width and height of the image, turned as EXIF says; its crops load it once."""
        key = (str(path), side)
        if self._last[0] != key:
            self._last = (key, _decode(path, side))
        return self._last[1]


def _decode(path: Path, side: int) -> tuple[np.ndarray, int, int] | None:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        return None
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    if side and max(width, height) > 4 * side:  # a good deal faster than one large step, and it hardly shows
        factor = max(width, height) // (2 * side)
        rows, columns = (slice(min(factor // 2, length - 1), None, factor) for length in (height, width))  # never none
        pixels = np.ascontiguousarray(pixels[rows, columns])
    return pixels, width, height


def _region(xywh: tuple[float, ...] | None, width: int, height: int) -> tuple[float, float, float, float]:
    """Return the part to show: all, or a box with its surroundings, within the image and at least 16 pixels wide."""
    if xywh is None:
        return 0, 0, width, height
    x, y, w, h = xywh
    side = max(w, h, 16)
    ends = []
    for start, length, limit in ((x, w, width), (y, h, height)):
        reach = max(length, side * 0.6) * 2
        centre = min(max(start + length / 2, 0), limit)
        low = max(int(centre - reach / 2), 0)
        high = min(int(centre + reach / 2) + 1, limit)
        ends.append((min(low, limit - 1), max(high, low + 1)))
    (x1, x2), (y1, y2) = ends
    return x1, y1, min(x2, width) - x1, min(y2, height) - y1


def _hover(mark: Mark) -> Markup:
    words = as_text(mark.text + mark.tail)
    return (Text(*map(', '.join, zip(words, mark.note))) if mark.note else words).title()


def _cut(text: str, room: float, tail: str) -> tuple[str, float]:
    """Shorten a text to a width in pixels, its tail kept; return it with about the width that it needs."""
    widths = [WIDE_LETTER if ord(letter) > LAST_NARROW else NARROW_LETTER for letter in text]
    end = NARROW_LETTER * len(tail)
    if sum(widths) + end <= room:
        return text + tail, sum(widths) + end
    kept, used = 0, NARROW_LETTER + end
    while kept < len(text) - 1 and used + widths[kept] <= room:
        used += widths[kept]
        kept += 1
    kept = max(kept, 1)
    return f'{text[:kept]}…{tail}', max(used, widths[0] + NARROW_LETTER + end)
