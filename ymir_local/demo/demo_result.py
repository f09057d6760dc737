"""What the demo shows of its runs: accuracy against labels, the files written, a picture."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ymir_exc.reading import read_infer_result

from ..platform.labels import LabelledBox, LabelledImage
from ..report.evaluation import BoxTable, evaluate

# BGR, one per class in turn
PALETTE = (
    (60, 76, 231),
    (113, 204, 46),
    (219, 152, 52),
    (15, 196, 241),
    (182, 89, 155),
    (156, 188, 26),
    (34, 126, 230),
)
Prediction = tuple[LabelledBox, float]


def read_predictions(result_file: Path, class_names: Sequence[str]) -> dict[str, list[Prediction]]:
    """Read infer-result.json.

    Args:
        result_file: its path.
        class_names: names by class index.

    Returns:
        Stem of the image name to boxes with scores.
    """
    index = {name: k for k, name in enumerate(class_names)}
    return {
        Path(name).stem: [
            (LabelledBox(index[item.class_name], **dict(zip('xywh', item.xywh))), item.score) for item in objects
        ]
        for name, objects in read_infer_result(result_file).items()
    }


def mean_average_precision(labels: Sequence[LabelledImage], predictions: Sequence[Sequence[Prediction]]) -> float:
    """Compute COCO's mAP at IoU 0.5 to 0.95, as a report does.

    Args:
        labels: images with their boxes.
        predictions: for each image the predicted boxes with scores.

    Returns:
        mAP; -1 if no image has a box.
    """
    truth = _boxes([box for box in image.boxes if not box.difficult] for image in labels)
    ignored = _boxes([*image.crowds, *(box for box in image.boxes if box.difficult)] for image in labels)
    found = replace(
        _boxes([box for box, _ in boxes] for boxes in predictions),
        score=np.array([score for boxes in predictions for _, score in boxes], float),
    )
    num_classes = 1 + max((int(boxes.label.max()) for boxes in (truth, ignored, found) if len(boxes)), default=0)
    return evaluate(found, truth, num_classes, len(labels), ignored).map if len(truth) else -1.0


def _boxes(images: Iterable[Sequence[LabelledBox]]) -> BoxTable:
    return BoxTable.of([(k, b.class_index, b.x, b.y, b.w, b.h, 1) for k, boxes in enumerate(images) for b in boxes])


def draw_comparison(
    path: Path,
    images: Sequence[LabelledImage],
    predictions: Sequence[Sequence[Prediction]],
    class_names: Sequence[str],
    min_score: float = 0.3,
    tile: int = 360,
) -> None:
    """Write one picture: for each image the labels on the left and the predictions on the right.

    Args:
        path: the PNG to write.
        images: what to show, two per row.
        predictions: for each image the predicted boxes with scores.
        class_names: names by class index.
        min_score: predictions below it are not drawn.
        tile: side of one panel in pixels.
    """
    pairs = []
    for image, boxes in zip(images, predictions):
        labels = [(box, class_names[box.class_index]) for box in image.boxes]
        found = [(box, f'{class_names[box.class_index]} {score:.2f}') for box, score in boxes if score >= min_score]
        pairs.append(
            np.hstack([_panel(image.path, labels, 'labels', tile), _panel(image.path, found, 'predictions', tile)])
        )
    pairs += [np.full_like(pairs[0], 255)] * (len(pairs) % 2)
    gap = np.full((pairs[0].shape[0], 12, 3), 255, np.uint8)
    rows = [np.hstack([left, gap, right]) for left, right in zip(pairs[::2], pairs[1::2])]
    cv2.imwrite(str(path), np.vstack(rows))


def _colour_of(box: LabelledBox) -> tuple[int, int, int]:
    return PALETTE[box.class_index % len(PALETTE)]


def _panel(path: Path, boxes: Sequence[tuple[LabelledBox, str]], title: str, side: int) -> np.ndarray:
    picture = cv2.imread(str(path))
    scale = (side - 12) / max(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for box, _ in boxes:
        corner = round((box.x + box.w) * scale), round((box.y + box.h) * scale)
        cv2.rectangle(picture, (round(box.x * scale), round(box.y * scale)), corner, _colour_of(box), 2)
    for box, text in boxes:  # after all boxes, so that none crosses a text
        left, top = round(box.x * scale), round(box.y * scale)
        width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]
        text_top = max(top - 14, 0)
        text_left = max(min(left, picture.shape[1] - width - 4), 0)
        cv2.rectangle(picture, (text_left, text_top), (text_left + width + 4, text_top + 14), _colour_of(box), -1)
        cv2.putText(
            picture,
            text,
            (text_left + 2, text_top + 11),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
    panel = np.full((side + 14, side, 3), 255, np.uint8)
    cv2.putText(panel, title, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    top, left = 20 + (side - 12 - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
    panel[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return panel
