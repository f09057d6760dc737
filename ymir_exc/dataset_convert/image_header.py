"""What beginning and end of an image file say: its size as the loader (OpenCV) sees it, and whether it is whole.

JPEG and PNG, of which data sets consist, are read here: some KB and the last bytes of a file. Whatever is odd about
one, and any other format, is for Pillow to say (:mod:`.image_size`). A file is decoded only where its end is not that
of its format, for bytes may also stand behind a whole image, and if it is an animated PNG, which may crash the decoder.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple
from zlib import crc32

from PIL import UnidentifiedImageError

from .image_size import MAX_PIXELS, MAX_SIDE, decoded_size, image_size, words_of
from .report import EMPTY_FILE, MISSING_IMAGE, NOT_REGULAR, TOO_LARGE, TRUNCATED, UNREADABLE

_HEAD, _TAIL = 1024, 16
_MORE = 65536  # of a file, where its end is searched and its EXIF data is read
_MOST_PARTS = 10_000  # of a file before its pixels; a file of nothing else would be read for hours
_BASELINE = (0xC0, 0xC1, 0xC2)
_NO_FRAME = (0xC4, 0xC8, 0xCC)
_PNG = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
_PNG_END = b'IEND\xaeB`\x82'
_JPEG_END = b'\xff\xd9'
_ORIENTATION, _ODD = 0x0112, -1
_FLAGS = os.O_RDONLY | getattr(os, 'O_CLOEXEC', 0) | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)


class ImageHeader(NamedTuple):
    """What is known of an image without its pixels.

    Attributes:
        width, height: in pixels, in the orientation in which OpenCV loads the image.
        orientation: of its EXIF data, 1 to 8; 1 if there is none.
        num_bytes: size of the file.
        digest: of its beginning and end; files of the same bytes have the same.
    """

    width: int
    height: int
    orientation: int
    num_bytes: int
    digest: int


class ImageProblem(OSError):
    """An image that cannot be used.

    Args:
        kind: one of :mod:`.report`.
        detail: why, without the path.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail

    def __reduce__(self) -> tuple:
        return type(self), (self.kind, self.detail)


class _Unsure(Exception):
    """Pillow is to read this file."""


