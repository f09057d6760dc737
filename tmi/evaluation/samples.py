"""A picture of validation images: their labels on the left, what the model finds on the right."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw, ImageFont

from mmyolo.evaluation.validation_result import ValidationResult
from mmyolo.tools.demo.drawing import draw_instances
from mmyolo.tools.demo.fonts import usual_font_file

MAX_IMAGES = 12
SIDE = 420  # pixels of the longer side of an image in the picture
GAP, LINE, FONT = 12, 22, 14  # pixels between images, above each for its heading, of the text in it
MAX_HEADING = 60  # characters

logger = logging.getLogger('tmi')

ReadImage = Callable[[str], np.ndarray]


def choose_images(result: ValidationResult, names: Mapping[int, str], count: int = MAX_IMAGES) -> list[int]:
    """Choose images evenly among those with a label, and among the others if these are too few.

    Args:
        result: Of the validation.
        names: Image of the set to its file.
        count: The most images.

    Returns:
        Their ids, in the order of the set.
    """
    with_objects = set(result.object_image_ids.tolist())
    groups = [[image for image in names if (image in with_objects) is wanted] for wanted in (True, False)]
    chosen = _evenly(groups[0], count)
    chosen += _evenly(groups[1], count - len(chosen))
    kept = set(chosen)
    return [image for image in names if image in kept]


def _evenly(items: Sequence[int], count: int) -> list[int]:
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def draw_samples(
    result: ValidationResult, files: Mapping[int, str], class_names: Sequence[str], score: float, read_image: ReadImage
) -> np.ndarray | None:
    """Draw images with their labels beside the same with predictions.

    Args:
        result: Of the validation.
        files: Image to its file, of those to be drawn.
        class_names: By label.
        score: The lowest of the predictions shown.
        read_image: From a file to (h, w, 3) uint8 BGR.

    Returns:
        (H, W, 3) uint8 RGB; None if no image can be read.
    """
    pairs = []
    for image, file in files.items():
        try:
            pixels = read_image(file)
        except OSError as error:
            logger.debug('%s is not drawn: %s', file, error)
            continue
        pixels, scale = _shrunk(pixels)
        mine = (result.object_image_ids == image) & ~result.crowds
        found = (result.image_ids == image) & (result.scores >= score)
        labels = InstanceData(
            bboxes=torch.from_numpy(result.object_boxes[mine] * scale),
            labels=torch.from_numpy(result.object_labels[mine]),
        )
        predictions = InstanceData(
            bboxes=torch.from_numpy(result.boxes[found] * scale),
            labels=torch.from_numpy(result.labels[found]),
            scores=torch.from_numpy(result.scores[found]),
        )
        name = Path(file).name
        headings = (f'{name[:MAX_HEADING]}: labels', f'predictions from {score:.2f}')
        sides = [draw_instances(pixels, boxes, class_names, line_width=2) for boxes in (labels, predictions)]
        pairs.append(list(zip(sides, headings)))
    return _page(pairs) if pairs else None


def _shrunk(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return RGB pixels whose longer side is `SIDE`, and the scale of coordinates."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(pixels, size, interpolation=interpolation), cv2.COLOR_BGR2RGB), scale


def _page(pairs: Sequence[Sequence[tuple[np.ndarray, str]]]) -> np.ndarray:
    """Place pairs beside and below each other, about twice as wide as high."""
    columns = 1 if len(pairs) < 3 else 2
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    heights = [max(image.shape[0] for pair in row for image, _ in pair) + LINE + GAP for row in rows]
    width = columns * 2 * (SIDE + GAP) + GAP
    canvas = Image.new('RGB', (width, sum(heights) + GAP), 'white')
    draw, font = ImageDraw.Draw(canvas), ImageFont.truetype(usual_font_file(), FONT)
    top = GAP
    for row, height in zip(rows, heights):
        for place, (image, heading) in enumerate(cell for pair in row for cell in pair):
            left = GAP + place * (SIDE + GAP)
            draw.text((left, top), _fitted(heading, font), fill='black', font=font)
            canvas.paste(Image.fromarray(image), (left, top + LINE))
        top += height
    return np.array(canvas)


def _fitted(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Cut a text at its beginning, where the name of a file has least to say, until it fits above its image."""
    too_much = font.getlength(text) - SIDE
    cut = math.ceil(len(text) * too_much / font.getlength(text)) + 1 if too_much > 0 else 0
    return f'…{text[cut:]}' if cut else text
