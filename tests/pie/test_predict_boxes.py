"""Detection in large pictures: each object once, wherever tiles cut it, and at its place on Earth."""

import json

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform

from pie.geojson import box_features, write_geojson
from pie.merge_boxes import join_tiles
from pie.metrics import Boxes
from pie.predict_boxes import predict_boxes
from pie.scene import Place, Scene
from pie.texts import PieError
from pie.tiles import Grid
from tests.pie.large_pictures import LABELS, ROTATED, UTM, RedSquares, write_tiff

# x1, y1, x2, y2: within a tile, over the borders of two and of four, at the border of the picture, larger than a tile.
SQUARES = [
    (10, 10, 30, 25),
    (88, 20, 110, 40),
    (85, 90, 105, 112),
    (380, 280, 400, 300),
    (130, 150, 290, 175),
    (300, 20, 330, 210),
    (0, 200, 12, 214),
    (195, 60, 197, 63),
]


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    bands = np.full((3, 300, 400), 90, np.uint8)
    for x1, y1, x2, y2 in SQUARES:
        bands[0, y1:y2, x1:x2], bands[1:, y1:y2, x1:x2] = 255, 0
    with Scene(write_tiff(tmp_path_factory.mktemp('scene') / 'x.tif', bands)) as opened:
        yield opened


@pytest.mark.parametrize('tile, overlap', [((96, 96), 32), ((128, 128), 32), ((160, 96), 32), ((416, 320), 0)])
def test_each_object_once_whatever_the_tiles(scene, tile, overlap):
    detector = RedSquares()
    found = predict_boxes(scene, detector, Grid(scene.size, tile, overlap))
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(SQUARES)
    assert list(found.scores) == sorted(found.scores, reverse=True) and set(detector.seen) == {(*tile[::-1], 3)}


def test_boxes_that_differ_a_little_between_tiles(scene):
    found = predict_boxes(scene, RedSquares(shift=0.7), Grid(scene.size, (96, 96), 32))
    assert len(found.boxes) == len(SQUARES)


def test_parts_without_data_are_not_predicted(tmp_path):
    bands = np.zeros((3, 300, 400), np.uint8)
    bands[:, :50, :50] = 90
    detector = RedSquares()
    with Scene(write_tiff(tmp_path / 'x.tif', bands, nodata=0)) as opened:
        found = predict_boxes(opened, detector, Grid(opened.size, (96, 96), 32))
    assert len(detector.seen) == 1 and found.boxes.shape == (0, 4)


def test_whole_boxes_come_before_surer_ones_that_are_cut():
    windows = np.array([[0, 0, 100, 100], [70, 0, 170, 100]], float)
    boxes = np.array([[60, 10, 100, 40], [74, 10, 110, 40]], float)  # the first is cut, the second is whole
    found = join_tiles(Boxes(boxes, np.zeros(2, int), np.array([0.9, 0.5])), windows, (170, 100), 0.65)
    assert found.boxes.tolist() == [[74, 10, 110, 40]] and found.scores.tolist() == [0.5]


def test_other_classes_and_boxes_of_one_tile_stay():
    windows = np.array([[0, 0, 100, 100]] * 2 + [[70, 0, 170, 100]], float)
    boxes = np.array([[75, 10, 95, 40], [75, 10, 95, 41], [75, 10, 95, 40]], float)
    found = join_tiles(Boxes(boxes, np.array([0, 0, 1]), np.array([0.9, 0.8, 0.7])), windows, (170, 100), 0.65)
    assert len(found.boxes) == 3


