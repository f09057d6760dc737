"""Pictures of many bands and bits: every TIFF that GIS programs write is read, and becomes one of 8 bits."""

import sys
import warnings

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from mmyolo.utils.coco_file import image_size
from pie import pixel_labels
from pie.raster import plain_picture, read_bands, stretch
from pie.texts import UnusableError
from tests.damaged_images import png_of_size


def write(path, bands, **options):
    """Write (bands, h, w) as GDAL does."""
    count, height, width = bands.shape
    profile = dict(driver='GTiff', width=width, height=height, count=count, dtype=bands.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, 'w', **profile, **options) as file:
            file.write(bands)


@pytest.mark.parametrize('bands, dtype', [(1, np.uint8), (3, np.uint8)])
def test_a_plain_tiff_stays(bands, dtype, tmp_path):
    cv2.imwrite(str(tmp_path / 'x.tif'), np.zeros((20, 30, bands), dtype))
    assert plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png') == (tmp_path / 'x.tif', (30, 20))


@pytest.mark.parametrize('photometric, planar', [('rgb', 'pixel'), ('minisblack', 'pixel'), ('rgb', 'band')])
def test_three_bands_are_three_however_they_lie(photometric, planar, tmp_path):
    """OpenCV, with which a training reads, takes the first band of some."""
    bands = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    write(tmp_path / 'x.tif', bands, photometric=photometric, interleave=planar)
    path, _ = plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png')
    np.testing.assert_array_equal(cv2.imread(str(path))[:, :, ::-1], np.moveaxis(bands, 0, 2))


@pytest.mark.parametrize('planar', ['contig', 'separate'])
def test_many_bands_of_16_bits(planar, tmp_path):
    """Eight bands: the first three become red, green and blue, each stretched; the order shows in the colours."""
    ramp = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    bands = np.stack([ramp, ramp[::-1], np.zeros_like(ramp), *[ramp] * 5], axis=2)
    stacked = bands if planar == 'contig' else np.moveaxis(bands, 2, 0)
    tifffile.imwrite(tmp_path / 'x.tif', stacked, planarconfig=planar, photometric='minisblack')
    np.testing.assert_array_equal(read_bands(tmp_path / 'x.tif'), bands)
    path, size = plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png')
    assert path == tmp_path / 'y.png' and size == (50, 40)
    blue, green, red = cv2.split(cv2.imread(str(path)))
    assert (red[0, 0], red[-1, -1], green[0, -1], green[-1, 0], blue.max()) == (0, 255, 255, 0, 0)
    assert red[20, 0] == round((1000 - 39.98) * 255 / (1959.02 - 39.98))  # 2nd and 98th percentile of 0 to 1999
    written = path.stat().st_mtime_ns
    assert plain_picture(tmp_path / 'x.tif', path)[0].stat().st_mtime_ns == written  # not made twice


def test_four_bands_of_8_bits_keep_their_values(tmp_path):
    bands = np.zeros((4, 4, 4), np.uint8)
    bands[..., 0], bands[..., 3] = 200, 17
    tifffile.imwrite(tmp_path / 'x.tif', bands, photometric='rgb', extrasamples=['unspecified'])
    path, _ = plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png')
    assert cv2.imread(str(path))[0, 0].tolist() == [0, 0, 200]


def test_stretch_of_odd_numbers():
    values = np.array([[np.nan, 0, 1, np.inf]])[:, :, None]
    assert stretch(values)[0, :, 0].tolist() == [0, 0, 255, 0]
    assert not stretch(np.full((2, 2, 1), np.nan)).any()
    assert not stretch(np.full((2, 2, 5), 7, np.int16)).any()


@pytest.mark.parametrize('compress', ['lzw', 'deflate', 'packbits', 'zstd', None])
@pytest.mark.parametrize('dtype, count', [('uint8', 6), ('uint16', 5), ('int16', 4), ('float32', 7), ('uint8', 2)])
def test_compressed_bands(compress, dtype, count, tmp_path):
    """As GIS programs write them: tiled, compressed, with a predictor, band by band."""
    bands = np.random.default_rng(0).integers(0, 250, (count, 40, 70)).astype(dtype)
    predictor = dict(predictor=2, interleave='band') if compress in ('lzw', 'deflate') else {}
    write(tmp_path / 'x.tif', bands, tiled=True, blockxsize=32, blockysize=32, compress=compress, **predictor)
    np.testing.assert_array_equal(read_bands(tmp_path / 'x.tif'), np.moveaxis(bands, 0, 2))
    path, size = plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png')
    assert size == (70, 40) and image_size(path) == size


def test_a_tiff_with_a_palette_has_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), 'P')
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / 'x.tif')
    assert read_bands(tmp_path / 'x.tif').tolist() == [[[10, 20, 30], [40, 50, 60]]]


@pytest.mark.parametrize(
    'content, words',
    [
        (b'II*\0' + b'\1' * 30, 'it is damaged'),
        (b'', 'the file is empty'),
        (b'<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>', 'it is damaged'),  # it may name other files
    ],
)
def test_a_broken_tiff(content, words, tmp_path):
    (tmp_path / 'x.tif').write_bytes(content)
    with pytest.raises(UnusableError, match=f'not a readable picture: {words}'):
        plain_picture(tmp_path / 'x.tif', tmp_path / 'y.png')


def test_a_small_file_of_more_pixels_than_memory_holds(tmp_path):
    """As a picture and as a label: nothing of it is decoded."""
    profile = dict(driver='GTiff', width=60_000, height=60_000, count=8, dtype='float64')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        rasterio.open(tmp_path / 'x.tif', 'w', **profile, sparse_ok=True, tiled=True, BIGTIFF='YES').close()
    assert (tmp_path / 'x.tif').stat().st_size < 1 << 22
    (tmp_path / 'x.png').write_bytes(png_of_size(60_000, 60_000))
    for path in (tmp_path / 'x.tif', tmp_path / 'x.png'):
        with pytest.raises(UnusableError, match='it has 60000 x 60000 pixels; at most 1,073,741,824 are read'):
            pixel_labels._read(path)


def test_a_label_above_the_limit_of_pillow_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    Image.new('L', (30, 20), 3).save(tmp_path / 'x.png')
    values, colors = pixel_labels._read(tmp_path / 'x.png')
    assert values.shape == (20, 30, 1) and (values == 3).all() and colors is None
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_cut_tiff(tmp_path):
    write(tmp_path / 'x.tif', np.ones((5, 40, 50), np.uint16))
    (tmp_path / 'x.tif').write_bytes((tmp_path / 'x.tif').read_bytes()[:-100])
    with pytest.raises(UnusableError, match='it is damaged'):
        read_bands(tmp_path / 'x.tif')


def test_without_rasterio(tmp_path, monkeypatch):
    """OpenCV reads what it can; for the rest it is said what to install."""
    for count in (3, 5):
        bands = np.moveaxis(np.arange(40 * count, dtype=np.uint16).reshape(4, 10, count), 2, 0)
        write(tmp_path / f'{count}.tif', bands, photometric='rgb' if count == 3 else 'minisblack')
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    assert read_bands(tmp_path / '3.tif')[0, 1].tolist() == [3, 4, 5]
    with pytest.raises(UnusableError, match='install rasterio') as caught:
        read_bands(tmp_path / '5.tif')
    assert '请安装 rasterio' in caught.value.chinese
