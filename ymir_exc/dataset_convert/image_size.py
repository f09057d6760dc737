"""The size of an image as the loader (OpenCV) will see it, from the file's header alone where Pillow knows it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import stat
import struct
from typing import Iterator

from PIL import Image, UnidentifiedImageError

MAX_SIDE, MAX_PIXELS = 1 << 20, 1 << 30  # what OpenCV loads; without limits of Pillow's, a header is all that is read
DECODE_SECONDS = 120  # in which an image is decoded
_SIZE = struct.Struct('qq')
_ORIENTATION = 0x0112
_TRANSPOSED = (5, 6, 7, 8)
# Of the formats with EXIF, OpenCV turns these (seen with 4.12); PIL gives TIFF sizes turned already.
_TURNED_BY_OPENCV = ('JPEG', 'MPO', 'PNG')


@contextlib.contextmanager
def any_image_size() -> Iterator[None]:
    """Lift PIL's limit of pixels meanwhile: only headers are read, and OpenCV reads such images."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def read_image_size(path: str) -> tuple[int, int]:
    """Read width and height, in the orientation in which OpenCV loads the image.

    Args:
        path: an image of any format and ending.

    Returns:
        Width and height in pixels.

    Raises:
        OSError: there is no such file, or it is not an image; the message says which, without the path.
    """
    width, height, _ = image_size(path)
    return width, height


def image_size(path: str) -> tuple[int, int, int]:
    """Read width, height and EXIF orientation (1 to 8; 1 also where OpenCV does not turn the image).

    Args:
        path: an image of any format and ending.

    Raises:
        OSError: as :func:`read_image_size`.
    """
    orientation = 1
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to read a pipe or a device might never end
            raise ValueError('it is not a regular file')
        with Image.open(path) as image:
            width, height = image.size
            # info, not getexif(): that decodes a PNG without EXIF to its end.
            if image.format in _TURNED_BY_OPENCV and 'exif' in image.info:
                orientation = image.getexif().get(_ORIENTATION)
                if orientation in _TRANSPOSED:
                    width, height = height, width
    except FileNotFoundError:
        raise OSError('the image does not exist') from None
    except UnidentifiedImageError as error:
        size = decoded_size(path)
        if size is None:
            raise OSError('the image cannot be read (not an image, or a damaged one)') from error
        width, height = size
    except Exception as error:  # PIL's parsers raise what they like on broken data
        raise OSError(f'the image cannot be read ({words_of(error)})') from error
    if width < 1 or height < 1:
        raise OSError(f'the image has no pixels ({width} x {height})')
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise OSError(
            f'the image is too large to be loaded ({width} x {height}; at most {MAX_SIDE} a side and '
            f'{MAX_PIXELS} in all)'
        )
    return width, height, orientation if orientation in range(1, 9) else 1


def decoded_size(path: str) -> tuple[int, int] | None:
    """Return width and height of an image that is decoded whole, None if it cannot be.

    OpenCV decodes it, which loads images of kinds that Pillow does not know, such as a TIFF of colours in 32-bit
    floats; where OpenCV is not installed, Pillow does. A process of its own decodes, for a damaged file may crash the
    decoder (an animated PNG that of OpenCV 4.12).

    Args:
        path: a regular file.
    """
    if not hasattr(os, 'fork'):
        return _decode(path)
    with contextlib.suppress(ImportError):
        import cv2  # noqa: F401  once, not in each process
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.write(sender, _SIZE.pack(*(_decode(path) or (0, 0))))
        finally:
            os._exit(0)
    os.close(sender)
    try:
        answered = select.select([receiver], [], [], DECODE_SECONDS)[0]
        answer = os.read(receiver, _SIZE.size) if answered else b''
    finally:
        os.close(receiver)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    width, height = _SIZE.unpack(answer) if len(answer) == _SIZE.size else (0, 0)
    return (width, height) if width and height else None


def _decode(path: str) -> tuple[int, int] | None:
    try:
        import cv2
        import numpy as np
    except ImportError:
        try:
            with Image.open(path) as image:
                image.load()
                return image.size
        except Exception:  # PIL's decoders raise what they like on broken data
            return None
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else image.shape[1::-1]


def words_of(error: Exception) -> str:
    """Return what an exception says, in one line without the path; its name if it says nothing."""
    words = getattr(error, 'strerror', None) or ' '.join(str(error).split())[:100]
    return words or type(error).__name__