def test_many_boxes_are_joined_like_few():
    """Against all pairs at once: a grid of objects, each seen by up to four tiles."""
    objects = np.array([(x, y, x + 9, y + 9) for x in range(0, 390, 13) for y in range(0, 390, 13)], float)
    boxes, windows = [], []
    for block in Grid((400, 400), (128, 128), 32):
        for seen, _ in block.tiles:
            cut = np.clip(objects, np.array(seen[:2] * 2), np.array(seen[2:] * 2))
            here = (cut[:, 2:] - cut[:, :2]).prod(axis=1) > 20
            boxes.append(cut[here])
            windows.append(np.tile(np.array(seen, float), (here.sum(), 1)))
    joined = np.concatenate(boxes)
    scores = np.random.default_rng(0).random(len(joined))
    found = join_tiles(Boxes(joined, np.zeros(len(joined), int), scores), np.concatenate(windows), (400, 400), 0.65)
    assert sorted(map(tuple, found.boxes)) == sorted(map(tuple, objects)) and len(joined) > 1.5 * len(objects)


BOX = Boxes(np.array([[10.0, 20.0, 30.0, 50.0]]), np.array([1]), np.array([0.75]))


def written(path, place, boxes=BOX):
    write_geojson(path, box_features(boxes, LABELS), place)
    content = json.loads(path.read_text(encoding='utf-8'))
    assert content['type'] == 'FeatureCollection' and 'crs' not in content
    return content['features']


def signed_area(ring):
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, ring[1:])) / 2


@pytest.mark.parametrize('matrix', [ROTATED, Affine(0.5, 0, 500000, 0, 0.5, 4400000), Affine(0, 2, 5e5, 2, 0, 44e5)])
def test_corners_on_earth(tmp_path, matrix):
    """Degrees, longitude first, the ring closed and counterclockwise, also for a picture that is turned."""
    (feature,) = written(tmp_path / 'x.geojson', Place(matrix, CRS.from_string(UTM)))
    (ring,) = feature['geometry']['coordinates']
    assert feature['geometry']['type'] == 'Polygon' and ring[0] == ring[-1] and len(ring) == 5 and signed_area(ring) > 0
    xs, ys = transform('EPSG:4326', UTM, *zip(*ring))
    columns, rows = zip(*(~matrix @ point for point in zip(xs, ys)))
    corners = {(round(column, 2), round(row, 2)) for column, row in zip(columns, rows)}
    assert corners == {(10, 20), (30, 20), (30, 50), (10, 50)} and 115 < ring[0][0] < 120 and 38 < ring[0][1] < 41
    assert feature['properties'] == {
        'class_name': 'road',
        'class_value': 255,
        'class_title': '',
        'score': 0.75,
        'pixels': [10, 20, 30, 50],
    }


def test_without_projection_coordinates_are_those_of_the_picture(tmp_path):
    (feature,) = written(tmp_path / 'x.geojson', Place(Affine.identity()))
    assert {tuple(point) for point in feature['geometry']['coordinates'][0]} == {(10, 20), (30, 20), (30, 50), (10, 50)}
    (feature,) = written(tmp_path / 'x.geojson', Place(Affine(2, 0, 100, 0, -2, 1000)))
    (ring,) = feature['geometry']['coordinates']
    assert {tuple(point) for point in ring} == {(120, 960), (160, 960), (160, 900), (120, 900)} and signed_area(
        ring
    ) > 0


def test_over_the_antimeridian_a_box_is_cut(tmp_path):
    (feature,) = written(
        tmp_path / 'x.geojson', Place(Affine(100, 0, 832000, 0, -100, 10000), CRS.from_string('EPSG:32660'))
    )
    assert feature['geometry']['type'] == 'MultiPolygon'
    longitudes = [point[0] for polygon in feature['geometry']['coordinates'] for point in polygon[0]]
    assert min(longitudes) == -180 and max(longitudes) == 180
    assert all(signed_area(polygon[0]) > 0 for polygon in feature['geometry']['coordinates'])


def test_a_projection_without_degrees(tmp_path):
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    with pytest.raises(PieError, match='have no degrees'):
        written(tmp_path / 'x.geojson', Place(ROTATED, local))
    with pytest.raises(PieError, match='have no degrees'):
        written(tmp_path / 'x.geojson', Place(Affine(1e20, 0, 1e30, 0, 1, 0), CRS.from_string(UTM)))
    assert not list(tmp_path.iterdir())
