"""Ranks generated images by the product's own code: predictor, statistics, algorithm and order."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.mining.detector import FrozenPredictor, Prepared
from benchmarks.mining.scenes import CLASS_NAMES, Scenes
from tmi.inference.embeddings import Embeddings, EmbeddingWriter
from tmi.inference.images import Image
from tmi.inference.shards import Prediction
from tmi.inference.worker import to_prediction
from tmi.mining import ALGORITHMS
from tmi.mining.algorithm import Algorithm, BoxAlgorithm
from tmi.mining.calibration import fit_calibration
from tmi.mining.centroids import find_centroids
from tmi.mining.matching import match_labels
from tmi.mining.rank import Ranking, rank
from tmi.mining.stats import MiningStats
from tmi.settings import MiningSettings
from tmi.training.examination import ExaminedImage, Labels
from tmi.training.mining_stats import detections

SCORE_THR = 0.01  # of the boxes that the ranking gets


class BoxCount(BoxAlgorithm):
    """Images with many boxes first; shows how much of another algorithm's merit is that it finds crowds."""

    def box_terms(self, prediction: Prediction) -> np.ndarray:
        return np.asarray(prediction.scores, dtype=np.float64)


class Oracle(Algorithm):
    """The images in which the model makes most mistakes first, which only who knows the labels can tell."""

    errors: np.ndarray  # (N,) missed and false boxes

    def uncertainty(self, prediction: Prediction) -> float:
        return float(self.errors[prediction.index])


@dataclass(frozen=True)
class Arm:
    """One way to rank.

    Args:
        algorithm: A value of `mining_algorithm`, `box_count` or `oracle`.
        settings: Of mining, where they are not the defaults.
        negated: Whether the images that it would label last come first: a score that means anything must lose then.
        has_stats: Whether it gets the statistics of the training.
    """

    algorithm: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    negated: bool = False
    has_stats: bool = True


STUDY_ONLY: dict[str, type[Algorithm]] = {'box_count': BoxCount, 'oracle': Oracle}
ARMS: dict[str, Arm] = {
    **{name: Arm(name) for name in (*ALGORITHMS, *STUDY_ONLY) if name != 'cald_legacy'},  # it reads files
    'hybrid_negated': Arm('hybrid', negated=True),
    'entropy_negated': Arm('entropy', negated=True),
    'hybrid_no_stats': Arm('hybrid', has_stats=False),
    'hybrid_no_diversity': Arm('hybrid', {'mining_diversity': 0.0}),
    'hybrid_no_balance': Arm('hybrid', {'mining_class_balance': 0.0}),
    'hybrid_no_explore': Arm('hybrid', {'mining_explore': 0.0}),
}


