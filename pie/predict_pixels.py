"""Segmentation and change detection of large pictures: the class of each pixel, as GeoTIFF or as polygons.

The result is written block by block, so memory follows from the size of a block alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.features import shapes
from rasterio.windows import Window as RasterWindow
from torch import nn
from torch.nn import functional

from mmyolo.utils.files import replacing
from pie.labels import Label
from pie.pixel_input import normalised, resized
from pie.scene import Scene
from pie.texts import PieError
from pie.tiles import Block, Grid
from tmi.checkpoint_io import check_finite, load_checkpoint

PIXELS_PER_PASS = {'cpu': 512 * 512, 'cuda': 4096 * 4096}  # that go through the network together
LARGEST_TABLE = 65536


class PixelPredictor:
    """A trained network of pixels.

    Args:
        network: Gives (n, classes, h, w) for (n, pictures, 3, h, w).
        load_size: (width, height) of its input.
        device: 'cpu' or 'cuda'.
    """

    def __init__(self, network: nn.Module, load_size: tuple[int, int], device: str = 'cpu') -> None:
        self.network = network.to(device).eval()
        self.load_size, self.device = load_size, device
        width, height = load_size
        self.batch = max(PIXELS_PER_PASS[device] // (width * height), 1)

    @torch.inference_mode()
    def predict(self, tiles: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Return the classes of the pixels of tiles.

        Args:
            tiles: The pictures of each, (h, w, 3) uint8 RGB, all of one size.

        Returns:
            (h, w) uint8 places in the list of classes, of each.
        """
        found: list[np.ndarray] = []
        for first in range(0, len(tiles), self.batch):
            part = tiles[first : first + self.batch]
            shape = part[0][0].shape[:2]
            pictures = np.stack([[self._fitted(picture) for picture in tile] for tile in part])
            logits = self.network(normalised(pictures).to(self.device))
            if logits.shape[2:] != shape:
                logits = functional.interpolate(logits, shape, mode='bilinear')
            found += list(logits.argmax(dim=1).to(torch.uint8).cpu().numpy())
        return found

    def _fitted(self, picture: np.ndarray) -> np.ndarray:
        return picture if picture.shape[1::-1] == self.load_size else resized(picture, self.load_size)


def load_network(weights: Path, kind: Any, num_classes: int) -> nn.Module:
    """Return a network with trained weights.

    Args:
        weights: The file.
        kind: Of `pie.networks`.
        num_classes: Background included.

    Raises:
        PieError: They belong to another network or to other classes.
    """
    network = kind.build(num_classes)
    state, wanted = load_checkpoint(weights)['state_dict'], network.state_dict()
    wrong = [name for name, value in wanted.items() if getattr(state.get(name), 'shape', None) != value.shape]
    if wrong:
        raise PieError(
            'other_weights', weights=weights, network=kind.name, count=num_classes, name=wrong[0], number=len(wrong)
        )
    check_finite(state, weights)
    network.load_state_dict({name: state[name] for name in wanted})
    return network


