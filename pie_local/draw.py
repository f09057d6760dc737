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

TASKS = ('detection', 'segmentation', 'change')
PARTS = {'train': 0.75, 'valid': 0.25}
BACKGROUND = {'class_name': 'background', 'class_value': 0, 'class_title': '背景', 'class_color': '0,0,0'}
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
        rng = np.random.default_rng((seed, TASKS.index(task), index))
        part = folder / ('valid' if index < num_valid else 'train')
        scene = Scene(rng, size)
        name = f'{index:04d}'
        if task == 'change':
            after, mask = scene.without_some_buildings(rng)
            _save(part / 'A' / f'{name}.png', add_camera(rng, after))
            _save(part / 'B' / f'{name}.png', add_camera(rng, scene.picture))
            _save(part / 'labels' / f'{name}.png', mask * np.uint8(255))
            continue
        _save(part / 'images' / f'{name}.jpg', add_camera(rng, scene.picture))
        if task == 'segmentation':
            values = np.zeros((size, size), np.uint8)
            for entry in LABELS['segmentation'][1:]:
                values[scene.classes == entry['class_name']] = entry['class_value']
            _save(part / 'labels' / f'{name}.png', values)
        else:
            label = part / 'labels' / f'{name}.xml'
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(_xml(name, size, scene.boxes), encoding='utf-8')
    (folder / 'label.json').write_text(json.dumps(LABELS[task], ensure_ascii=False, indent=2), encoding='utf-8')


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


def _xml(name: str, size: int, boxes: list[tuple[str, int, int, int, int]]) -> str:
    """Return a label with what is odd in the platform's own: the XML's name, empty difficult, order of sides."""
    objects = ''.join(
        f'  <object>\n    <name>{kind}</name>\n    <difficult></difficult>\n    <bndbox>\n'
        f'      <xmin>{float(left)}</xmin>\n      <xmax>{float(right)}</xmax>\n'
        f'      <ymin>{float(top)}</ymin>\n      <ymax>{float(bottom)}</ymax>\n    </bndbox>\n  </object>\n'
        for kind, left, top, right, bottom in boxes
    )
    return (
        f'<annotation>\n  <folder>VOC</folder>\n  <filename>{name}.xml</filename>\n'
        f'  <object_num>{len(boxes)}</object_num>\n  <size>\n    <width>{size}</width>\n    <height>{size}</height>\n'
        f'    <depth>3</depth>\n  </size>\n{objects}</annotation>\n'
    )
