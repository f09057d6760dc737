"""A small detection data set that is drawn, not collected: for the demo, the tests and the benchmarks.

Every image is a JPEG with a cluttered background (gradient, cloud noise, stray polygons and lines) and a few objects
whose class follows from shape and texture, not by colour: hue, size, rotation and lighting vary for every class alike.
Labels are measured on the pixels that were drawn. The same seed gives the same bytes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..platform.labels import LabelledBox, LabelledImage

SUPERSAMPLING = 3  # objects are drawn this much larger and shrunk, for smooth edges
MAX_OVERLAP = 0.15  # of the smaller box, between two objects of one image


def regular_outline(corners: int, radius: float = 1.0, turn: float = 0.0) -> np.ndarray:
    angles = turn + np.arange(corners) * 2 * math.pi / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def star_outline(points: int, inner: float, width: float) -> np.ndarray:
    """Return a star (width 0) or a gear (width > 0: the share of a tooth that is flat)."""
    step = 2 * math.pi / points
    outline = []
    for k in range(points):
        for radius, centre in ((1.0, k * step), (inner, (k + 0.5) * step)):
            for side in (-1, 1) if width else (0,):
                angle = centre + side * width * step / 2
                outline.append((radius * math.cos(angle), radius * math.sin(angle)))
    return np.array(outline)


def _rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


_ARM = [(-0.3, -1), (0.3, -1), (0.3, -0.3)]  # of a cross, and its three turns
_CROSS = [*_ARM, *((-y, x) for x, y in _ARM), *((-x, -y) for x, y in _ARM), *((y, -x) for x, y in _ARM)]
# Each class: the outlines that make its silhouette (a later one inside an earlier one is a hole) and those that are
# painted on it in a second tone. Coordinates lie within -1..1.
SHAPES = {
    'target': ([regular_outline(48)], [regular_outline(48, 0.72), regular_outline(48, 0.42)]),
    'crate': ([_rectangle(-0.9, -0.9, 0.9, 0.9)], [_rectangle(-0.9, k - 0.1, 0.9, k + 0.1) for k in (-0.5, 0.0, 0.5)]),
    'star': ([star_outline(5, 0.42, 0)], []),
    'gear': ([star_outline(9, 0.74, 0.45), regular_outline(32, 0.36)], []),
    'cone': (
        [np.array([(0, -1), (0.8, 0.9), (-0.8, 0.9)])],
        [
            np.array([(-0.27, -0.25), (0.27, -0.25), (0.4, 0.05), (-0.4, 0.05)]),
            np.array([(-0.53, 0.35), (0.53, 0.35), (0.66, 0.65), (-0.66, 0.65)]),
        ],
    ),
    'cross': ([np.array(_CROSS)], []),
    'ring': ([regular_outline(48), regular_outline(48, 0.62)], []),
    'domino': (
        [_rectangle(-0.5, -1, 0.5, 1)],
        [regular_outline(16, 0.16) + place for place in ((-0.2, -0.6), (0.2, -0.6), (0, 0), (-0.2, 0.6), (0.2, 0.6))],
    ),
}
CLASS_NAMES = tuple(SHAPES)
Shape = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def generate(
    out_dir: Path,
    num_images: int = 100,
    num_classes: int = 5,
    size_range: tuple[int, int] = (480, 1280),
    objects_range: tuple[int, int] = (1, 6),
    scale_range: tuple[float, float] = (0.08, 0.35),
    clutter: int = 14,
    seed: int = 0,
) -> list[LabelledImage]:
    """Draw a data set.

    Args:
        out_dir: folder for `000000.jpg`, `000001.jpg`, ...; created when missing.
        num_images: how many images.
        num_classes: how many of `CLASS_NAMES`, from the first.
        size_range: smallest and largest side of an image in pixels.
        objects_range: fewest and most objects per image.
        scale_range: smallest and largest object, its larger side as a share of the image's shorter side.
        clutter: stray polygons and lines per image; more is harder.
        seed: the same seed gives the same files.

    Returns:
        One entry per image, in the order of the file names.

    Raises:
        ValueError: `num_classes` is not within 1 and the number of shapes.
    """
    if not 1 <= num_classes <= len(CLASS_NAMES):
        raise ValueError(f'num_classes is {num_classes}; allowed: 1 to {len(CLASS_NAMES)}')
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    images = []
    for index in range(num_images):
        rng = np.random.default_rng((seed, index))
        width, height = (int(side) for side in rng.integers(size_range[0], size_range[1] + 1, 2))
        classes = _draw_classes(rng, num_classes, objects_range)
        picture, boxes = draw_scene(rng, (width, height), classes, scale_range=scale_range, clutter=clutter)
        path = out_dir / f'{index:06d}.jpg'
        cv2.imwrite(str(path), add_camera(rng, picture), [cv2.IMWRITE_JPEG_QUALITY, 88])
        images.append(LabelledImage(path, width, height, tuple(boxes)))
    return images


def _draw_classes(rng: np.random.Generator, num_classes: int, objects_range: tuple[int, int]) -> Iterator[int]:
    for _ in range(rng.integers(objects_range[0], objects_range[1] + 1)):
        yield int(rng.integers(num_classes))


def draw_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    classes: Iterable[int],
    shapes: Sequence[Shape] = tuple(SHAPES.values()),
    scale_range: tuple[float, float] = (0.08, 0.35),
    clutter: int = 14,
) -> tuple[np.ndarray, list[LabelledBox]]:
    """Draw a background with objects, before the camera.

    Args:
        rng: All that is random comes from it.
        size: (width, height) in pixels.
        classes: The class of each object; one that finds no room is left out.
        shapes: The silhouette and the pattern of each class, as in `SHAPES`.
        scale_range: Smallest and largest object, its larger side as a share of the image's shorter side.
        clutter: Stray polygons and lines.

    Returns:
        (height, width, 3) float32 BGR in 0..255, and the boxes.
    """
    picture = _background(rng, *size, clutter)
    boxes: list[LabelledBox] = []
    for class_index in classes:
        _place(rng, picture, boxes, class_index, shapes[class_index], scale_range)
    return picture, boxes


def _colour(rng: np.random.Generator, saturation: tuple[int, int], value: tuple[int, int]) -> np.ndarray:
    hsv = np.uint8([[[rng.integers(180), rng.integers(*saturation), rng.integers(*value)]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)


def _background(rng: np.random.Generator, width: int, height: int, clutter: int) -> np.ndarray:
    """Return a gradient under cloud noise with stray shapes: (height, width, 3) float32, 0..255."""
    corners = np.stack([_colour(rng, (10, 110), (60, 200)) for _ in range(4)]).reshape(2, 2, 3)
    picture = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    for cells, strength in ((4, 30), (16, 18), (64, 12)):
        noise = rng.normal(0, strength, (cells, cells, 1)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    picture = np.clip(picture, 0, 255)
    side = min(width, height)
    for _ in range(clutter):
        colour = tuple(float(c) for c in _colour(rng, (10, 160), (50, 220)))
        centre = rng.uniform(0, 1, 2) * (width, height)
        if rng.random() < 0.5:
            reach = rng.uniform(0.02, 0.25) * side
            points = centre + rng.uniform(-reach, reach, (int(rng.integers(3, 7)), 2))
            layer = picture.copy()
            cv2.fillPoly(layer, [points.astype(np.int32)], colour, cv2.LINE_AA)
            cv2.addWeighted(layer, 0.6, picture, 0.4, 0, dst=picture)
        else:
            end = centre + rng.uniform(-0.5, 0.5, 2) * side
            cv2.line(
                picture, tuple(map(int, centre)), tuple(map(int, end)), colour, int(rng.integers(1, 7)), cv2.LINE_AA
            )
    return picture


def _place(
    rng: np.random.Generator,
    picture: np.ndarray,
    boxes: list[LabelledBox],
    class_index: int,
    shape: Shape,
    scale_range: tuple[float, float],
) -> None:
    """Draw one object where it covers no other, and append its box; give up silently when there is no room."""
    height, width = picture.shape[:2]
    silhouette, pattern = shape
    for _ in range(20):
        size = math.exp(rng.uniform(*np.log(scale_range))) * min(width, height)
        alpha, paint = _render(size, rng.uniform(0, 2 * math.pi), rng.uniform(0.8, 1.0), silhouette, pattern)
        h, w = alpha.shape
        if h >= height or w >= width:
            continue
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        rows, columns = np.flatnonzero((alpha >= 0.5).any(1)), np.flatnonzero((alpha >= 0.5).any(0))
        box = LabelledBox(
            class_index,
            int(x + columns[0]),
            int(y + rows[0]),
            int(columns[-1] - columns[0] + 1),
            int(rows[-1] - rows[0] + 1),
        )
        if all(_overlap(box, other) <= MAX_OVERLAP for other in boxes):
            break
    else:
        return
    first, second = _colour(rng, (60, 255), (90, 256)), _colour(rng, (0, 120), (20, 256))
    light = np.linspace(*rng.uniform(0.75, 1.2, 2), num=w, dtype=np.float32)[None, :, None]
    surface = np.clip((first + paint[..., None] * (second - first)) * light, 0, 255)
    target = picture[y : y + h, x : x + w]
    target += alpha[..., None] * (surface - target)
    boxes.append(box)


def _render(
    size: float, turn: float, squeeze: float, silhouette: Sequence[np.ndarray], pattern: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks (h, w) in 0..1: how much of a pixel the object covers, and the second tone of that."""
    cos, sin = math.cos(turn), math.sin(turn)
    to_canvas = np.array([[cos, sin], [-sin, cos]]) * [[1], [squeeze]]
    outlines = [outline @ to_canvas for outline in silhouette]
    span = np.ptp(np.concatenate(outlines), axis=0)
    scale = size / span.max() * SUPERSAMPLING
    origin = np.concatenate(outlines).min(0) * scale - SUPERSAMPLING
    w, h = (int(math.ceil(side)) + 2 for side in span * scale / SUPERSAMPLING)

    def mask(polygons: list[np.ndarray]) -> np.ndarray:
        canvas = np.zeros((h * SUPERSAMPLING, w * SUPERSAMPLING), np.float32)
        if polygons:
            cv2.fillPoly(canvas, [np.round(polygon * scale - origin).astype(np.int32) for polygon in polygons], 1.0)
        return cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA)

    return mask(outlines), mask([outline @ to_canvas for outline in pattern])


def _overlap(one: LabelledBox, other: LabelledBox) -> float:
    w = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    h = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    return max(w, 0) * max(h, 0) / min(one.w * one.h, other.w * other.h)


def add_camera(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Add what a camera adds: a little blur at times, exposure, sensor noise; return uint8."""
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.6))
    picture = picture * rng.uniform(0.8, 1.15)
    noise = rng.normal(0, rng.uniform(1, 6), (*picture.shape[:2], 1)).astype(np.float32)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
