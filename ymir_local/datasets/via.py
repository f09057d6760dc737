"""VIA, the VGG Image Annotator: a JSON file of regions for all images of a folder, as exported or as a project.

Rectangles and polygons count, and circles and ellipses as polygons; points and lines have no area. The class of a
region is its attribute `class`, `name`, `label` or `type`, or its only one.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ymir_exc.errors import DatasetError

from .file_names import FileNames
from .files import read_head, read_json, split_folders, split_of
from .raw import RawBox, RawDataset, RawImage, number_in_file

LOOKS_FOR = 'a JSON file of VIA ("filename" and "regions") in the folder or in train/ and val/'
_CLASS_ATTRIBUTES = ('class', 'name', 'label', 'type')
_ROUND_CORNERS = 32
Point = tuple[float, float]


class Region(NamedTuple):
    """One region of an image.

    Attributes:
        points: its outline, centres of pixels; none if it is damaged or has no area.
        class_name: None if it has none.
        place: where it stands.
        problem: what is wrong where there are no points.
    """

    points: list[Point]
    class_name: str | None
    place: str
    problem: str = ''

    def corners(self) -> tuple[float, float, float, float]:
        """Return xmin, ymin, xmax, ymax of its points."""
        xs, ys = zip(*self.points)
        return min(xs), min(ys), max(xs), max(ys)


class ViaImage(NamedTuple):
    """One image of a file."""

    file_name: str
    regions: list[Region]


def label_files(root: Path) -> list[Path]:
    """Return the files that look like VIA's, from their first bytes: of the folder and its split folders."""
    folders = [root, *(folder for _, folder in split_folders(root))] if root.is_dir() else []
    return [path for folder in folders for path in sorted(folder.glob('*.json')) if path.is_file() and _is_via(path)]


def is_via(root: Path) -> bool:
    """Return whether there is a file of VIA."""
    return bool(label_files(root))


def _is_via(path: Path) -> bool:
    head = read_head(path).replace(b'\0', b'')
    return b'"regions"' in head and b'"filename"' in head or b'"_via_img_metadata"' in head


def read_file(path: Path) -> Iterator[ViaImage]:
    """Read one file.

    Args:
        path: the file.

    Yields:
        Its images, in their order.

    Raises:
        DatasetError: it cannot be read, or is not a VIA file.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get('_via_img_metadata'), dict):
        content = content['_via_img_metadata']
    if not isinstance(content, dict):
        raise DatasetError(f'{path} is not a VIA file: it must map images to their "filename" and "regions"')
    for key, entry in content.items():
        regions = entry.get('regions') if isinstance(entry, dict) else None
        name = entry.get('filename') if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or '\0' in name or not isinstance(regions, (dict, list)):
            raise DatasetError(f'{path}: {key!r} has no "filename" or no "regions", so it is not a VIA file')
        # A dictionary in version 1 of the annotator, a list in version 2.
        listed = regions.values() if isinstance(regions, dict) else regions
        yield ViaImage(name, [_region(region, f'{name}, region {number}') for number, region in enumerate(listed, 1)])


def _region(region: Any, place: str) -> Region:
    shape = region.get('shape_attributes') if isinstance(region, dict) else None
    if not isinstance(shape, dict):
        return Region([], None, place, 'it has no shape_attributes')
    name = _class_of(region.get('region_attributes'))
    kind = shape.get('name') or ('polygon' if 'all_points_x' in shape else 'rect' if 'width' in shape else None)
    try:
        points = _outline(kind, shape)
    except (KeyError, TypeError, ValueError, OverflowError):
        return Region([], name, place, f'its {kind} has no usable numbers')
    if points is None:
        return Region([], name, place, f'it is a {kind}, which has no area')
    if len(points) < 3:
        return Region([], name, place, f'its {kind} has {len(points)} points')
    return Region(points, name, place)


def _outline(kind: Any, shape: dict[str, Any]) -> list[Point] | None:
    def numbers(*keys: str) -> list[float]:
        values = [number_in_file(shape[key]) for key in keys]
        if not all(map(math.isfinite, values)):
            raise ValueError
        return values

    if kind == 'polygon':
        xs, ys = ([number_in_file(value) for value in shape[f'all_points_{axis}']] for axis in 'xy')
        if len(xs) != len(ys) or not all(map(math.isfinite, (*xs, *ys))):
            raise ValueError
        return list(zip(xs, ys))
    if kind == 'rect':
        x, y, w, h = numbers('x', 'y', 'width', 'height')
        return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    if kind in ('circle', 'ellipse'):
        x, y, rx, ry = numbers('cx', 'cy', *(('r', 'r') if kind == 'circle' else ('rx', 'ry')))
        turns = (2 * math.pi * number / _ROUND_CORNERS for number in range(_ROUND_CORNERS))
        return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]
    return None


def _class_of(attributes: Any) -> str | None:
    if not isinstance(attributes, dict):
        return None
    values = [attributes[key] for key in _CLASS_ATTRIBUTES if key in attributes] or list(attributes.values())[:1]
    for value in values:
        if isinstance(value, dict):  # of a check box
            value = next((key for key, chosen in value.items() if chosen), None)
        if isinstance(value, (str, int)) and str(value).strip():
            return str(value)
    return None


def read(root: Path) -> RawDataset:
    """Read the files of a folder; see the module.

    Args:
        root: its folder.

    Raises:
        DatasetError: there is not a VIA file, or one is broken.
    """
    raw = RawDataset()
    files = FileNames()
    paths = label_files(root)
    if not paths:
        raise DatasetError(f'{root} holds no file of VIA; looked for {LOOKS_FOR}')
    splits = {
        path: (split_of(path.parent.name) if path.parent != root else None) or split_of(path.stem) for path in paths
    }
    for path in paths:
        images = raw.splits.setdefault(splits[path] or ('train' if any(splits.values()) else 'all'), [])
        for entry in read_file(path):
            image = files.find_written(
                entry.file_name, (path.parent, path.parent / 'images', root, root / 'images'), path
            )
            boxes = []
            for region in entry.regions:
                if region.points:
                    boxes.append(RawBox(region.class_name or 'object', region.corners(), region.place))
                else:
                    raw.warnings.add(
                        'annotations left out', f'{path}: {region.place}: {region.problem}; it is left out'
                    )
            images.append(RawImage(image or path.parent / entry.file_name, path, boxes))
    files.report(raw.warnings)
    raw.class_names = sorted({box.class_name for part in raw.splits.values() for image in part for box in image.boxes})
    return raw
