"""Pictures of predictions: lines and text follow the size of the image, and labels leave their objects uncovered.

In place of mmdet's visualizer, which writes labels of 6 to 13 points into the boxes whatever the size of the image.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import get_palette
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw, ImageFont

from .fonts import fit_font, usual_font_file

Colour = tuple[int, int, int]
MASK_OPACITY = 0.45


def class_colours(palette, num_classes: int) -> Sequence[Colour]:
    """Give each class a colour.

    Args:
        palette: colours, or the name of a palette of mmdet; colours that are too few are replaced by random ones.
        num_classes: how many are needed.

    Returns:
        At least `num_classes` RGB colours.
    """
    if palette is None or (not isinstance(palette, str) and len(palette) < num_classes):
        palette = 'random'
    try:
        colours = get_palette(palette, num_classes)
    except AssertionError:  # a named palette for fewer classes
        colours = get_palette('random', num_classes)
    return [tuple(int(value) for value in colour) for colour in colours]


def draw_instances(
    image: np.ndarray, instances: InstanceData, classes: Sequence[str], palette=None, line_width: int | None = None
) -> np.ndarray:
    """Draw boxes with their classes and scores, and masks where there are any.

    Args:
        image: (H, W, 3) uint8 RGB.
        instances: `bboxes` (n, 4) xyxy or (n, 5) centre, width, height and angle in radians, in pixels; `labels` (n,);
            optional `scores` (n,) and `masks` (n, H, W) bool.
        classes: names of the labels.
        palette: see `class_colours`.
        line_width: in pixels; by default about one in 300 of the image's size.

    Returns:
        (H, W, 3) uint8 RGB, another array.
    """
    height, width = image.shape[:2]
    size = (height * width) ** 0.5
    line_width = line_width or max(round(size / 300), 1)
    smallest, largest = (int(min(max(size / part, 9), 32)) for part in (110, 48))  # of text, in pixels
    colours = class_colours(palette, len(classes))
    names, font_file = _legible(tuple(classes))
    labels = instances.labels.tolist()
    if 'masks' in instances:
        image = _blend_masks(image, instances.masks, [colours[label] for label in labels])
    canvas = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(canvas)
    scores = instances.scores.tolist() if 'scores' in instances else [None] * len(labels)
    corners = _corners(get_box_tensor(instances.bboxes).detach().cpu().double().numpy()).round()
    order = sorted(range(len(labels)), key=lambda i: scores[i] or 0)  # the best is drawn last, over the others
    for index in order:
        points = [tuple(point) for point in corners[index]]
        draw.line(points + points[:2], colours[labels[index]], line_width, joint='curve')
    for index in order:
        label, score, points = labels[index], scores[index], corners[index]
        text = names[label] if score is None else f'{names[label]} {score:.2f}'
        side = np.ptp(points, axis=0).min()
        font = _font(font_file, int(min(max(0.3 * side, smallest), largest)))
        _write(draw, text, points, colours[label], font, line_width, canvas.size)
    return np.array(canvas)


@cache
def _legible(classes: tuple[str, ...]) -> tuple[list[str], str]:
    """Return names as they can be drawn, and the file of a font that has their characters and those of scores."""
    (*names, _), font = fit_font([*classes, ' .0123456789'])
    return names, usual_font_file() if font is None else font.file


@cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) xyxy or (n, 5) rotated boxes -> (n, 4, 2) corners in turn."""
    if boxes.shape[-1] == 4:
        return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    centre, (w, h), angle = boxes[:, None, :2], boxes[:, 2:4].T / 2, boxes[:, 4]
    along = np.stack([w * np.cos(angle), w * np.sin(angle)], -1)[:, None]
    across = np.stack([-h * np.sin(angle), h * np.cos(angle)], -1)[:, None]
    return centre + np.concatenate([-along - across, along - across, along + across, across - along], 1)


def _blend_masks(image: np.ndarray, masks, colours: Sequence[Colour]) -> np.ndarray:
    masks = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)
    blended = image.astype(np.float32)
    for mask, colour in zip(masks.astype(bool), colours):
        blended[mask] += MASK_OPACITY * (np.float32(colour) - blended[mask])
    return blended.round().astype(np.uint8)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    points: np.ndarray,
    colour: Colour,
    font: ImageFont.FreeTypeFont,
    line_width: int,
    size: tuple[int, int],
) -> None:
    """Write a label on its colour: above the box, where that is outside the image below, and else inside."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font, anchor='lt')
    pad = max(font.size // 6, 1)
    w, h = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(points[:, 0].min() - line_width // 2, 0), max(size[0] - w, 0))
    above, below = points[:, 1].min() - h, points[:, 1].max()
    y = above if above >= 0 else below if below + h <= size[1] else max(points[:, 1].min(), 0)
    draw.rectangle((x, y, x + w, y + h), fill=colour)
    is_bright = np.dot(colour, (0.299, 0.587, 0.114)) > 140
    draw.text((x + pad, y + pad), text, fill='black' if is_bright else 'white', font=font, anchor='lt')
