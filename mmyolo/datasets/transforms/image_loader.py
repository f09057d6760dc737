"""Images decoded once for all loader processes, no larger than a recipe can use."""

import io

import cv2
import numpy as np
from mmengine import fileio
from PIL.JpegImagePlugin import JpegImageFile

from mmyolo.utils.image_cache import image_key, open_image_cache

from .loading import check_regular_file, decode_image
from .tiles import fit_size, resize_to

_ORIENTATION = 0x0112  # EXIF tag
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


class ImageLoader:
    """Loads images from a cache that processes share, and decodes those that are not in it.

    Make it before the loader processes are forked, so that they share its cache.

    Args:
        cache_bytes: As of LoadCachedImage.
        cache_file: As of LoadCachedImage.
        backend_args: File backend of mmengine.
    """

    def __init__(self, cache_bytes: int, cache_file: str | None = None, backend_args: dict | None = None) -> None:
        self.cache_bytes = cache_bytes
        self.cache_file = cache_file
        self.backend_args = backend_args
        open_image_cache(cache_bytes, cache_file)

    def load(self, path: str, max_size: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Load an image, shrunk if its longer side exceeds a limit.

        Args:
            path: The file.
            max_size: The limit in pixels.

        Returns:
            (h, w, 3) BGR uint8, read-only, and the full size (h, w) of the image in its file, both after turning by
            EXIF. They do not depend on whether the image was in the cache.

        Raises:
            UnreadableImageError: The file is there but cannot be decoded.
        """
        cache = open_image_cache(self.cache_bytes, self.cache_file)
        key = image_key(path, max_size)
        found = None if cache is None else cache.get(key)
        if found is None:
            check_regular_file(path)
            found = decode_shrunk(fileio.get(path, backend_args=self.backend_args), max_size, path)
            found[0].flags.writeable = False
            if cache is not None:
                cache.put(key, *found)
        return found


def decode_shrunk(data: bytes, max_size: int, path: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image and shrink it if its longer side exceeds a limit.

    Args:
        data: The file.
        max_size: The limit in pixels.
        path: Name of the file, for errors.

    Returns:
        (h, w, 3) BGR uint8 and the full size (h, w) of the image, both after turning by EXIF.

    Raises:
        UnreadableImageError: The data cannot be decoded.
    """
    divisor, header = _reduction(data, max_size)
    image = decode_image(data, path, _REDUCED.get(divisor, cv2.IMREAD_COLOR))
    height, width = image.shape[:2]
    if divisor > 1:
        # The header does not say whether cv2 turned the image; the sides of what it gave do.
        turned = (width, height) == tuple(-(-side // divisor) for side in header) and width != height
        height, width = header[::-1] if turned else header
        # A last pixel of which less than half is image would shift the rest when resized.
        image = image[: max(round(height / divisor), 1), : max(round(width / divisor), 1)]
    if max(height, width) > max_size:
        image = _shrink(image, fit_size((height, width), (max_size, max_size))[0])
    return np.ascontiguousarray(image), (height, width)


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink to (h, w): bilinearly by less than 2, by area by more, which is fast for whole factors."""
    factors = [side // new for side, new in zip(image.shape, size)]
    if min(factors) < 2:
        return resize_to(image, size)
    factor = min(factors)
    if all(side % factor == 0 for side in image.shape[:2]):
        smaller = tuple(side // factor for side in image.shape[1::-1])
        return resize_to(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), size)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def _reduction(data: bytes, max_size: int) -> tuple[int, tuple[int, int] | None]:
    """By what to divide the sides while decoding, 1 for all but large JPEGs.

    Where it is more, also the size (h, w) in the header. An image that EXIF turns is divided if nothing remains, since
    the part of a pixel that does would be at the other end.
    """
    if data[:2] != b'\xff\xd8':
        return 1, None
    try:
        with JpegImageFile(io.BytesIO(data)) as image:  # Image.open raises an error for large ones
            width, height = image.size
            upright = image.getexif().get(_ORIENTATION, 1) == 1
    except Exception:  # OpenCV reads more than Pillow does, and gives the verdict
        return 1, None
    for divisor in _REDUCED:
        whole = height % divisor == width % divisor == 0
        if max(height, width) >= divisor * max_size and (upright or whole):
            return divisor, (height, width)
    return 1, None
