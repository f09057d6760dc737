"""Pictures with more than three bands or more than 8 bits: cut to three bands and stretched to 8 bits.

Multi-band GeoTIFF is common on the platform; detectors see three bands of 8 bits.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmyolo.utils.coco_file import any_image_size, image_size
from mmyolo.utils.files import replacing
from pie.causes import picture_cause
from pie.texts import UnusableError, Words

RASTER_SUFFIXES = ('.tif', '.tiff')
SAMPLES_PER_PIXEL = 277  # a tag of TIFF
DARKEST, BRIGHTEST = 2, 98  # percent of the pixels of a band that become 0 and 255
MAX_PIXELS = 1 << 30  # of a picture that is decoded whole, as OpenCV has it


def plain_picture(path: Path, prepared: Path) -> tuple[Path, tuple[int, int]]:
    """Return a picture of three bands and 8 bits.

    Args:
        path: The picture.
        prepared: Where one is written if `path` is none; one that is newer than `path` is taken as it is.

    Returns:
        `path` or `prepared`, and its (width, height).

    Raises:
        UnusableError: It cannot be read.
    """
    if path.suffix.lower() not in RASTER_SUFFIXES:
        try:
            return path, image_size(path)
        except (OSError, SyntaxError, ValueError) as error:
            raise UnusableError('picture_unreadable', reason=picture_cause(error, path)) from error
    if prepared.is_file() and prepared.stat().st_mtime >= path.stat().st_mtime:
        return prepared, image_size(prepared)
    bands = read_bands(path)
    size = bands.shape[1], bands.shape[0]
    plain = stretch(bands)[:, :, ::-1]
    # A training reads pictures with OpenCV, which takes one band of some of three.
    if bands.dtype == np.uint8 and bands.shape[2] in (1, 3) and np.array_equal(cv2.imread(str(path)), plain):
        return path, size
    with replacing(prepared) as temporary:
        cv2.imwrite(str(temporary), plain)
    return prepared, size


def read_bands(path: Path) -> np.ndarray:
    """Read all bands of a TIFF, of any compression and number of bits where rasterio is installed.

    Args:
        path: The file.

    Returns:
        (h, w, bands), in the order of the file and with its type of numbers. Of a TIFF with a palette its colours.

    Raises:
        UnusableError: It cannot be read.
    """
    try:
        import rasterio
    except ImportError:
        return _with_opencv(path, 'tiff_needs_rasterio')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            # Of other formats some name further files, which a data set has no right to have read.
            with rasterio.open(path, driver='GTiff') as file:
                check_pixels(file.width, file.height)
                if file.colorinterp[0] == rasterio.enums.ColorInterp.palette:
                    return _with_opencv(path, 'picture_damaged')
                bands = np.moveaxis(file.read(), 0, 2)
    except UnusableError:
        raise
    except (rasterio.errors.RasterioError, OSError, ValueError, MemoryError) as error:
        if path.is_file() and path.stat().st_size:
            raise UnusableError('picture_unreadable', reason=Words('picture_damaged')) from error
        raise UnusableError('picture_unreadable', reason=picture_cause(error, path)) from error
    if bands.dtype.kind not in 'uif':
        raise UnusableError('tiff_numbers', kind=bands.dtype)
    return bands


def check_pixels(width: int, height: int) -> None:
    """Reject a picture of more pixels than are decoded: a small file may stand for more than any memory holds.

    Args:
        width: Of the picture, as the head of its file says.
        height: Likewise.

    Raises:
        UnusableError: It has too many.
    """
    if width * height > MAX_PIXELS:
        reason = Words('picture_too_large', width=width, height=height, most=f'{MAX_PIXELS:,}')
        raise UnusableError('picture_unreadable', reason=reason)


def _with_opencv(path: Path, reason: str) -> np.ndarray:
    bands = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    try:
        with any_image_size(), Image.open(path) as image:
            count = image.tag_v2.get(SAMPLES_PER_PIXEL, 1)  # type: ignore[attr-defined]
            has_palette = image.mode == 'P'
    except (OSError, SyntaxError, ValueError, AttributeError):
        count, has_palette = None, False
    if bands is None or not has_palette and count not in (None, 1 if bands.ndim == 2 else bands.shape[2]):
        raise UnusableError('picture_unreadable', reason=Words(reason))
    bands = bands[:, :, None] if bands.ndim == 2 else bands
    return bands[:, :, [2, 1, 0, *range(3, bands.shape[2])]] if bands.shape[2] >= 3 else bands


def stretch(bands: np.ndarray) -> np.ndarray:
    """Cut a picture to three bands of 8 bits.

    Args:
        bands: (h, w, bands) of any numbers; one or two bands give grey.

    Returns:
        (h, w, 3) uint8; bands that had 8 bits keep their values.
    """
    chosen = bands[:, :, :3] if bands.shape[2] >= 3 else bands[:, :, [0, 0, 0]]
    if chosen.dtype == np.uint8:
        return np.ascontiguousarray(chosen)
    values = chosen.astype(np.float64)
    return to_eight_bits(values, limits_of(values))


def limits_of(values: np.ndarray) -> list[tuple[float, float]]:
    """Return the values of each band that become 0 and 255; equal ones where the band holds one value only.

    Args:
        values: (h, w, bands) floating point; what is not finite does not count.
    """
    limits = []
    for band in range(values.shape[2]):
        plane = values[:, :, band][np.isfinite(values[:, :, band])]
        low, high = np.percentile(plane, (DARKEST, BRIGHTEST)) if plane.size else (0.0, 0.0)
        if high <= low and plane.size:
            low, high = plane.min(), plane.max()
        limits.append((float(low), float(high)))
    return limits


def to_eight_bits(values: np.ndarray, limits: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return (h, w, bands) uint8.

    Args:
        values: (h, w, bands) of any numbers; what is not finite becomes 0.
        limits: Of each band, as `limits_of` gives them.
    """
    result = np.zeros(values.shape, np.uint8)
    for band, (low, high) in enumerate(limits):
        if high > low:
            scaled = (values[:, :, band].astype(np.float64) - low) * (255 / (high - low))
            result[:, :, band] = np.clip(np.where(np.isfinite(scaled), scaled, 0), 0, 255).round()
    return result
