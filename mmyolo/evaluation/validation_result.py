"""What a detector found in a validation set and how good that is, class by class: kept for whoever looks closer."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import IO, NamedTuple

import numpy as np


class ClassCurves(NamedTuple):
    """How well each of C classes is found; NaN for a class without objects.

    Args:
        curves: (R, C) precision at R recalls from 0 to 1, at IoU 0.5, as COCO has it: the best at that recall or above.
        ap: (C,) COCO's average precision over IoU 0.5 to 0.95.
        ap50: (C,) at IoU 0.5.
        ar: (C,) COCO's average recall over IoU 0.5 to 0.95.
    """

    curves: np.ndarray
    ap: np.ndarray
    ap50: np.ndarray
    ar: np.ndarray


@dataclass(frozen=True)
class ValidationResult:
    """The predictions and the objects of a validation; boxes are xyxy in pixels of the image.

    Args:
        curves, ap, ap50, ar: see `ClassCurves`.
        image_ids: (N,) image of each prediction, as the annotation file numbers them.
        labels: (N,) int32 position of its class.
        boxes: (N, 4) float32.
        scores: (N,) float32.
        object_image_ids: (M,) image of each object of the classes.
        object_labels: (M,) int32.
        object_boxes: (M, 4) float64.
        crowds: (M,) bool, boxes around many objects.
    """

    curves: np.ndarray
    ap: np.ndarray
    ap50: np.ndarray
    ar: np.ndarray
    image_ids: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    object_image_ids: np.ndarray
    object_labels: np.ndarray
    object_boxes: np.ndarray
    crowds: np.ndarray

    @property
    def num_classes(self) -> int:
        return len(self.ap)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, item.name).nbytes for item in fields(self))

    @classmethod
    def of(
        cls, predictions: Sequence[dict], annotations: Sequence[dict], label_of: dict[int, int], curves: ClassCurves
    ) -> 'ValidationResult':
        """Take boxes out of predictions and annotations.

        Args:
            predictions: `img_id`, `bboxes` (n, 4) xyxy, `scores` (n,), `labels` (n,) of each image.
            annotations: COCO's, of the classes of the set.
            label_of: Category id to label.
            curves: Of the same.
        """
        counts = [len(prediction['scores']) for prediction in predictions]

        def joined(name: str, kind: type, *shape: int) -> np.ndarray:
            rows = [np.asarray(prediction[name], kind).reshape(-1, *shape) for prediction in predictions]
            return np.concatenate(rows or [np.zeros((0, *shape), kind)])

        boxes = np.array([annotation['bbox'] for annotation in annotations], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return cls(
            *curves,
            image_ids=np.repeat(np.array([prediction['img_id'] for prediction in predictions]), counts),
            labels=joined('labels', np.int32),
            boxes=joined('bboxes', np.float32, 4),
            scores=joined('scores', np.float32),
            object_image_ids=np.array([annotation['image_id'] for annotation in annotations]),
            object_labels=np.array([label_of[annotation['category_id']] for annotation in annotations], np.int32),
            object_boxes=boxes,
            crowds=np.array([bool(annotation['iscrowd']) for annotation in annotations], bool),
        )

    def write(self, stream: IO[bytes]) -> None:
        """Write the arrays in NumPy's format without objects: some 30 bytes a prediction.

        Args:
            stream: Of bytes.

        Raises:
            ValueError: Images are numbered by something else than numbers or text.
        """
        arrays = {item.name: getattr(self, item.name) for item in fields(self)}
        if any(array.dtype.hasobject for array in arrays.values()):
            raise ValueError('The images of a validation are numbered by something else than numbers or text')
        np.savez(stream, **arrays)

    @classmethod
    def read(cls, stream: IO[bytes]) -> 'ValidationResult':
        """Read what `write` wrote.

        Args:
            stream: Of bytes.

        Raises:
            ValueError: It is something else.
        """
        with np.load(stream, allow_pickle=False) as arrays:
            missing = [item.name for item in fields(cls) if item.name not in arrays.files]
            if missing:
                raise ValueError(f'The result of a validation has no {", ".join(missing)}')
            return cls(**{item.name: arrays[item.name] for item in fields(cls)})
