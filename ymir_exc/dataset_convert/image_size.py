"""The size of an image as the loader (OpenCV) will see it, from the file's header alone."""
import contextlib
from typing import Iterator, Tuple

from PIL import Image

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


def read_image_size(path: str) -> Tuple[int, int]:
    """Read width and height, in the orientation in which OpenCV loads the image.

    Args:
        path: an image of any format and ending.

    Returns:
        Width and height in pixels.

    Raises:
        OSError: there is no such file, or it is no image; the message says which, without the path.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            # info, not getexif(): that decodes a PNG without EXIF to its end.
            if image.format in _TURNED_BY_OPENCV and 'exif' in image.info:
                if image.getexif().get(_ORIENTATION) in _TRANSPOSED:
                    width, height = height, width
    except FileNotFoundError:
        raise OSError('the image does not exist') from None
    except Exception as error:  # PIL's parsers raise what they like on broken data
        raise OSError(f'the image cannot be read ({type(error).__name__})') from error
    if width < 1 or height < 1:
        raise OSError(f'the image has no pixels ({width} x {height})')
    return width, height
