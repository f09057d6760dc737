"""Images that occur more than once, byte by byte or nearly: they count double, and in both sets they spoil the mAP.

Files of the same bytes are found by their sizes and the bytes at their ends, which are known already; only those that
agree in these are read whole. Images that look alike are found by a hash of 64 bits whether each of 8 x 8 places of the
image, shrunk to 9 x 8, is brighter than its right neighbour (dHash). For that an image is decoded, a JPEG at an eighth
of its size, which takes many times as long as its header, so of a large data set a part is looked at.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from itertools import accumulate, chain
from typing import Callable, Iterator, Mapping, Sequence

from PIL import Image

from ..processes import in_processes
from ..threads import NUM_CORES
from .compact import LabelledImages
from .image_size import any_image_size
from .report import OVERLAP, SAME_IMAGE, SIMILAR_IMAGE, SIMILAR_OVERLAP, DataIssue

PIXELS_A_CORE = 2_000_000_000  # that are decoded, in some 10 s if the images are JPEG
LEAST_PIXELS = 50_000  # as which a small image counts
MAX_DECODED = 1 << 25  # pixels of one image
MAX_DISTANCE = 2  # bits of 64 in which the hashes of images that look alike differ
LEAST_CONTRAST = 24  # grey levels in the image of 9 x 8; in less, the hash is one of noise
_BANDS, _BAND = 4, 0xFFFF  # hashes that differ in 3 bits at most agree in one of 4 bands

Add = Callable[[str, DataIssue], None]


def find_duplicates(
    images: Mapping[str, LabelledImages], add: Add, num_workers: int | None = None, decode: int | None = None
) -> None:
    """Report images that occur more than once, in one set or in several; each once, with the first that it is like.

    Args:
        images: by split, the training images first.
        add: called with the split and the finding.
        num_workers: processes or threads; None: a few per core.
        decode: so many pixels are decoded, of images spread over all, to compare what they show; 0: none, None: by the
            number of cores.
    """
    numbering = _Numbering(images)
    same = _same_files(numbering, num_workers)
    for copy, first in same.items():
        _report(copy, first, numbering, (SAME_IMAGE, OVERLAP), add)
    if decode == 0:
        return
    step = max(-(-numbering.pixels() // (decode or PIXELS_A_CORE * NUM_CORES)), 1)
    looked_at = [number for number in range(0, len(numbering), step) if number not in same]
    hashes = _in_order(image_hashes, [numbering.path(number) for number in looked_at], num_workers)
    for copy, first in similar(hashes):
        _report(looked_at[copy], looked_at[first], numbering, (SIMILAR_IMAGE, SIMILAR_OVERLAP), add)


class _Numbering:
    """Numbers for the images of all sets, one after the other.

    Args:
        images: by split.
    """

    def __init__(self, images: Mapping[str, LabelledImages]) -> None:
        self.parts = list(images.items())
        self.starts = [0, *accumulate(len(part) for part in images.values())]

    def __len__(self) -> int:
        return self.starts[-1]

    def pixels(self) -> int:
        """Return the pixels of all images."""
        sizes = (zip(part.widths, part.heights) for _, part in self.parts)
        return sum(max(width * height, LEAST_PIXELS) for width, height in chain.from_iterable(sizes))

    def place(self, number: int) -> tuple[int, int]:
        """Return which set an image is in, and its index there."""
        part = bisect_right(self.starts, number) - 1
        return part, number - self.starts[part]

    def split(self, number: int) -> str:
        """Return the name of the set."""
        return self.parts[self.place(number)[0]][0]

    def path(self, number: int) -> str:
        """Return the path of an image."""
        part, index = self.place(number)
        return self.parts[part][1].paths[index]


def _report(copy: int, first: int, numbering: _Numbering, kinds: tuple[str, str], add: Add) -> None:
    split = numbering.split(copy)
    kind = kinds[split != numbering.split(first)]
    add(split, DataIssue(numbering.path(copy), '', kind, f'the other is {numbering.path(first)}'))


def _same_files(numbering: _Numbering, num_workers: int | None) -> dict[int, int]:
    """Return the number of each image that occurred before, and that of the first one."""
    keys = array('q')  # 31 bits of the size and the digest
    for _, part in numbering.parts:
        keys.extend((size & 0x7FFFFFFF) << 32 | digest for size, digest in zip(part.sizes, part.digests))
    order = array('q', sorted(range(len(keys)), key=keys.__getitem__))
    alike = {number for pair in zip(order, order[1:]) if keys[pair[0]] == keys[pair[1]] for number in pair}
    to_read = sorted(alike)
    content = _in_order(_content_hashes, [numbering.path(number) for number in to_read], num_workers)
    seen: dict[bytes, int] = {}
    same = {}
    for number, digest in zip(to_read, content):
        if digest and seen.setdefault(digest, number) != number:
            same[number] = seen[digest]
    return same


def _in_order(function: Callable[[Sequence[str]], list], paths: Sequence[str], num_workers: int | None) -> Iterator:
    with any_image_size():
        for _, results in in_processes(function, paths, num_workers):
            yield from results


def _content_hashes(paths: Sequence[str]) -> list[bytes]:
    """Return a hash of each file's bytes; b'' if it cannot be read."""
    return [_content_hash(path) for path in paths]


def _content_hash(path: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, 'rb') as stream:
            for block in iter(lambda: stream.read(1 << 20), b''):
                digest.update(block)
    except OSError:
        return b''
    return digest.digest()


def image_hashes(paths: Sequence[str]) -> list[int | None]:
    """Return the dHash of each image; None if it cannot be decoded, is very large, or shows hardly any contrast.

    Args:
        paths: of images; call it within :func:`.image_size.any_image_size`.
    """
    return [_image_hash(path) for path in paths]


def _image_hash(path: str) -> int | None:
    try:
        with Image.open(path) as image:
            image.draft('L', (9 * 4, 8 * 4))  # JPEG is decoded at the smallest size that is at least this
            if image.width * image.height > MAX_DECODED:
                return None
            pixels = image.convert('L').resize((9, 8), Image.BILINEAR, reducing_gap=2.0).tobytes()
    except Exception:  # PIL's decoders raise what they like on broken data
        return None
    if max(pixels) - min(pixels) < LEAST_CONTRAST:
        return None
    bits = 0
    for row in range(0, 72, 9):
        for column in range(row, row + 8):
            bits = bits << 1 | (pixels[column] > pixels[column + 1])
    return bits


def similar(hashes: Iterator[int | None]) -> Iterator[tuple[int, int]]:
    """Yield the number of each image that looks like an earlier one, and that of the first of those.

    Args:
        hashes: of the images.
    """
    firsts: list[tuple[int, int]] = []
    bands: dict[tuple[int, int], list[int]] = {}
    for number, bits in enumerate(hashes):
        if bits is None:
            continue
        keys = [(band, bits >> 16 * band & _BAND) for band in range(_BANDS)]
        near = [
            first
            for key in keys
            for first in bands.get(key, ())
            if bin(firsts[first][1] ^ bits).count('1') <= MAX_DISTANCE
        ]
        if near:
            yield number, firsts[min(near)][0]
            continue
        for key in keys:
            bands.setdefault(key, []).append(len(firsts))
        firsts.append((number, bits))
