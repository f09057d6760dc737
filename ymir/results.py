"""From predictions to what the platform reads, one image at a time (contract sections d.3 and d.5)."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from tmi.errors import NoReadableImageError
from tmi.inference.shards import Prediction
from ymir_exc.result_writer import Annotation, Box, InferResultWriter, SegmentationResultWriter
from ymir_exc.segmentation_result import Instance
from ymir_exc.skipped_images import CANDIDATES, SKIPPED_IMAGES_FILE, SkippedImage, SkippedImagesWriter

logger = logging.getLogger('ymir')

SHOWN = 5  # images named in a warning


class SkippedCandidates:
    """The candidates that could not be read, found while predictions pass by.

    Args:
        out_dir: Of the task, where skipped-images.tsv is written.
        num_images: Of the task.
    """

    def __init__(self, out_dir: str, num_images: int) -> None:
        self._out_dir = out_dir
        self._num_images = num_images
        self._first: list[SkippedImage] = []
        self._count = 0

    def watch(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Pass predictions on, and write skipped-images.tsv at their end.

        Args:
            predictions: Of all images.

        Yields:
            The predictions.
        """
        self._first, self._count = [], 0
        with SkippedImagesWriter(self._out_dir) as writer:
            for prediction in predictions:
                if not prediction.readable:
                    image = SkippedImage(CANDIDATES, prediction.path, prediction.problem)
                    writer.write(image)
                    self._first.extend([image] if len(self._first) < SHOWN else [])
                yield prediction
            self._count = writer.count

    def report(self) -> None:
        """Say which images could not be read; after the result has been written, for it is valid in any case.

        Raises:
            TaskError: 300003 if no image could be read.
        """
        count = self._count
        listing = ', '.join(f'{image.path} ({image.reason})' for image in self._first)
        listing += ', ...' if count > SHOWN else ''
        if count and count == self._num_images:
            raise NoReadableImageError(
                f'None of the {count} images can be read: {listing}. JPEG, PNG and BMP files that OpenCV can decode '
                'are needed.'
            )
        if count:
            logger.warning(
                '%d of %d images were skipped because they cannot be read; %s names all of them: %s',
                count,
                self._num_images,
                SKIPPED_IMAGES_FILE,
                listing,
            )


def to_annotations(prediction: Prediction, class_names: Sequence[str]) -> list[Annotation]:
    """Bring boxes into the platform's form.

    Corners are rounded to the nearest pixel, halves upwards; a box keeps at least one pixel in each direction and
    stays within the image.

    Args:
        prediction: Of one image.
        class_names: Names of the labels.

    Returns:
        One annotation per box, best first.
    """
    boxes = (Box(x=x, y=y, w=w, h=h) for x, y, w, h in map(_xywh, prediction.boxes, repeat(prediction.size)))
    return [
        Annotation(class_name=class_names[label], score=score, box=box)
        for box, score, label in zip(boxes, prediction.scores, prediction.labels)
    ]


def to_instances(prediction: Prediction) -> list[Instance]:
    """Bring objects with masks into the platform's form.

    Left out are objects whose mask has no pixel, and those of the class and the box of a better one, which the platform
    would drop.

    Args:
        prediction: Of one image, with masks.

    Returns:
        Its objects, best first, boxes as of `to_annotations`.
    """
    boxes = map(_xywh, prediction.boxes, repeat(prediction.size))
    values = zip(prediction.labels, prediction.scores, boxes, prediction.areas, prediction.masks)
    found: dict[Any, Instance] = {}
    for instance in (Instance(*value) for value in values):
        if instance.area:
            found.setdefault((instance.class_id, instance.bbox), instance)
    return list(found.values())


def _xywh(box: Sequence[float], size: Sequence[int]) -> tuple[int, int, int, int]:
    left, right = _pixels(box[0], box[2], size[0])
    top, bottom = _pixels(box[1], box[3], size[1])
    return left, top, right - left, bottom - top


def _pixels(low: float, high: float, limit: int) -> Sequence[int]:
    first = min(max(math.floor(low + 0.5), 0), limit - 1)
    return first, min(max(math.floor(high + 0.5), first + 1), limit)


def write_infer_result(predictions: Iterable[Prediction], class_names: Sequence[str], masks: bool = False) -> int:
    """Write infer-result.json.

    The platform knows images by their file names alone: an image that is listed twice is written once, and of
    different images of one name the first is.

    Args:
        predictions: Of all images in the order of the index file.
        class_names: Names of the labels.
        masks: Write the form of instance segmentation; the predictions have masks.

    Returns:
        How many objects were written.
    """
    repeated = objects = 0
    with SegmentationResultWriter(class_names) if masks else InferResultWriter() as writer:
        for prediction in predictions:
            if masks:
                found = to_instances(prediction)
                earlier = writer.write_new(prediction.path, prediction.size, found)
            else:
                found = to_annotations(prediction, class_names)
                earlier = writer.write_new(prediction.path, found)
            if earlier is None:
                objects += len(found)
            else:
                repeated += 1
    if repeated:
        logger.warning(
            '%d images have the file name of an earlier one and were left out: the platform distinguishes images '
            'apart by their names alone',
            repeated,
        )
    return objects