def predict_pixels(
    scenes: Sequence[Scene],
    predictor: PixelPredictor,
    grid: Grid,
    labels: Sequence[Label],
    target: Path,
    bands: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Write the classes of a picture as GeoTIFF.

    Args:
        scenes: The picture, or both of a change detection.
        predictor: The network.
        grid: How the picture is cut.
        labels: Classes, in the order of the outputs.
        target: The file; written whole or not at all.
        bands: 1 for class_value with a table of colours, 3 for class_color.
        progress: Called with the number of blocks that are done.

    Returns:
        (classes,) numbers of pixels.
    """
    values = pixel_values(labels, bands)
    gap = free_value(labels) if bands == 1 and any(scene.has_gaps for scene in scenes) else None
    counts = np.zeros(len(labels), np.int64)
    with _written(target, scenes[0], grid, labels, values, gap) as file:
        for done, block in enumerate(grid, 1):
            indices, valid = predict_block(scenes, predictor, block)
            counts += np.bincount((indices if valid is None else indices[valid]).ravel(), minlength=len(labels))
            painted = values[indices]
            if valid is not None:
                painted[~valid] = 0 if gap is None else gap
            place = RasterWindow(block.window.left, block.window.top, block.window.width, block.window.height)
            file.write(np.moveaxis(painted.reshape(*indices.shape, -1), 2, 0), window=place)
            progress(done)
    return counts


def predict_block(
    scenes: Sequence[Scene], predictor: PixelPredictor, block: Block
) -> tuple[np.ndarray, np.ndarray | None]:
    """Predict a block.

    Args:
        scenes: The picture, or both of a change detection.
        predictor: The network.
        block: The block.

    Returns:
        (h, w) uint8 places in the list of classes, and which pixels hold data in all pictures, None for all.
    """
    masks = [mask for mask in (scene.valid(block.window) for scene in scenes) if mask is not None]
    valid = np.logical_and.reduce(masks) if masks else None
    result = np.zeros((block.window.height, block.window.width), np.uint8)
    wanted = [tile for tile in block.tiles if valid is None or valid[tile.core.within(block.window)].any()]
    if not wanted:
        return result, valid
    seen = block.seen
    pictures = [scene.read(seen) for scene in scenes]
    tiles = [[picture[tile.seen.within(seen)] for picture in pictures] for tile in wanted]
    for tile, found in zip(wanted, predictor.predict(tiles)):
        result[tile.core.within(block.window)] = found[tile.core.within(tile.seen)]
    return result, valid


def pixel_values(labels: Sequence[Label], bands: int) -> np.ndarray:
    """Return what is written for each class: (classes,) class_value, or (classes, 3) class_color."""
    if bands == 3:
        return np.array([one.color for one in labels], np.uint8)
    return np.array([one.value for one in labels], np.uint8 if max(one.value for one in labels) < 256 else np.uint16)


def free_value(labels: Sequence[Label]) -> int:
    """Return the value of pixels without data: the largest that no class has."""
    used = {one.value for one in labels}
    largest = 255 if max(used) < 256 else LARGEST_TABLE - 1
    return next(value for value in range(largest, -1, -1) if value not in used)


@contextmanager
def _written(
    target: Path, scene: Scene, grid: Grid, labels: Sequence[Label], values: np.ndarray, gap: int | None
) -> Iterator[Any]:
    """Give an open GeoTIFF that takes its place once it is whole."""
    width, height = scene.size
    bands = 1 if values.ndim == 1 else values.shape[1]
    colors = {} if bands == 3 else {one.value: (*one.color, 255) for one in labels}
    with replacing(target) as temporary:
        with rasterio.open(
            temporary,
            'w',
            driver='GTiff',
            width=width,
            height=height,
            count=bands,
            dtype=values.dtype,
            nodata=gap,
            compress='deflate',
            tiled=True,
            blockxsize=grid.block[0],
            blockysize=grid.block[1],
            bigtiff='if_safer',
            photometric='palette' if colors else 'rgb',
            **scene.place.profile(),
        ) as file:
            if colors:
                file.write_colormap(1, colors if gap is None else {**colors, gap: (0, 0, 0, 0)})
                file.update_tags(1, **{f'class_{one.value}': one.name for one in labels})
            yield file


def polygons_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield value and polygon, in columns and rows, of each connected part of a picture of classes.

    Args:
        path: What `predict_pixels` wrote with one band.
    """
    with rasterio.open(path) as file:
        back = ~file.transform  # shapes() gives coordinates, and all corners are those of pixels
        for shape, value in shapes(rasterio.band(file, 1)):
            rings = [[tuple(map(round, back @ point)) for point in ring] for ring in shape['coordinates']]
            yield int(value), {'type': 'Polygon', 'coordinates': rings}
