"""A picture to predict, read part by part: GeoTIFF and what else has no need to fit into memory, and plain pictures.

Parts are what the network was trained on: three bands of 8 bits, stretched where the picture has more bits. What is
stretched to is found once for the whole picture, so neighbouring parts fit together.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine, from_gcps
from rasterio.windows import Window as RasterWindow

from mmyolo.datasets.transforms.loading import decode_image
from mmyolo.errors import UnreadableImageError
from pie.causes import file_cause
from pie.raster import limits_of, to_eight_bits
from pie.texts import PieError, Words
from pie.tiles import Window

PLAIN_DRIVERS = ('PNG', 'JPEG', 'BMP')  # read whole, as in training
# First bytes of a file -> the driver of GDAL. None of these formats leads to another file or address, as others do.
DRIVERS = {
    b'II*\0': 'GTiff',
    b'MM\0*': 'GTiff',
    b'II+\0': 'GTiff',
    b'MM\0+': 'GTiff',
    b'EHFA_HEADER_TAG': 'HFA',
    b'\0\0\0\x0cjP  ': 'JP2OpenJPEG',
    b'\x89PNG': 'PNG',
    b'\xff\xd8\xff': 'JPEG',
    b'BM': 'BMP',
}
OVERVIEW = 1024  # pixels of the longest side of what limits are measured on
CACHE_MEGABYTES = 256  # that GDAL keeps of files, whatever their size
SAME_PLACE = 0.5  # pixels by which the corners of two pictures may differ


@contextmanager
def open_environment() -> Iterator[None]:
    """Have GDAL read and write pictures with little memory, and without a warning for those without place."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES):
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        yield


@dataclass(frozen=True)
class Place:
    """Where on Earth a picture is.

    Args:
        transform: From (column, row) to coordinates.
        crs: What the coordinates mean; None if that is not known.
        gcps: Control points, of a picture without transform.
        rpcs: Coefficients of a satellite's camera, of a picture without transform.
    """

    transform: Affine
    crs: Any = None
    gcps: Any = None
    rpcs: Any = None

    @property
    def is_known(self) -> bool:
        return self.transform != Affine.identity() or self.crs is not None

    @property
    def to_world(self) -> Affine:
        """From (column, row) to coordinates, also for a picture with control points."""
        return from_gcps(self.gcps) if self.gcps and self.transform == Affine.identity() else self.transform

    def profile(self) -> dict[str, Any]:
        """Return what a GeoTIFF of the same place is opened with."""
        if self.gcps and self.transform == Affine.identity():
            return {'gcps': self.gcps, 'crs': self.crs}
        found = {'transform': self.transform} if self.is_known else {}
        return {**found, **({'crs': self.crs} if self.crs else {}), **({'rpcs': self.rpcs} if self.rpcs else {})}


