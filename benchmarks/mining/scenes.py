"""Generated images to study mining on: rare classes, images without objects, near-duplicate frames, crowds and night.

Nothing is collected. The class of an object follows from its shape and texture (`ymir_local/demo/sample_data.py`), and
the frequency of classes falls by Zipf's law, so that the last one is in 1 to 2 % of the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ymir_local.demo.sample_data import SHAPES, Shape, add_camera, draw_scene, regular_outline, star_outline

CLASS_NAMES = tuple(SHAPES)
_BARS = [np.array([(-0.5, y - 0.1), (0.5, y - 0.1), (0.5, y + 0.1), (-0.5, y + 0.1)]) for y in (-0.35, 0.0, 0.35)]
_DOTS = [regular_outline(16, 0.15) + place for place in ((-0.35, -0.3), (0.35, -0.3), (0.0, 0.3))]
_OUTLINES = (
    [regular_outline(3)],
    [regular_outline(4)],
    [regular_outline(6)],
    [regular_outline(8), regular_outline(8, 0.45)],
    [star_outline(4, 0.45, 0)],
    [star_outline(7, 0.6, 0)],
    [star_outline(5, 0.6, 0.5)],
    [regular_outline(24)],
)
# What a detector knows before it sees any of the classes, as public weights do: shapes alike, none of them the same.
OTHER_SHAPES: tuple[Shape, ...] = tuple(
    (outline, pattern)
    for place, outline in enumerate(_OUTLINES)
    for pattern in (([], _BARS), (_DOTS, [regular_outline(3, 0.5)]))[place % 2]
)


@dataclass(frozen=True)
class SceneSettings:
    """What a set of images holds.

    Args:
        singles: Images that are one of a kind.
        bursts: Scenes of which there are several frames, as in a video.
        frames: Near-duplicate frames of such a scene.
        motion: How far the camera moves in a burst at most, as a share of the side.
        size: Side of an image in pixels.
        zipf: Exponent of the frequencies of classes, 1 / rank ** zipf.
        negatives: Share of scenes without objects.
        crowded: Share of scenes with 5 to 9 objects; the others have 1 to 3.
        night: Share of scenes that are dark, noisy and blurred.
        shapes: Of the classes.
    """

    singles: int
    bursts: int = 0
    frames: int = 10
    motion: float = 0.125
    size: int = 96
    zipf: float = 1.9
    negatives: float = 0.3
    crowded: float = 0.08
    night: float = 0.15
    shapes: Sequence[Shape] = tuple(SHAPES.values())


POOL = SceneSettings(singles=1600, bursts=40)
"""2,000 images, every fifth a frame of a burst."""
VALIDATION = SceneSettings(singles=400)
TEST = SceneSettings(singles=600, zipf=0.9)
"""Less uneven than the pool, so that the precision of rare classes is measured on enough objects."""
FRAMES = SceneSettings(singles=0, bursts=200, motion=0.04)
"""200 scenes of 10 near-identical frames."""
PRETRAINING = SceneSettings(singles=2000, zipf=0.0, negatives=0.1, shapes=OTHER_SHAPES)


@dataclass
class Scenes:
    """Images with their labels.

    Args:
        images: (n, size, size, 3) uint8 BGR.
        boxes: Of each image, (k, 4) float32 xyxy in pixels.
        labels: Of each image, (k,) int64.
        scene: (n,) int64, equal for frames of one scene.
        night: (n,) bool.
    """

    images: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]
    scene: np.ndarray
    night: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> 'Scenes':
        """Return some of the images."""
        indices = np.asarray(indices, dtype=np.int64)
        boxes, labels = ([values[k] for k in indices] for values in (self.boxes, self.labels))
        return Scenes(self.images[indices], boxes, labels, self.scene[indices], self.night[indices])

    @property
    def class_counts(self) -> np.ndarray:
        """(n, classes) int64, boxes of each class in each image."""
        return np.stack([np.bincount(labels, minlength=len(CLASS_NAMES)) for labels in self.labels])


def make_scenes(settings: SceneSettings, seed: int) -> Scenes:
    """Draw a set of images; the same seed gives the same pixels.

    Args:
        settings: What the set holds.
        seed: Of the generator.
    """
    images, boxes, labels, scene, night = [], [], [], [], []
    for number in range(settings.singles + settings.bursts):
        rng = np.random.default_rng((seed, number))
        dark = bool(rng.random() < settings.night)
        frames = settings.frames if number >= settings.singles else 1
        for picture, frame_boxes, frame_labels in _frames(rng, settings, dark, frames):
            images.append(picture)
            boxes.append(frame_boxes)
            labels.append(frame_labels)
            scene.append(number)
            night.append(dark)
    # Frames of one scene do not lie side by side, so that the order of the images tells nothing.
    order = np.random.default_rng((seed, settings.singles, settings.bursts)).permutation(len(images))
    return Scenes(np.stack(images), boxes, labels, np.array(scene), np.array(night)).subset(order)


def _frames(
    rng: np.random.Generator, settings: SceneSettings, dark: bool, frames: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draw a scene and cut its frames: a slow walk of the camera, a little light and noise of their own."""
    margin = int(settings.motion * settings.size) if frames > 1 else 0
    side = settings.size + margin
    frequencies = 1 / np.arange(1, len(settings.shapes) + 1) ** settings.zipf
    kind = rng.random()
    if kind < settings.negatives:
        count = 0
    elif kind < settings.negatives + settings.crowded:
        count = int(rng.integers(5, 10))
    else:
        count = int(rng.integers(1, 4))
    classes = rng.choice(len(settings.shapes), count, p=frequencies / frequencies.sum()).tolist()
    scale = (0.16, 0.27) if count > 3 else (0.22, 0.5)
    picture, objects = draw_scene(rng, (side, side), classes, settings.shapes, scale, clutter=4)
    if dark:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 1.4)) * rng.uniform(0.2, 0.45)
        picture = picture + rng.normal(0, rng.uniform(5, 10), picture.shape)
    picture = add_camera(rng, picture)
    corners = np.array([(box.x, box.y, box.x + box.w, box.y + box.h) for box in objects], np.float32).reshape(-1, 4)
    labels = np.array([box.class_index for box in objects], np.int64)
    start = rng.integers(0, margin + 1, 2)
    found = []
    for _ in range(frames):
        start = np.clip(start + rng.integers(-2, 3, 2), 0, margin) if margin else start
        x, y = (int(value) for value in start)
        pixels = picture[y : y + settings.size, x : x + settings.size]
        if margin:
            pixels = pixels * rng.uniform(0.95, 1.05) + rng.normal(0, 3, (*pixels.shape[:2], 1))
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
        boxes = np.clip(corners - (x, y, x, y), 0, settings.size).astype(np.float32)
        area, whole = (np.prod(sides[:, 2:] - sides[:, :2], axis=1) for sides in (boxes, corners))
        keep = area > 0.4 * whole
        found.append((pixels, boxes[keep], labels[keep]))
    return found
