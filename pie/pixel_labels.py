"""Label pictures: from pixel values or colours to training values, and back to colours (contract section 5).

The training value of a class is its position in the list. A picture of one band holds class_value, one of three bands
class_color; what is not in the list becomes 0.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmyolo.utils.coco_file import any_image_size
from pie.causes import picture_cause
from pie.labels import Label
from pie.raster import RASTER_SUFFIXES, check_pixels, read_bands
from pie.texts import UnusableError


def read_label(path: Path, labels: Sequence[Label]) -> tuple[np.ndarray, list[str]]:
    """Read a label picture.

    Args:
        path: PNG, TIFF, BMP or JPEG.
        labels: The classes.

    Returns:
        (h, w) uint8 training values, and the values or colours that are not in the list.

    Raises:
        UnusableError: It cannot be read.
    """
    bands, palette = _read(path)
    if bands.shape[2] < 3:
        indices, known = _by_value(bands[:, :, 0], labels)
        if palette is not None and not known.all():  # a picture with a palette may hold colours after all
            by_color, known_color = _by_color(palette, labels)
            if known_color.all():
                return by_color, []
        return indices, _names(bands[:, :, :1][~known])
    colors = bands[:, :, :3]
    indices, known = _by_color(colors, labels)
    is_grey = (colors == colors[:, :, :1]).all()
    if is_grey and not known.all():  # values, written three times
        by_value, known_value = _by_value(colors[:, :, 0], labels)
        if known_value.all():
            return by_value, []
    return indices, _names(colors[~known])


def paint(indices: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """Return a picture in the colours of the classes.

    Args:
        indices: (h, w) training values.
        labels: The classes.

    Returns:
        (h, w, 3) uint8, BGR as OpenCV writes it.
    """
    return np.array([one.color[::-1] for one in labels], np.uint8)[indices]


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (h, w, bands), and the colours of a picture whose values are places in a palette."""
    if path.suffix.lower() in RASTER_SUFFIXES:
        return read_bands(path), None
    try:
        with any_image_size(), Image.open(path) as image:
            check_pixels(*image.size)
            if image.mode == 'P':
                return np.asarray(image)[:, :, None], np.asarray(image.convert('RGB'))
            if image.mode in ('1', 'LA', 'CMYK', 'YCbCr'):
                image = image.convert('L' if image.mode in ('1', 'LA') else 'RGB')
            bands = np.asarray(image)
    except UnusableError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise UnusableError('picture_unreadable', reason=picture_cause(error, path)) from error
    return bands[:, :, None] if bands.ndim == 2 else bands, None


def _by_value(values: np.ndarray, labels: Sequence[Label]) -> tuple[np.ndarray, np.ndarray]:
    indices, known = np.zeros(values.shape, np.uint8), np.zeros(values.shape, bool)
    for index, label in enumerate(labels):
        found = values == label.value
        indices[found] = index
        known |= found
    return indices, known


def _by_color(colors: np.ndarray, labels: Sequence[Label]) -> tuple[np.ndarray, np.ndarray]:
    codes = _codes(colors)
    indices, known = np.zeros(codes.shape, np.uint8), np.zeros(codes.shape, bool)
    for index, label in enumerate(labels):
        found = codes == _codes(np.array(label.color))
        indices[found] = index
        known |= found
    return indices, known


def _codes(colors: np.ndarray) -> np.ndarray:
    return colors.astype(np.int64) @ np.array([65536, 256, 1])


def _names(values: np.ndarray) -> list[str]:
    return (
        [','.join(map(str, row)) for row in np.unique(values.reshape(-1, values.shape[-1]), axis=0)]
        if len(values)
        else []
    )
