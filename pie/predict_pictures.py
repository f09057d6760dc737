"""The picture beside the result of a prediction, small whatever the size of what it shows; the platform displays it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio

from pie.labels import BACKGROUND, Label
from pie.metrics import Boxes
from pie.pictures import draw_boxes, write_picture
from pie.predict_pixels import pixel_values
from pie.scene import Scene

LONGEST = 1024  # pixels of the longer side
MOST_NAMED = 30  # boxes; the words of more would hide the picture
SHARE = 0.55  # of the colour of a class, the rest is the picture


def draw_found(path: Path, scene: Scene, boxes: Boxes, labels: Sequence[Label]) -> None:
    """Write a picture with boxes.

    Args:
        path: A PNG file.
        scene: The picture.
        boxes: In its pixels.
        labels: Classes.
    """
    picture = np.ascontiguousarray(scene.overview(LONGEST)[:, :, ::-1])
    scale = np.array([picture.shape[1] / scene.size[0], picture.shape[0] / scene.size[1]] * 2)
    drawn = Boxes(boxes.boxes * scale, boxes.labels, boxes.scores)
    names = [one.name for one in labels] if len(boxes.labels) <= MOST_NAMED else None
    write_picture(path, draw_boxes(picture, drawn, names, [one.color for one in labels], 0.0, len(boxes.labels)))


def paint_found(path: Path, scene: Scene, raster: Path, labels: Sequence[Label]) -> None:
    """Write a picture with the colours of the classes over it.

    Args:
        path: A PNG file.
        scene: The picture.
        raster: What was predicted, of one or three bands.
        labels: Classes.
    """
    picture = scene.overview(LONGEST)
    with rasterio.open(raster) as file:
        found = np.moveaxis(file.read(out_shape=(file.count, *picture.shape[:2])), 0, 2)
    painted = picture.copy()
    for value, one in zip(pixel_values(labels, found.shape[2]), labels):
        if one.name.lower() != BACKGROUND:
            here = (found == value).all(axis=2)
            painted[here] = (1 - SHARE) * picture[here] + SHARE * np.array(one.color)
    write_picture(path, np.ascontiguousarray(painted[:, :, ::-1]))
