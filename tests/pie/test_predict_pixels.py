"""Prediction of pixels in large pictures, with networks whose result can be worked out."""

import json

import cv2
import numpy as np
import pytest
import rasterio
import torch
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from pie.geojson import class_features, write_geojson
from pie.labels import read_labels
from pie.pixel_input import normalised
from pie.predict_pixels import PixelPredictor, free_value, polygons_of, predict_pixels
from pie.raster import stretch
from pie.scene import Scene, check_pair
from pie.texts import PieError
from pie.tiles import Grid, Window
from tests.pie.large_pictures import LABELS, ROTATED, UTM, Difference, Threshold, smooth, write_tiff

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
VALUES = np.array([0, 255, 7])


def predicted(paths, target, network=None, tile=(64, 64), overlap=32, labels=LABELS, bands=1):
    scenes = [Scene(path) for path in paths]
    predictor = PixelPredictor(network or Threshold(), tile)
    counts = predict_pixels(scenes, predictor, Grid(scenes[0].size, tile, overlap), labels, target, bands)
    for scene in scenes:
        scene.__exit__()
    with rasterio.open(target) as file:
        return file.read(), file.profile, counts


def untiled(picture, network=None):
    """The network on the whole picture (h, w, 3)."""
    with torch.inference_mode():
        return (network or Threshold())(normalised(picture[None, None]))[0].argmax(dim=0).numpy()


@pytest.fixture(scope='module')
def picture():
    return smooth(210, 330).astype(np.uint8)


@pytest.mark.parametrize('tile, overlap', [((64, 64), 32), ((96, 128), 32), ((160, 160), 64), ((352, 224), 32)])
def test_tiles_do_not_show(picture, tmp_path, tile, overlap):
    """A network that sees 2 pixels around gives the same in tiles as in the whole picture."""
    path = write_tiff(tmp_path / 'x.tif', picture)
    found, profile, counts = predicted([path], tmp_path / 'y.tif', tile=tile, overlap=overlap)
    wanted = untiled(np.moveaxis(picture, 0, 2))
    differs = found[0] != VALUES[wanted]
    if tile[0] > 330:  # what mirrors the picture lies beyond its borders
        differs = differs[:-2, :-2]
    assert not differs.any() and set(np.unique(wanted)) == {0, 1, 2}
    assert profile['transform'] == ROTATED and profile['crs'] == UTM and profile['nodata'] is None
    assert counts.sum() == 210 * 330 and counts[1] == (found[0] == 255).sum()


def test_without_overlap_they_would_show(picture, tmp_path):
    found, *_ = predicted([write_tiff(tmp_path / 'x.tif', picture)], tmp_path / 'y.tif', Threshold(31), overlap=0)
    assert (found[0] != VALUES[untiled(np.moveaxis(picture, 0, 2), Threshold(31))]).any()