def read_image_header(path: str, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Read the header of an image and check that it can be loaded; call it within :func:`.image_size.any_image_size`.

    Args:
        path: an image of any format and ending.
        max_pixels: larger images cannot be used.

    Raises:
        ImageProblem: it cannot be used; `kind` and `detail` say why.
    """
    try:
        descriptor = os.open(path, _FLAGS)  # without waiting for the writer of a pipe
    except FileNotFoundError:
        raise ImageProblem(MISSING_IMAGE, 'the image does not exist') from None
    except (OSError, ValueError) as error:
        raise ImageProblem(_kind_of(path), f'the image cannot be read ({words_of(error)})') from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageProblem(NOT_REGULAR, 'it is not a regular file')
        size = status.st_size
        if not size:
            raise ImageProblem(EMPTY_FILE, 'the file is empty')
        head = os.read(descriptor, _HEAD)
        tail = os.pread(descriptor, _TAIL, max(size - _TAIL, 0))
        is_odd = False  # only decoding shows what OpenCV makes of it
        try:
            if head.startswith(b'\xff\xd8\xff'):
                width, height, orientation, behind = _jpeg(descriptor, head)
                is_odd = orientation == _ODD
                whole = tail.endswith(_JPEG_END) or _JPEG_END in _end_of(descriptor, size, behind)
            elif head.startswith(_PNG):
                width, height, is_odd = _png(descriptor, head)
                orientation, whole = 1, tail.endswith(_PNG_END)
            else:
                raise _Unsure
        except (_Unsure, struct.error, IndexError):
            width, height, orientation, whole = _by_pillow(path, head, tail, size)
    except OSError as error:
        if isinstance(error, ImageProblem):
            raise
        raise ImageProblem(UNREADABLE, f'the image cannot be read ({words_of(error)})') from error
    finally:
        os.close(descriptor)
    if max(width, height) > MAX_SIDE or width * height > max_pixels:
        limit = f'at most {MAX_SIDE} a side and {max_pixels} in all'
        memory = '' if max_pixels >= MAX_PIXELS else ', for which there is memory'
        raise ImageProblem(
            TOO_LARGE, f'the image is too large to be loaded ({width} x {height} pixels; {limit}{memory})'
        )
    if is_odd or not whole:
        decoded = decoded_size(path)
        if decoded is None and whole:
            raise ImageProblem(UNREADABLE, 'the image cannot be decoded')
        if decoded is None:
            raise ImageProblem(TRUNCATED, f'the file ends within the image ({size} bytes)')
        if orientation == _ODD:
            (width, height), orientation = decoded, 1
    return ImageHeader(width, height, orientation, size, crc32(tail, crc32(head)))


def _kind_of(path: str) -> str:
    """Return the kind of problem of a file that cannot be opened, such as a socket."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return UNREADABLE
    return UNREADABLE if stat.S_ISREG(mode) else NOT_REGULAR


def _jpeg(descriptor: int, head: bytes) -> tuple[int, int, int, int]:
    """Return width, height, EXIF orientation, and the place behind the frame header."""
    data, base, at, orientation = head, 0, 2, 0
    for _ in range(_MOST_PARTS):
        i = at - base
        if i + 9 > len(data):
            data, base, i = os.pread(descriptor, _HEAD, at), at, 0
        if data[i] != 0xFF:
            raise _Unsure
        marker = data[i + 1]
        if marker in _BASELINE:
            height, width = (data[i + 5] << 8) | data[i + 6], (data[i + 7] << 8) | data[i + 8]
            if not width or not height:
                raise _Unsure
            if orientation > 4:
                width, height = height, width
            return width, height, orientation or 1, at
        if marker == 0xFF:
            at += 1
            continue
        length = (data[i + 2] << 8) | data[i + 3]
        if marker < 0xC0 or length < 2 or marker >= 0xD0 and marker < 0xE0 and marker not in (0xDB, 0xDD):
            raise _Unsure
        if 0xC0 <= marker < 0xD0 and marker not in _NO_FRAME:  # a frame that OpenCV does not decode
            raise _Unsure
        if marker == 0xE1 and not orientation:
            segment = data[i + 4 : i + 2 + length]
            if len(segment) < length - 2:
                segment = os.pread(descriptor, length - 2, at + 4)
            if not segment.startswith(b'http'):  # XMP, which OpenCV does not heed
                orientation = _orientation(segment)
        at += 2 + length
    raise ImageProblem(UNREADABLE, f'more than {_MOST_PARTS} segments stand before the image')


def _orientation(segment: bytes) -> int:
    """Return the orientation of EXIF data, whatever type of number it claims to be; 1 if it says none.

    _ODD for data that OpenCV may read all the same.
    """
    tiff = segment[6:]
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(tiff[:4])
    if order is None or not segment.startswith(b'Exif\0\0'):
        return _ODD
    try:
        (at,) = struct.unpack_from(order + 'I', tiff, 4)
        (count,) = struct.unpack_from(order + 'H', tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + 'HHIH', tiff, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return _ODD
    return 1


def _png(descriptor: int, head: bytes) -> tuple[int, int, bool]:
    """Return width and height of a PNG that is not turned, and whether it is animated."""
    width, height = struct.unpack_from('>II', head, 16)
    (checksum,) = struct.unpack_from('>I', head, 29)
    if not width or not height or crc32(head[12:29]) != checksum:
        raise _Unsure
    data, base, at, is_animated = head, 0, 33, False
    for _ in range(_MOST_PARTS):
        if at - base + 8 > len(data):
            data, base = os.pread(descriptor, _HEAD, at), at
        length, kind = struct.unpack_from('>I4s', data, at - base)
        if kind == b'IDAT':
            return width, height, is_animated
        is_animated = is_animated or kind == b'acTL'
        if kind in (b'eXIf', b'IEND') or not kind.isalpha():
            raise _Unsure
        at += 12 + length
    raise ImageProblem(UNREADABLE, f'more than {_MOST_PARTS} chunks stand before the image')


def _end_of(descriptor: int, size: int, behind: int) -> bytes:
    """Return the end of a file, without what stands before a place, as a small picture in its EXIF data may."""
    start = max(size - _MORE, behind)
    return os.pread(descriptor, max(size - start, 0), start)


def _by_pillow(path: str, head: bytes, tail: bytes, size: int) -> tuple[int, int, int, bool]:
    """Return width, height, orientation, and whether the end of the file is not in doubt."""
    try:
        width, height, orientation = image_size(path)
    except OSError as error:
        kind = TOO_LARGE if 'too large' in str(error) else UNREADABLE
        if isinstance(error.__cause__, UnidentifiedImageError) and _begins_like_an_image(head):
            kind = TRUNCATED if decoded_size(path) is None else kind
        raise ImageProblem(kind, str(error)) from error
    if head.startswith(b'\xff\xd8'):
        whole = tail.endswith(_JPEG_END)
    elif head.startswith(_PNG[:8]):
        whole = tail.endswith(_PNG_END)
    elif head.startswith(b'BM'):
        whole = struct.unpack_from('<I', head, 2)[0] <= size if len(head) > 5 else False
    elif head.startswith(b'RIFF'):
        whole = struct.unpack_from('<I', head, 4)[0] + 8 <= size
    elif head.startswith(b'GIF8'):
        whole = tail.rstrip(b'\0').endswith(b';')
    else:
        whole = True
    return width, height, orientation, whole


def _begins_like_an_image(head: bytes) -> bool:
    return head.startswith((b'\xff\xd8\xff', _PNG[:8]))
