"""GeoJSON (RFC 7946) of what was found: polygons in degrees of WGS 84, exterior rings counterclockwise.

Of a picture whose projection is not known the coordinates are its own: those of its transform, else columns and rows.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.transform import Affine
from rasterio.warp import transform_geom

from mmyolo.utils.files import replacing
from pie.labels import BACKGROUND, Label
from pie.metrics import Boxes
from pie.scene import Place
from pie.texts import PieError, warn

WGS84 = 'EPSG:4326'
DIGITS = 9  # a tenth of a millimetre, in degrees
AT_ONCE = 1000  # polygons that are transformed together

Geometry = dict[str, Any]


def write_geojson(path: Path, found: Iterable[tuple[Geometry, dict[str, Any]]], place: Place) -> int:
    """Write polygons.

    Args:
        path: The file; written whole or not at all.
        found: Polygons in columns and rows, and their properties.
        place: Where the picture is.

    Returns:
        How many there are.

    Raises:
        PieError: The projection has no way to degrees.
    """
    if place.crs is None:
        warn('no_projection', path=path.name)
    elif not (place.crs.is_geographic or place.crs.is_projected):
        raise PieError('no_degrees', crs=place.crs.to_string()[:80])
    count = 0
    with replacing(path) as temporary, temporary.open('w', encoding='utf-8') as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for geometry, properties in _on_earth(iter(found), place):
            feature = {'type': 'Feature', 'geometry': geometry, 'properties': properties}
            file.write((',\n' if count else '\n') + json.dumps(feature, ensure_ascii=False, allow_nan=False))
            count += 1
        file.write('\n]}\n')
    return count


def box_features(boxes: Boxes, labels: Sequence[Label]) -> Iterator[tuple[Geometry, dict[str, Any]]]:
    """Yield boxes as polygons.

    Args:
        boxes: In pixels of the picture.
        labels: Classes, in the order of the outputs.
    """
    for box, label, score in zip(boxes.boxes, boxes.labels, boxes.scores):
        x1, y1, x2, y2 = (round(float(value), 3) for value in box)
        ring = [(x1, y1), (x1, y2), (x2, y2), (x2, y1), (x1, y1)]
        properties = {
            **_class_properties(labels[int(label)]),
            'score': round(float(score), 4),
            'pixels': [x1, y1, x2, y2],
        }
        yield {'type': 'Polygon', 'coordinates': [ring]}, properties


def class_features(
    found: Iterable[tuple[int, Geometry]], labels: Sequence[Label]
) -> Iterator[tuple[Geometry, dict[str, Any]]]:
    """Yield polygons of all classes but the background.

    Args:
        found: class_value and polygon, in columns and rows.
        labels: Classes.
    """
    known = {one.value: one for one in labels if one.name.lower() != BACKGROUND}
    for value, geometry in found:
        if value in known:
            yield geometry, _class_properties(known[value])


def _class_properties(label: Label) -> dict[str, Any]:
    return {'class_name': label.name, 'class_value': label.value, 'class_title': label.title}


def _on_earth(
    found: Iterator[tuple[Geometry, dict[str, Any]]], place: Place
) -> Iterator[tuple[Geometry, dict[str, Any]]]:
    to_world = place.to_world
    while batch := list(islice(found, AT_ONCE)):
        geometries = [_moved(geometry, to_world) for geometry, _ in batch]
        if place.crs is not None:
            try:
                geometries = transform_geom(place.crs, WGS84, geometries, antimeridian_cutting=True)
            except Exception as error:  # PROJ's own, of many kinds
                raise PieError('no_degrees', crs=place.crs.to_string()[:80]) from error
        for geometry, (_, properties) in zip(geometries, batch):
            ordered = _ordered(geometry)
            yield ordered, properties


def _moved(geometry: Geometry, transform: Affine) -> Geometry:
    """Return a polygon in coordinates."""
    matrix = np.array([[transform.a, transform.b], [transform.d, transform.e]])
    shift = np.array([transform.c, transform.f])
    rings = [(np.asarray(ring, np.float64) @ matrix.T + shift).tolist() for ring in geometry['coordinates']]
    return {'type': 'Polygon', 'coordinates': rings}


def _ordered(geometry: Geometry) -> Geometry:
    """Return a polygon, or several, with rings as the RFC wants them: the first counterclockwise, holes clockwise."""
    is_one = geometry['type'] == 'Polygon'
    polygons = [geometry['coordinates']] if is_one else geometry['coordinates']
    ordered = [[_turned(ring, number == 0) for number, ring in enumerate(polygon)] for polygon in polygons]
    return {'type': geometry['type'], 'coordinates': ordered[0] if is_one else ordered}


def _turned(ring: Sequence[Sequence[float]], counterclockwise: bool) -> list[list[float]]:
    points = [[round(value, DIGITS) for value in point[:2]] for point in ring]
    first_x, first_y = points[0]
    moved = [(x - first_x, y - first_y) for x, y in points]
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(moved, moved[1:]))
    return points if (area > 0) == counterclockwise else points[::-1]