def test_the_file_that_is_written(picture, tmp_path):
    _, profile, _ = predicted([write_tiff(tmp_path / 'x.tif', picture)], tmp_path / 'y.tif')
    assert (profile['dtype'], profile['compress'], profile['tiled'], profile['count']) == ('uint8', 'deflate', True, 1)
    with rasterio.open(tmp_path / 'y.tif') as file:
        assert [file.colormap(1)[value][:3] for value in VALUES] == [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
        assert file.tags(1)['class_7'] == 'water'
    colors, profile, _ = predicted([tmp_path / 'x.tif'], tmp_path / 'z.tif', bands=3)
    values, *_ = predicted([tmp_path / 'x.tif'], tmp_path / 'y.tif')
    assert profile['count'] == 3 and (colors[0] == np.where(values[0] == 255, 255, 0)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['x.tif', 'y.tif', 'z.tif']  # nothing half written


def test_large_values_and_free_ones(picture, tmp_path):
    labels = read_labels([dict(class_name=str(value), class_value=value, class_color='1,2,3') for value in (0, 300, 9)])
    found, profile, _ = predicted([write_tiff(tmp_path / 'x.tif', picture)], tmp_path / 'y.tif', labels=labels)
    assert profile['dtype'] == 'uint16' and set(np.unique(found)) == {0, 9, 300}
    assert free_value(labels) == 65535 and free_value(LABELS) == 254


@pytest.mark.parametrize('nodata, kind', [(0, 'uint16'), (-9999, 'float32'), (np.nan, 'float32'), (None, 'float32')])
def test_pixels_without_data_stay_without(tmp_path, nodata, kind):
    bands = (smooth(100, 120, high=3000) + 1).astype(kind)
    hole = (slice(None), slice(20, 50), slice(30, 90))
    bands[hole] = np.nan if nodata is None else nodata
    found, profile, counts = predicted([write_tiff(tmp_path / 'x.tif', bands, nodata=nodata)], tmp_path / 'y.tif')
    assert profile['nodata'] == 254 and ((found[0] == 254) == (bands[0] != bands[0]) | (bands[0] == nodata)).all()
    assert counts.sum() == 100 * 120 - 30 * 60


def test_the_stretch_is_that_of_training_and_of_the_whole_picture(tmp_path):
    """Tile by tile, the values are those that a training picture of the same size would have had."""
    bands = smooth(150, 200, 5, high=4000).astype(np.uint16)
    path = write_tiff(tmp_path / 'x.tif', bands)
    wanted = stretch(np.moveaxis(bands, 0, 2))
    with Scene(path) as scene:
        for window in (Window(0, 0, 200, 150), Window(0, 0, 64, 64), Window(130, 80, 194, 144)):
            assert (scene.read(window) == wanted[window.top : window.bottom, window.left : window.right]).all()
    found, *_ = predicted([path], tmp_path / 'y.tif')
    assert (found[0] == VALUES[untiled(wanted)]).all()


def test_pictures_of_other_kinds(picture, tmp_path):
    """PNG, JPEG, grey, palettes, four bands: what a network sees is what training reads from them."""
    rgb = np.ascontiguousarray(np.moveaxis(picture, 0, 2))
    for name in ('x.png', 'x.jpg', 'x.bmp', 'x.tif'):
        cv2.imwrite(str(tmp_path / name), rgb[:, :, ::-1])
        with Scene(tmp_path / name) as scene:
            assert not scene.place.is_known
            read = scene.read(Window(0, 0, 330, 210))
        assert (read == cv2.imread(str(tmp_path / name))[:, :, ::-1]).all()
    cv2.imwrite(str(tmp_path / 'deep.png'), rgb.astype(np.uint16) * 257)
    with Scene(tmp_path / 'deep.png') as scene:
        assert (scene.read(Window(0, 0, 330, 210)) == cv2.imread(str(tmp_path / 'deep.png'))[:, :, ::-1]).all()
    write_tiff(tmp_path / 'grey.tif', picture[:1], crs=None, transform=None)
    write_tiff(tmp_path / 'four.tif', np.concatenate([picture, picture[:1]]))
    with Scene(tmp_path / 'grey.tif') as scene:
        assert (scene.read(Window(5, 5, 9, 9)) == picture[0, 5:9, 5:9, None]).all()
    with Scene(tmp_path / 'four.tif') as scene:
        assert (scene.read(Window(5, 5, 9, 9)) == rgb[5:9, 5:9]).all()
    write_tiff(tmp_path / 'palette.tif', (picture[:1] > 99).astype(np.uint8), photometric='palette')
    with rasterio.open(tmp_path / 'palette.tif', 'r+') as file:
        file.write_colormap(1, {0: (1, 2, 3), 1: (200, 100, 50)})
    with Scene(tmp_path / 'palette.tif') as scene:
        read = scene.read(Window(0, 0, 330, 210))
    assert (read == np.where(picture[0, :, :, None] > 99, (200, 100, 50), (1, 2, 3))).all()
    found, profile, _ = predicted([tmp_path / 'x.png'], tmp_path / 'y.tif')
    assert (found[0] == VALUES[untiled(rgb)]).all() and profile['crs'] is None


def test_a_picture_smaller_than_a_tile_is_mirrored(tmp_path):
    rows = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)
    with Scene(write_tiff(tmp_path / 'x.tif', rows)) as scene:
        read = scene.read(Window(0, 0, 32, 32))
    assert read.shape == (32, 32, 3) and (read[:5, :4] == np.moveaxis(rows, 0, 2)).all()
    assert (read[:5, 4:8] == read[:5, 3::-1]).all() and (read[5:10] == read[4::-1]).all()


def test_control_points_are_kept(picture, tmp_path):
    corners = ((0, 0), (0, 330), (210, 0), (210, 330))
    points = [GroundControlPoint(row, column, *(ROTATED @ (column, row))) for row, column in corners]
    path = write_tiff(tmp_path / 'x.tif', picture, transform=None, gcps=points)
    predicted([path], tmp_path / 'y.tif')
    with rasterio.open(tmp_path / 'y.tif') as file, Scene(path) as scene:
        found, crs = file.gcps
        assert crs == UTM and [(one.row, one.x) for one in found] == [(one.row, one.x) for one in points]
        assert scene.place.to_world.almost_equals(ROTATED, 1e-3)


def test_a_change_is_found_where_it_is(picture, tmp_path):
    after = picture.copy()
    after[0, 60:100, 150:220] = 255 - after[0, 60:100, 150:220] // 4
    paths = [write_tiff(tmp_path / f'{name}.tif', bands) for name, bands in (('A', picture), ('B', after))]
    labels = LABELS[:2]
    found, *_ = predicted(paths, tmp_path / 'y.tif', Difference(), labels=labels)
    wanted = np.abs(picture[0].astype(int) - after[0]) > 30
    assert wanted.any() and ((found[0] == 255) == wanted).all()


@pytest.mark.parametrize(
    'change, words',
    [
        ({'rows': 209}, 'differ in size: .* has 330 x 210, .* 330 x 209'),
        ({'crs': 'EPSG:32651'}, 'differ in projection: .*EPSG:32650.*EPSG:32651'),
        ({'transform': ROTATED @ Affine.translation(2, 0)}, 'lie 2.0 pixels apart'),
        ({'transform': ROTATED @ Affine.translation(0.3, 0.3)}, ''),
        ({'crs': None, 'transform': None}, ''),
    ],
)
def test_pairs_that_do_not_fit(picture, tmp_path, change, words):
    rows = change.pop('rows', 210)
    paths = write_tiff(tmp_path / 'A.tif', picture), write_tiff(tmp_path / 'B.tif', picture[:, :rows], **change)
    with Scene(paths[0]) as first, Scene(paths[1]) as second:
        if not words:
            check_pair(first, second)
            return
        with pytest.raises(PieError, match=words):
            check_pair(first, second)


def test_polygons_cover_what_was_predicted(tmp_path):
    """Outlines of the connected parts, in degrees; burnt back they give the same picture."""
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    bands = np.full((3, 96, 128), 128, np.uint8)
    bands[:, 20:60, 30:70], bands[:, 35:45, 45:55], bands[:, 70:90, 5:100] = 255, 128, 0
    path = write_tiff(tmp_path / 'x.tif', bands)
    found, *_ = predicted([path], tmp_path / 'y.tif', Threshold(1))
    with Scene(path) as scene:
        count = write_geojson(
            tmp_path / 'z.geojson', class_features(polygons_of(tmp_path / 'y.tif'), LABELS), scene.place
        )
    content = json.loads((tmp_path / 'z.geojson').read_text())
    features = content['features']
    assert count == len(features) == 2 and {one['properties']['class_name'] for one in features} == {'road', 'water'}
    rings = {one['properties']['class_value']: one['geometry']['coordinates'] for one in features}
    assert len(rings[255]) == 2 and len(rings[7]) == 1  # a hole
    back = transform_geom('EPSG:4326', UTM, [one['geometry'] for one in features])
    pixels = [
        {'type': 'Polygon', 'coordinates': [[~ROTATED @ point for point in ring] for ring in one['coordinates']]}
        for one in back
    ]
    shapes = zip(pixels, (one['properties']['class_value'] for one in features))
    assert (rasterize(shapes, (96, 128)) == found[0]).all()


def test_numbers_that_are_not_real(tmp_path):
    path = write_tiff(tmp_path / 'x.tif', np.zeros((1, 8, 8), np.complex64))
    with pytest.raises(PieError, match='a TIFF of complex64; whole or real numbers are needed'):
        Scene(path)
