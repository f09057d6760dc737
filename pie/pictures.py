"""The picture that the platform shows after each epoch of a detection."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmyolo.utils.files import replacing
from pie.metrics import Boxes, image_f1

SMALLEST, LARGEST = 480, 1600  # longest side of the picture: names can be read, and it is pushed and shown quickly
MAX_BOXES = 200


def best_image(images: Sequence[tuple[str, Boxes, Boxes]], confidence: float) -> int:
    """Return the image with the best predictions: of the highest F1, then of the most objects, then the first one.

    Args:
        images: Path, predicted and labelled boxes of each.
        confidence: From which on predictions count.
    """
    return max(
        range(len(images)),
        key=lambda index: (
            image_f1(images[index][1], images[index][2], confidence),
            len(images[index][2].labels),
            -index,
        ),
    )


def draw_boxes(
    image: np.ndarray,
    boxes: Boxes,
    names: Sequence[str] | None,
    colors: Sequence[Sequence[int]],
    confidence: float,
    most: int = MAX_BOXES,
) -> np.ndarray:
    """Draw predictions.

    Args:
        image: (h, w, 3) uint8, BGR.
        boxes: In its pixels.
        names: Of the classes; None for boxes without words.
        colors: (red, green, blue) of each class.
        confidence: From which on predictions are drawn.
        most: How many are drawn.

    Returns:
        A new picture, BGR.
    """
    longest = max(image.shape[:2])
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    sides = [max(round(side * scale), 1) for side in image.shape[1::-1]]  # a thin image stays visible
    picture = image.copy() if scale == 1 else cv2.resize(image, sides, interpolation=method)
    width = max(round(max(picture.shape[:2]) / 400), 1)
    size = max(max(picture.shape[:2]) / 1600, 0.35)
    chosen = [index for index in np.argsort(-boxes.scores) if boxes.scores[index] >= confidence][:most]
    for index in reversed(chosen):  # the surest one on top
        x1, y1, x2, y2 = (int(round(float(value) * scale)) for value in boxes.boxes[index])
        label = int(boxes.labels[index])
        color = tuple(int(part) for part in reversed(colors[label]))
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, width)
        if names is not None:
            _write(picture, f'{names[label]} {boxes.scores[index]:.2f}', (x1, y1), color, size)
    return picture


def _write(picture: np.ndarray, words: str, corner: tuple[int, int], color: tuple[int, ...], size: float) -> None:
    """Write words on a bar in the colour of their class, within the picture."""
    words = words.encode('ascii', 'replace').decode()  # OpenCV has no other letters
    (width, height), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = min(max(corner[0], 0), max(picture.shape[1] - width, 0))
    y = max(corner[1], height + below)
    cv2.rectangle(picture, (x, y - height - below), (x + width, y), color, cv2.FILLED)
    is_bright = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2] > 140
    ink = (0, 0, 0) if is_bright else (255, 255, 255)
    cv2.putText(picture, words, (x, y - below // 2), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Replace a picture as a whole.

    Args:
        path: A PNG file.
        picture: (h, w, 3) uint8, BGR.
    """
    _, data = cv2.imencode('.png', picture)
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