@dataclass
class Inspected:
    """What a model sees in some images.

    Args:
        predictions: Of each image, boxes above `SCORE_THR`.
        embeddings: (n, 128) float32.
    """

    predictions: list[Prediction]
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.predictions)

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return embeddings, as `tmi.inference.embeddings.Embeddings` does."""
        return self.embeddings[indices]

    def subset(self, indices: Sequence[int]) -> 'Inspected':
        """Return some of the images, whose predictions are numbered anew."""
        chosen = [self.predictions[k]._replace(index=place) for place, k in enumerate(indices)]
        return Inspected(chosen, self.embeddings[np.asarray(indices, dtype=np.int64)])


def inspect(model: nn.Module, prepared: Prepared, algorithm: type[Algorithm] | None = None) -> Inspected:
    """Let a model look at images.

    Args:
        model: In eval mode.
        prepared: The images.
        algorithm: Whose `measure` gives the value of each image, if it has one.
    """
    predictor = FrozenPredictor(model, prepared, SCORE_THR)
    measure = algorithm(_settings(Arm(''))).measure if algorithm and algorithm.measure else None
    with_class_maps = bool(algorithm and algorithm.with_class_maps)
    predictions: list[Prediction] = []
    with tempfile.TemporaryDirectory() as folder:
        writer = EmbeddingWriter(Path(folder), 0)
        for place, one in enumerate(predictor.run('inspect', measure, with_class_maps)):
            writer.write([one.embedding.numpy()])
            height, width = prepared.scenes.images.shape[1:3]
            predictions.append(to_prediction(Image(place, str(place), {'ori_shape': (height, width)}), one))
        writer.close()
        embeddings = Embeddings(Path(folder), 1, len(predictions)).rows(np.arange(len(predictions)))
    return Inspected(predictions, embeddings)


def matches(prediction: Prediction, scenes: Scenes, index: int) -> np.ndarray:
    """Return for each box of an image the label that it found, -1 for none, (n,)."""
    boxes = np.asarray(prediction.boxes, dtype=np.float64).reshape(-1, 4)
    return match_labels(boxes, np.asarray(prediction.labels), scenes.boxes[index], scenes.labels[index])


def count_errors(inspected: Inspected, scenes: Scenes, score_thr: float = 0.25) -> np.ndarray:
    """Return the missed and the false boxes of each image, (n, 2), at a score that users of a detector would set."""
    errors = []
    for index, prediction in enumerate(inspected.predictions):
        found = matches(prediction.above(score_thr), scenes, index)
        errors.append((len(scenes.labels[index]) - np.sum(found >= 0), np.sum(found < 0)))
    return np.array(errors)


def fit_stats(
    labelled: Inspected,
    labelled_scenes: Scenes,
    validation: Inspected,
    validation_scenes: Scenes,
    precision: np.ndarray,
) -> MiningStats:
    """Fit the statistics that a training leaves beside its weights.

    Args:
        labelled: What the model sees in its training images.
        labelled_scenes: Those with their labels.
        validation: What it sees in its validation images.
        validation_scenes: Those with their labels.
        precision: (C,) average precision of each class on the validation images, nan where unknown.
    """
    samples = detections(_examined(validation, validation_scenes))
    calibration, calibration_all = fit_calibration(*samples, len(CLASS_NAMES))
    return MiningStats(
        class_names=list(CLASS_NAMES),
        num_boxes=labelled_scenes.class_counts.sum(0),
        num_images=len(labelled_scenes),
        average_precision=np.asarray(precision, dtype=np.float64),
        calibration=calibration,
        calibration_all=calibration_all,
        centroids=find_centroids(labelled.embeddings),
    )


def _examined(inspected: Inspected, scenes: Scenes) -> Iterator[ExaminedImage]:
    for prediction, boxes, labels in zip(inspected.predictions, scenes.boxes, scenes.labels):
        yield ExaminedImage(False, Labels(boxes, labels, np.zeros(len(labels), bool)), prediction)


def rank_images(
    arm: Arm, inspected: Inspected | None, num_images: int, stats: MiningStats | None, seed: int, scenes: Scenes
) -> Ranking:
    """Rank images as the product does.

    Args:
        arm: How.
        inspected: What the model sees in them; None for an algorithm that needs no model.
        num_images: N.
        stats: Of the training.
        seed: `mining_seed`.
        scenes: The images with their labels, which only the oracle looks at.

    Returns:
        The ranking; of a negated arm backwards.
    """
    algorithm = {**ALGORITHMS, **STUDY_ONLY}[arm.algorithm](_settings(arm, seed), stats if arm.has_stats else None)
    if isinstance(algorithm, Oracle):
        algorithm.errors = count_errors(inspected, scenes).sum(1)
    predictions = (
        inspected.predictions if inspected else [Prediction(k, str(k), size=(1, 1)) for k in range(num_images)]
    )
    ranking = rank(predictions, num_images, algorithm, inspected)
    if arm.negated:
        ranking.positions = ranking.positions[::-1]
    return ranking


def _settings(arm: Arm, seed: int = 0) -> MiningSettings:
    return MiningSettings(class_names=list(CLASS_NAMES), mining_seed=seed, **arm.settings)