class Scene:
    """A picture.

    Args:
        path: A local file.

    Attributes:
        size: (width, height).
        place: Where it is.
        has_gaps: Whether pixels may hold no data.

    Raises:
        PieError: It is no picture that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open('rb') as opened:
                start = opened.read(16)
        except FileNotFoundError as error:
            raise PieError('image_absent', path=path) from error
        except OSError as error:
            raise PieError('image_unreadable', path=path, reason=file_cause(error)) from error
        driver = next((name for first, name in DRIVERS.items() if start.startswith(first)), None)
        if driver is None:
            raise PieError('image_unreadable', path=path, reason=Words('picture_unknown' if start else 'file_empty'))
        try:
            self._file = rasterio.open(path, driver=driver)
        except RasterioError as error:
            raise PieError('image_unreadable', path=path, reason=Words('picture_damaged')) from error
        file = self._file
        if not file.dtypes[0].startswith(('uint', 'int', 'float')):
            raise PieError('image_unreadable', path=path, reason=Words('tiff_numbers', kind=file.dtypes[0]))
        self._bands = [1, 2, 3] if file.count >= 3 else [1]
        gcps, gcps_crs = file.gcps
        self.place = Place(file.transform, file.crs or gcps_crs, gcps or None, file.rpcs)
        self.size = file.width, file.height
        self._palette = _palette_of(file)
        self._pixels = self._read_plain() if file.driver in PLAIN_DRIVERS else None
        flags = [MaskFlags.all_valid in file.mask_flag_enums[band - 1] for band in self._bands]
        self._has_mask = self._pixels is None and not all(flags)
        self._is_float = np.dtype(file.dtypes[0]).kind == 'f'
        self.has_gaps = self._has_mask or self._is_float
        self._limits = None
        if self._pixels is None and self._palette is None and file.dtypes[0] != 'uint8':
            self._limits = self._measure()

    def __enter__(self) -> 'Scene':
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, window: Window) -> np.ndarray:
        """Return (h, w, 3) uint8 RGB of a part; what lies beyond the picture mirrors it.

        Raises:
            PieError: The file is damaged.
        """
        inside, before, after = self._inside(window)
        if self._pixels is not None:
            part = self._pixels[inside.top : inside.bottom, inside.left : inside.right]
        else:
            part = self._eight_bits(self._read_bands(inside))
        if before == after == (0, 0):
            return part
        return _mirrored(part, before, after)

    def valid(self, window: Window) -> np.ndarray | None:
        """Return which pixels of a part, that lies within the picture, hold data, (h, w) bool; None for all."""
        if not self.has_gaps:
            return None
        valid = np.ones((window.height, window.width), bool)
        if self._has_mask:
            valid &= self._masks(window)
        if self._is_float:
            valid &= np.isfinite(self._read_bands(window)).any(axis=2)
        return None if valid.all() else valid

    def overview(self, longest: int) -> np.ndarray:
        """Return the whole picture, (h, w, 3) uint8 RGB, with sides of at most `longest` pixels."""
        shape = self._reduced(longest)
        if self._pixels is not None:
            import cv2

            return cv2.resize(self._pixels, shape[::-1], interpolation=cv2.INTER_AREA)
        return self._eight_bits(self._read_bands(None, shape))

    def _reduced(self, longest: int) -> tuple[int, int]:
        scale = min(longest / max(self.size), 1)
        return max(round(self.size[1] * scale), 1), max(round(self.size[0] * scale), 1)

    def _read_plain(self) -> np.ndarray:
        try:
            pixels = decode_image(self.path.read_bytes(), self.path)[:, :, ::-1]
        except UnreadableImageError as error:
            raise PieError('image_unreadable', path=self.path, reason=Words('picture_damaged')) from error
        if pixels.shape[1::-1] != self.size:  # turned, as the camera says
            self.place, self.size = Place(Affine.identity()), pixels.shape[1::-1]
        return pixels

    def _measure(self) -> list[tuple[float, float]]:
        shape = self._reduced(OVERVIEW)
        values = self._read_bands(None, shape).astype(np.float64)
        if self._has_mask:
            masks = self._guarded(lambda: self._file.read_masks(self._bands, out_shape=(len(self._bands), *shape)))
            values[~masks.any(axis=0)] = np.nan
        return limits_of(values)

    def _eight_bits(self, bands: np.ndarray) -> np.ndarray:
        if self._palette is not None:
            return self._palette[np.clip(bands[:, :, 0], 0, len(self._palette) - 1)]
        if self._limits is not None:
            bands = to_eight_bits(bands, self._limits)
        return bands if bands.shape[2] == 3 else np.repeat(bands, 3, axis=2)

    def _read_bands(self, window: Window | None, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Return (h, w, 1 or 3), in the numbers of the file."""
        place = None if window is None else RasterWindow(window.left, window.top, window.width, window.height)
        wanted = None if shape is None else (len(self._bands), *shape)
        bands = self._guarded(
            lambda: self._file.read(self._bands, window=place, out_shape=wanted, resampling=Resampling.nearest)
        )
        return np.ascontiguousarray(np.moveaxis(bands, 0, 2))

    def _masks(self, window: Window) -> np.ndarray:
        place = RasterWindow(window.left, window.top, window.width, window.height)
        return self._guarded(lambda: self._file.read_masks(self._bands, window=place)).any(axis=0)

    def _guarded(self, read: Any) -> np.ndarray:
        try:
            return read()
        except RasterioError as error:
            raise PieError('image_unreadable', path=self.path, reason=Words('picture_damaged')) from error

    def _inside(self, window: Window) -> tuple[Window, tuple[int, int], tuple[int, int]]:
        """Return what of a part lies in the picture, and how many columns and rows lie before and after it."""
        width, height = self.size
        inside = Window(max(window.left, 0), max(window.top, 0), min(window.right, width), min(window.bottom, height))
        before = inside.left - window.left, inside.top - window.top
        return inside, before, (window.right - inside.right, window.bottom - inside.bottom)


def check_pair(first: Scene, second: Scene) -> None:
    """Check that two pictures show the same place, pixel by pixel.

    Raises:
        PieError: Their sizes, their projections or their places differ.
    """
    paths = {'first': first.path, 'second': second.path}
    if first.size != second.size:
        sizes = ['{} x {}'.format(*one.size) for one in (first, second)]
        raise PieError('pair_sizes', **paths, first_size=sizes[0], second_size=sizes[1])
    ours, theirs = first.place, second.place
    if ours.crs and theirs.crs and ours.crs != theirs.crs:
        raise PieError('pair_projections', **paths, first_crs=_name(ours.crs), second_crs=_name(theirs.crs))
    if not (ours.is_known and theirs.is_known):
        return
    width, height = first.size
    back, forth = ~ours.to_world, theirs.to_world
    shifts = [
        max(abs(found - wanted) for found, wanted in zip(_apply(back, _apply(forth, corner)), corner))
        for corner in ((0, 0), (width, 0), (0, height), (width, height))
    ]
    if max(shifts) > SAME_PLACE:
        raise PieError('pair_places', **paths, pixels=f'{max(shifts):.1f}')


def _apply(transform: Affine, point: tuple[float, float]) -> tuple[float, float]:
    x, y = point
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _mirrored(part: np.ndarray, before: tuple[int, int], after: tuple[int, int]) -> np.ndarray:
    rows, columns = (before[1], after[1]), (before[0], after[0])
    return np.pad(part, (rows, columns, (0, 0)), mode='symmetric')


def _palette_of(file: Any) -> np.ndarray | None:
    """Return (values, 3) uint8 of a picture whose values are places in a table of colours."""
    if file.count != 1 or file.colorinterp[0] != ColorInterp.palette:
        return None
    table = file.colormap(1)
    colors = np.zeros((max(table) + 1, 3), np.uint8)
    for value, color in table.items():
        colors[value] = color[:3]
    return colors


def _name(crs: Any) -> str:
    return crs.to_string()[:60]
