"""Pictures of images with their boxes and masks, alone or as the steps of a pipeline."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

from mmyolo.registry import VISUALIZERS
from mmyolo.utils.files import replacing

from .plotting import shown_names

TILE = 640  # longer side of a picture in a grid, in pixels
CAPTION = 34  # height of the line above it
MARGIN = 6


class Painter:
    """Draws objects into images.

    Args:
        metainfo: Of the data set: `classes` and perhaps `palette`.
        visualizer: The config of the visualizer; nothing is written by its backends.
    """

    def __init__(self, metainfo: dict, visualizer: ConfigDict | None = None) -> None:
        visualizer = ConfigDict(visualizer or {'type': 'mmdet.DetLocalVisualizer'})
        visualizer.update(name=f'painter-{id(self)}', vis_backends=None)
        self.visualizer: Visualizer = VISUALIZERS.build(visualizer)
        palette = metainfo.get('palette')
        if not palette or len(palette) < len(metainfo['classes']):
            palette = 'random'
        self.visualizer.dataset_meta = {'classes': shown_names(metainfo['classes']), 'palette': palette}

    def draw(self, image: np.ndarray, instances: InstanceData) -> np.ndarray:
        """Draw one image.

        Args:
            image: (H, W, 3) RGB.
            instances: `bboxes` and `labels`, perhaps `masks` and others that the visualizer knows.

        Returns:
            (H, W, 3) RGB.
        """
        instances = InstanceData(**dict(instances.items()))
        boxes = instances.get('bboxes')
        if isinstance(boxes, HorizontalBoxes):
            boxes = boxes.tensor
        if isinstance(boxes, torch.Tensor) and boxes.shape[-1] == 4:  # a box over the border would shift the picture
            height, width = image.shape[:2]
            instances.bboxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
        sample = DetDataSample(gt_instances=instances)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='.*out of bounds')  # of boxes that reach over the border
            self.visualizer.add_datasample('image', np.ascontiguousarray(image), sample, draw_pred=False)
        return self.visualizer.get_image()

    def show(self, picture: np.ndarray, title: str, seconds: float) -> None:
        """Show a picture in a window, for so long or, at 0, until a key is pressed."""
        self.visualizer.show(picture, title, seconds)


class Steps:
    """A pipeline that remembers what an image and its objects are after each transform.

    Args:
        transforms: Of the pipeline that it takes the place of.
    """

    def __init__(self, transforms: Sequence) -> None:
        self.transforms = list(transforms)
        self.recorded: list[tuple[str, np.ndarray, InstanceData]] = []

    def __call__(self, data: dict) -> dict | None:
        self.recorded = []
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                break
            if isinstance(data.get('img'), np.ndarray):
                self.recorded.append((type(transform).__name__, _rgb(data['img']), _instances(data)))
        return data


def _rgb(image: np.ndarray) -> np.ndarray:
    image = image.clip(0, 255).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., 2::-1])


def _instances(data: dict) -> InstanceData:
    instances = InstanceData()
    if 'gt_bboxes' not in data or 'gt_bboxes_labels' not in data:
        return instances
    boxes = data['gt_bboxes']
    instances.bboxes = boxes.clone() if hasattr(boxes, 'clone') else torch.as_tensor(np.array(boxes)).reshape(-1, 4)
    instances.labels = torch.as_tensor(np.array(data['gt_bboxes_labels'], dtype=np.int64))
    if data.get('gt_masks') is not None and len(data['gt_masks']) == len(instances.labels):
        instances.masks = data['gt_masks'].to_ndarray()
    return instances


def grid(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Lay pictures of any sizes out in rows, each with a line above it.

    Args:
        pictures: (H, W, 3) each; those with a side above 640 pixels are made smaller.
        captions: One each.

    Returns:
        (H, W, 3), white where there is no picture.
    """
    tiles = []
    for picture, caption in zip(pictures, captions):
        height, width = picture.shape[:2]
        ratio = min(1, TILE / max(height, width))
        size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        tile = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if ratio < 1 else picture
        tiles.append((tile, f'{caption}  {width} x {height}'))
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.6
    text_width = max(cv2.getTextSize(caption, font, scale, 1)[0][0] for _, caption in tiles)
    cell_width = max(text_width, *(tile.shape[1] for tile, _ in tiles)) + 2 * MARGIN
    cell_height = max(tile.shape[0] for tile, _ in tiles) + CAPTION + MARGIN
    columns = math.ceil(math.sqrt(len(tiles)))
    canvas = np.full((math.ceil(len(tiles) / columns) * cell_height, columns * cell_width, 3), 255, np.uint8)
    for index, (tile, caption) in enumerate(tiles):
        top, left = index // columns * cell_height, index % columns * cell_width + MARGIN
        cv2.putText(canvas, caption, (left, top + CAPTION - 10), font, scale, (0, 0, 0), 1, cv2.LINE_AA)
        top += CAPTION
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) RGB; the suffix of the file decides the format.

    Raises:
        ValueError: If the format is unknown.
    """
    suffix = Path(path).suffix
    try:
        done, content = cv2.imencode(suffix, picture[..., ::-1])
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f'{path}: OpenCV writes no files of the format {suffix!r}')
    with replacing(path) as temporary:
        temporary.write_bytes(content.tobytes())


class Gallery:
    """Writes pictures into a folder and shows them, whichever is wanted.

    Args:
        painter: Shows them.
        folder: Where they go; None writes nothing.
        show: Whether to show them.
        seconds: How long each is shown; 0: until a key is pressed.
    """

    def __init__(self, painter: Painter, folder: str | None, show: bool, seconds: float) -> None:
        self.painter, self.show, self.seconds = painter, show, seconds
        self.folder = None if folder is None else Path(folder)
        self.names = set()

    def add(self, name: str, picture: np.ndarray) -> None:
        """Add a picture; a second one of a name gets a number."""
        if self.folder is not None:
            path, number = Path(name), 1
            while path.name in self.names:
                number += 1
                path = path.with_name(f'{Path(name).stem}_{number}{path.suffix}')
            self.names.add(path.name)
            write_picture(self.folder / path.name, picture)
        if self.show:
            self.painter.show(picture, name, self.seconds)
