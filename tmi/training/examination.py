"""The images of a training as its model sees them, beside their labels: one pass that all who compare the two share.

The processes that predict for mining run over the training and the validation images, with the boxes, supports and
embeddings that mining will ask for. What is large stays on the disk: `Examination` reads it again at each iteration.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tmi.inference.embeddings import Embeddings
from tmi.inference.plan import make_plan
from tmi.inference.run import predict
from tmi.inference.shards import Prediction, merge_shards
from tmi.settings import MiningSettings, TrainingSettings
from tmi.training.data import Coco, TrainingData

MAX_IMAGES = 5_000  # of each set
SCORE_THR = 0.01  # low, as a label that the model hardly sees is of interest too


class Labels(NamedTuple):
    """The labels of one image.

    Args:
        boxes: (m, 4) float64, xyxy in pixels.
        classes: (m,) int64, positions in the class names.
        crowd: (m,) bool, boxes around many objects.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray


class ExaminedImage(NamedTuple):
    """One image, as it is labelled and as the model sees it.

    Args:
        is_training: Whether the model was trained on it; else it was validated on it.
        labels: What it is labelled with.
        prediction: What the model found, boxes above `SCORE_THR` with support and spread; `index` is the position of
            the image in `Examination.embeddings`.
    """

    is_training: bool
    labels: Labels
    prediction: Prediction


class Examination:
    """What `examine` found, the training images before the validation images; can be iterated again and again.

    Args:
        folder: Where the predicting processes left their files; it must stay as long as this is used.
        world_size: How many processes there were.
        labels: Of each image, in the order of the predictions.
        num_training: How many of the images were trained on.
    """

    def __init__(self, folder: Path, world_size: int, labels: Sequence[Labels], num_training: int) -> None:
        self._folder = folder
        self._world_size = world_size
        self._labels = labels
        self.num_training = num_training
        self.embeddings = Embeddings(folder, world_size, len(labels))

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[ExaminedImage]:
        predictions = merge_shards(self._folder, self._world_size, len(self._labels))
        for place, (labels, prediction) in enumerate(zip(self._labels, predictions)):
            yield ExaminedImage(place < self.num_training, labels, prediction)


class ChosenImages:
    """The images of both sets that are looked at, with their labels.

    Args:
        data: The two sets.
        seed: Of the draw.
        max_images: The most images of each set; of larger ones every so many are taken.
    """

    def __init__(self, data: TrainingData, seed: int = 0, max_images: int = MAX_IMAGES) -> None:
        self.source = str(data.train_file)
        self.paths: list[str] = []
        self.labels: list[Labels] = []
        self._add(data.train_file, seed, max_images)
        self.num_training = len(self.paths)
        self._add(data.val_file, seed, max_images)

    def __len__(self) -> int:
        return len(self.paths)

    def _add(self, file: Path, seed: int, max_images: int) -> None:
        coco: Coco = json.loads(file.read_text(encoding='utf-8'))
        images = coco['images']
        if len(images) > max_images:
            step = len(images) / max_images
            first = np.random.default_rng(seed).random() * step
            images = [images[min(int(first + number * step), len(images) - 1)] for number in range(max_images)]
        annotations: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in images}
        for annotation in coco['annotations']:
            if annotation['image_id'] in annotations:
                annotations[annotation['image_id']].append(annotation)
        self.paths.extend(image['file_name'] for image in images)
        self.labels.extend(_labels(annotations[image['id']]) for image in images)


def examine(
    params: TrainingSettings,
    files: Sequence[Path],
    chosen: ChosenImages,
    folder: Path,
    on_progress: Callable[[int], None],
) -> Examination:
    """Let a trained model look at images that it was trained and validated on.

    Args:
        params: Of the training; its devices are used, whose GPUs this process has made the only ones to be seen.
        files: The weights, and the config that belongs to them.
        chosen: The images.
        folder: Deleted and made anew; whoever calls deletes it when the examination is no longer needed.
        on_progress: Called with the number of images done.

    Returns:
        The images with what the model found; those that cannot be read too.

    Raises:
        TaskError: What went wrong in a predicting process.
    """
    settings = MiningSettings(
        class_names=params.class_names,
        gpu_id=','.join(map(str, range(len(params.gpu_ids)))),  # by position among those that can be seen
        model_params_path=list(map(str, files)),
        workers_per_gpu=params.workers_per_gpu,
        precision=params.precision,
        log_level=params.log_level,
        mining_algorithm='entropy',  # any that looks at boxes alone
    )
    plan = make_plan(settings, chosen.source, len(chosen), '/', SCORE_THR, settings)
    shutil.rmtree(folder, ignore_errors=True)  # of other weights
    predict(plan, chosen.paths, folder, on_progress)
    return Examination(folder, plan.world_size, chosen.labels, chosen.num_training)


def _labels(annotations: Sequence[dict[str, Any]]) -> Labels:
    boxes = np.array([annotation['bbox'] for annotation in annotations], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Labels(
        boxes,
        np.array([annotation['category_id'] for annotation in annotations], dtype=np.int64),
        np.array([bool(annotation.get('iscrowd')) for annotation in annotations], dtype=bool),
    )
