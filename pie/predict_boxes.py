"""Detection in large pictures: boxes of overlapping tiles, brought together so that each object counts once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from pie.labels import Label
from pie.merge_boxes import join_tiles
from pie.metrics import Boxes
from pie.parameters import STRIDE, rounded_size
from pie.scene import Scene
from pie.tiles import Grid, Window
from tmi.checkpoint_io import load_checkpoint
from tmi.families import family_of
from tmi.inference.images import Letterbox
from tmi.inference.model import build_model
from tmi.inference.package import ModelPackage, fault_of_package, prediction_pipeline
from tmi.inference.worker import images_per_pass
from tmi.settings import InferenceSettings
from tmi.training.initial_weights import read_structure
from tmi.zoo.models import ZooModel

MOST_PER_PASS = 8  # tiles
IOU = InferenceSettings.model_fields['iou_threshold'].default


class BoxPredictor:
    """A trained detector.

    Args:
        weights: A file of `output/files/`.
        model: The detector.
        labels: Its classes, in the order of its outputs.
        load_size: (width, height) of its input, as given.
        confidence: From which on boxes count.
        device: 'cpu' or 'cuda'.

    Raises:
        TaskError: They do not belong together.
    """

    def __init__(
        self,
        weights: Path,
        model: ZooModel,
        labels: Sequence[Label],
        load_size: Sequence[float],
        confidence: float,
        device: str = 'cpu',
    ) -> None:
        config = Config.fromfile(model.config)
        config.merge_from_dict(read_structure(weights, config, {}))
        family = family_of(config.model)
        family.set_classes(config.model, len(labels))
        size = rounded_size('load_size', load_size, max(STRIDE, family.input_multiple(config.model)))
        state = family.read_checkpoint(load_checkpoint(weights))['state_dict']
        package = ModelPackage(state, config.model.to_dict(), list(prediction_pipeline(config)), weights)
        with fault_of_package(f'The weights {weights} cannot be used to predict', package):
            network = build_model(package, [one.name for one in labels])
            self.letterbox = Letterbox(family.pixel_transforms(package.pipeline, size))
            self.predictor = family.predictor(network, torch.device(device), confidence, IOU, 'auto')
        self.batch = images_per_pass(torch.device(device), MOST_PER_PASS, size[1], size[0])

    def predict(self, tiles: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the boxes of tiles, in their pixels.

        Args:
            tiles: (h, w, 3) uint8 RGB each.
        """
        found: list[Boxes] = []
        for first in range(0, len(tiles), self.batch):
            part = [
                self.letterbox.prepare(number, '', np.ascontiguousarray(tile[:, :, ::-1]))
                for number, tile in enumerate(tiles[first : first + self.batch])
            ]
            pixels = torch.from_numpy(np.stack([pixels for _, pixels in part]))
            for one in self.predictor.predict(pixels, [image.meta for image, _ in part]):
                found.append(Boxes(one.boxes.double().numpy(), one.labels.numpy(), one.scores.double().numpy()))
        return found


def predict_boxes(
    scene: Scene, predictor: BoxPredictor, grid: Grid, progress: Callable[[int], None] = lambda done: None
) -> Boxes:
    """Return the boxes of a picture, in its pixels, best first.

    Args:
        scene: The picture.
        predictor: Has `predict`.
        grid: How the picture is cut.
        progress: Called with the number of blocks that are done.
    """
    boxes: list[Boxes] = []
    windows: list[np.ndarray] = []
    predicted: set[Window] = set()  # at the borders of the picture two blocks may have the same tile
    for done, block in enumerate(grid, 1):
        valid = scene.valid(block.window)
        tiles = [tile for tile in block.tiles if tile.seen not in predicted]
        wanted = [tile for tile in tiles if valid is None or valid[tile.core.within(block.window)].any()]
        predicted.update(tile.seen for tile in wanted)
        if wanted:
            seen = block.seen
            picture = scene.read(seen)
            found = predictor.predict([picture[tile.seen.within(seen)] for tile in wanted])
            for tile, one in zip(wanted, found):
                corner = np.array([tile.seen.left, tile.seen.top] * 2)
                boxes.append(Boxes(one.boxes + corner, one.labels, one.scores))
                windows.append(np.tile(np.array(tile.seen, np.float64), (len(one.labels), 1)))
        progress(done)
    if not boxes:
        return Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    joined = Boxes(*(np.concatenate(parts) for parts in zip(*boxes)))
    return join_tiles(joined, np.concatenate(windows), scene.size, IOU)
