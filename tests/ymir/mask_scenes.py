"""Drawn scenes whose objects have masks: discs and triangles of two colours, which their boxes are not."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from ymir_local.platform.labels import LabelledBox, LabelledImage

CLASS_NAMES = ['disc', 'triangle']
COLOURS = ((40, 40, 220), (220, 200, 40))
CORNERS = (24, 3)


def draw_scenes(folder: Path, count: int, size: int = 96, seed: int = 0) -> list[LabelledImage]:
    """Draw images with two or three objects each.

    Args:
        folder: Gets `0.png` and so on.
        count: How many.
        size: Width and height in pixels.
        seed: The same seed gives the same files.

    Returns:
        The images; the mask of an object is one polygon of whole numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    images = []
    for number in range(count):
        picture = rng.normal(110, 12, (size, size, 3))
        boxes: list[LabelledBox] = []
        places = [(x, y) for x in (0.27, 0.73) for y in (0.27, 0.73)]
        for place in rng.permutation(4)[: rng.integers(2, 4)]:
            label = int(rng.integers(2))
            turn, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 0.23) * size
            angles = turn + np.arange(CORNERS[label]) * 2 * math.pi / CORNERS[label]
            centre = np.array(places[place]) * size
            points = np.round(centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.int32)
            pixels = np.zeros((size, size), np.uint8)
            cv2.fillPoly(pixels, [points], 1)
            picture[pixels > 0] = np.array(COLOURS[label]) + rng.normal(0, 12, (int(pixels.sum()), 3))
            rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
            corner = int(columns[0]), int(rows[0])
            sides = int(columns[-1]) - corner[0] + 1, int(rows[-1]) - corner[1] + 1
            boxes.append(LabelledBox(label, *corner, *sides, mask=[points.ravel().tolist()]))
        path = folder / f'{number}.png'
        assert cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))
        images.append(LabelledImage(path, size, size, tuple(boxes)))
    return images


def with_rle(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Return images whose masks are run-length codes of what `draw_scenes` painted."""

    def encoded(image: LabelledImage, box: LabelledBox) -> LabelledBox:
        pixels = np.zeros((image.height, image.width), np.uint8)
        cv2.fillPoly(pixels, [np.array(box.mask, np.int32).reshape(-1, 2)], 1)
        code = mask_utils.encode(np.asfortranarray(pixels))
        return replace(box, mask={'size': code['size'], 'counts': code['counts'].decode('ascii')})

    return [replace(image, boxes=tuple(encoded(image, box) for box in image.boxes)) for image in images]
