"""Data sets of the three tasks that are drawn, not collected: pictures of land from above with buildings and roads.

One scene serves all: its boxes are a detection data set, its classes per pixel a segmentation data set, and the scene
with some buildings gone a data set for change detection. The same seed gives the same files.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

TASKS = ('detection', 'segmentation', 'change')
PARTS = {'train': 0.75, 'valid': 0.25}
BACKGROUND = {'class_name': 'background', 'class_value': 0, 'class_title': '背景', 'class_color': '0,0,0'}
# Half a metre a pixel, zone 50 north of UTM: what makes a TIFF a GeoTIFF, tag -> type and values.
GEO_TAGS = {
    33550: (TiffTags.DOUBLE, (0.5, 0.5, 0.0)),
    33922: (TiffTags.DOUBLE, (0.0, 0.0, 0.0, 500000.0, 4400000.0, 0.0)),
    34735: (TiffTags.SHORT, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32650)),
}
LABELS: dict[str, list[dict[str, Any]]] = {
    'detection': [
        {'class_name': 'building', 'class_value': 1, 'class_title': '建筑', 'class_color': '255,0,0'},
        {'class_name': 'tank', 'class_value': 2, 'class_title': '储罐', 'class_color': '0,0,255'},
    ],
    'segmentation': [
        BACKGROUND,
        {'class_name': 'building', 'class_value': 100, 'class_title': '建筑', 'class_color': '255,0,0'},
        {'class_name': 'road', 'class_value': 255, 'class_title': '道路', 'class_color': '255,255,255'},
    ],
    'change': [
        BACKGROUND,
        {'class_name': 'change', 'class_value': 255, 'class_title': '变化', 'class_color': '255,255,255'},
    ],
}


def draw_data_set(folder: Path, task: str, num_images: int = 80, size: int = 128, seed: int = 0) -> None:
    """Draw a data set in the layout of the platform, with label.json.

    Args:
        folder: Made if it is missing.
        task: One of `TASKS`.
        num_images: A quarter of them is for validation, at least one.
        size: Width and height in pixels.
        seed: The same seed gives the same files.
    """
    folder = Path(folder)
    num_valid = max(int(num_images * PARTS['valid']), 1)
    for index in range(num_images):
        pictures, label = _sample(np.random.default_rng((seed, TASKS.index(task), index)), task, size)
        part = folder / ('valid' if index < num_valid else 'train')
        name = f'{index:04d}'
        for kind, picture in pictures.items():
            _save(part / kind / f'{name}.{"png" if task == "change" else "jpg"}', picture)
        _save_label(part / 'labels' / name, label, (size, size))
    (folder / 'label.json').write_text(json.dumps(LABELS[task], ensure_ascii=False, indent=2), encoding='utf-8')


def draw_large(folder: Path, task: str, columns: int = 6, rows: int = 4, size: int = 128, seed: int = 1) -> list[Path]:
    """Draw one GeoTIFF, of two for change detection, from many scenes side by side, and what is to be found in it.

    Args:
        folder: Made if it is missing; the label is called `label`, with the suffix of those of a data set.
        task: One of `TASKS`.
        columns: Scenes from left to right.
        rows: Scenes from top to bottom.
        size: Width and height of a scene in pixels.
        seed: The same seed gives the same files.

    Returns:
        The pictures.
    """
    large: dict[str, np.ndarray] = {}
    shape = (rows * size, columns * size)
    mask, boxes = np.zeros(shape, np.uint8), []
    for row in range(rows):
        for column in range(columns):
            rng = np.random.default_rng((seed, TASKS.index(task), row, column))
            pictures, label = _sample(rng, task, size)
            place = (slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size))
            for kind, picture in pictures.items():
                large.setdefault(kind, np.zeros((*shape, 3), np.uint8))[place] = picture
            if isinstance(label, np.ndarray):
                mask[place] = label
            else:
                shift = np.tile([column * size, row * size], 2)
                boxes += [(kind, *(shift + corners).tolist()) for kind, *corners in label]
    _save_label(folder / 'label', boxes if task == 'detection' else mask, shape[::-1])
    paths = [folder / f'{kind}.tif' for kind in large]
    for path, picture in zip(paths, large.values()):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, (kind, values) in GEO_TAGS.items():
            tags.tagtype[tag], tags[tag] = kind, values
        Image.fromarray(picture[:, :, ::-1]).save(path, tiffinfo=tags, compression='tiff_deflate')
    return paths


Label = np.ndarray | list[tuple[str, int, int, int, int]]


def _sample(rng: np.random.Generator, task: str, size: int) -> tuple[dict[str, np.ndarray], Label]:
    """Return the pictures by folder, (size, size, 3) BGR, and the label: class_value of pixels, or boxes."""
    scene = Scene(rng, size)
    if task == 'change':
        before, mask = scene.without_some_buildings(rng)
        return {'A': add_camera(rng, before), 'B': add_camera(rng, scene.picture)}, mask * np.uint8(255)
    pictures = {'images': add_camera(rng, scene.picture)}
    if task == 'detection':
        return pictures, scene.boxes
    values = np.zeros((size, size), np.uint8)
    for entry in LABELS['segmentation'][1:]:
        values[scene.classes == entry['class_name']] = entry['class_value']
    return pictures, values


def _save_label(path: Path, label: Label, size: tuple[int, int]) -> None:
    """Write a label; the suffix follows from what it is."""
    if isinstance(label, np.ndarray):
        _save(path.with_suffix('.png'), label)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix('.xml').write_text(_xml(path.name, size, label), encoding='utf-8')


class Scene:
    """Land from above.

    Attributes:
        picture: (size, size, 3) uint8 BGR.
        classes: (size, size) names: 'background', 'building', 'road'; tanks are background.
        boxes: (name, xmin, ymin, xmax, ymax) in pixels of the buildings and tanks.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        """Draw it.

        Args:
            rng: All that is random comes from it.
            size: Width and height in pixels.
        """
        self.classes = np.full((size, size), 'background', dtype=object)
        self.boxes: list[tuple[str, int, int, int, int]] = []
        ground = _ground(rng, size)
        road = np.zeros((size, size), np.uint8)
        for _ in range(int(rng.integers(1, 3))):
            ends = rng.uniform(0, size, 2)
            vertical = rng.random() < 0.5
            start, stop = ((ends[0], -5), (ends[1], size + 5)) if vertical else ((-5, ends[0]), (size + 5, ends[1]))
            cv2.line(road, _point(start), _point(stop), 1, int(size * rng.uniform(0.06, 0.1)))
        grey = float(rng.uniform(120, 150))
        ground[road > 0] = (grey, grey, grey)
        self.classes[road > 0] = 'road'
        self._under = ground.copy()  # without what stands on it
        self.picture = ground
        self._buildings: list[np.ndarray] = []
        taken = cv2.dilate(road, np.ones((3, 3), np.uint8))
        for kind in ('building', 'building', 'building', 'tank', 'tank'):
            places = _outlines(rng, size, kind)
            found = next((place for place in places if not (place[0] & taken).any()), None)
            if found is not None:
                taken |= cv2.dilate(found[0], np.ones((5, 5), np.uint8))
                self._place(rng, kind, *found)

    def _place(self, rng: np.random.Generator, kind: str, mask: np.ndarray, shade: np.ndarray) -> None:
        if kind == 'building':
            colour = np.array([rng.uniform(30, 90), rng.uniform(40, 100), rng.uniform(150, 220)])  # red roofs
            self.classes[mask > 0] = 'building'
            self._buildings.append(mask > 0)
        else:
            colour = np.full(3, rng.uniform(200, 245))  # white tanks
        self.picture[mask > 0] = colour * shade[mask > 0][:, None]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        self.boxes.append((kind, int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))

    def without_some_buildings(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the scene before some of its buildings were built, and what differs.

        Args:
            rng: All that is random comes from it.

        Returns:
            (size, size, 3) BGR, and (size, size) uint8 that is 1 where it differs from `picture`.
        """
        before, mask = self.picture.copy(), np.zeros(self.picture.shape[:2], np.uint8)
        for building in self._buildings:
            if rng.random() < 0.6:
                before[building] = self._under[building]
                mask[building] = 1
        return before, mask


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    base = np.array([rng.uniform(40, 80), rng.uniform(90, 140), rng.uniform(60, 110)])  # fields
    noise = rng.normal(0, 12, (8, 8, 3)).astype(np.float32)
    return (base + cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)).clip(0, 255)


def _outlines(rng: np.random.Generator, size: int, kind: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places where an object could stand: its mask and how light it is, both (size, size)."""
    for _ in range(20):
        mask = np.zeros((size, size), np.uint8)
        shade = np.ones((size, size), np.float32)
        radius = size * rng.uniform(0.08, 0.14)
        centre = rng.uniform(radius * 1.5, size - radius * 1.5, 2)
        if kind == 'tank':
            cv2.circle(mask, _point(centre), int(radius), 1, -1)
            cv2.circle(shade, _point(centre), int(radius * 0.6), 0.8, 2)
        else:
            sides = (radius * 2, radius * rng.uniform(1.2, 2))
            turn = float(rng.uniform(0, 90))
            corners = cv2.boxPoints((tuple(map(float, centre)), tuple(map(float, sides)), turn))
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
            half = np.array([corners[0], corners[1], (corners[1] + corners[2]) / 2, (corners[3] + corners[0]) / 2])
            cv2.fillPoly(shade, [half.astype(np.int32)], 0.75)  # the side of the roof away from the sun
        yield mask, shade


def _point(place: Any) -> tuple[int, int]:
    return int(place[0]), int(place[1])


def add_camera(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Add exposure and noise.

    Args:
        rng: All that is random comes from it.
        picture: (height, width, 3) in 0..255.

    Returns:
        The same as uint8.
    """
    noisy = picture * rng.uniform(0.85, 1.15) + rng.normal(0, 5, picture.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise OSError(f'{path} cannot be written')


def _xml(name: str, size: tuple[int, int], boxes: list[tuple[str, int, int, int, int]]) -> str:
    """Return a label with what is odd in the platform's own: the XML's name, empty difficult, order of sides."""
    objects = ''.join(
        f'  <object>\n    <name>{kind}</name>\n    <difficult></difficult>\n    <bndbox>\n'
        f'      <xmin>{float(left)}</xmin>\n      <xmax>{float(right)}</xmax>\n'
        f'      <ymin>{float(top)}</ymin>\n      <ymax>{float(bottom)}</ymax>\n    </bndbox>\n  </object>\n'
        for kind, left, top, right, bottom in boxes
    )
    width, height = size
    return (
        f'<annotation>\n  <folder>VOC</folder>\n  <filename>{name}.xml</filename>\n'
        f'  <object_num>{len(boxes)}</object_num>\n'
        f'  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n    <depth>3</depth>\n  </size>\n'
        f'{objects}</annotation>\n'
    )
