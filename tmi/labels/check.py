"""Labels worth another look: those that a trained model contradicts with confidence, most doubtful first.

Where a model and a label disagree, the label is wrong or the object is hard, and which is likelier follows from how
often the model disagrees with labels of what looks alike. So each disagreement is held against the rate d of such ones
(`Rates`): for a prediction, by class, score and support; for a label, by class, size and surroundings; for a loose box,
by how well boxes of its size fit. The label is wrong with probability p / (p + d), p the prior of the kind, so that one
ranking serves all kinds. Rates are fitted on the data in question, most of whose labels are right, apart for images
that were trained on and for others.

That each class has a confidence of its own is due to confident learning (1911.00068), the kinds of damage to ObjectLab
(2309.00832).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tmi.labels.pairs import Case, PredictedBoxes, pair
from tmi.labels.rates import Observations, Rates
from tmi.mining.matching import MIN_IOU
from tmi.training.examination import ExaminedImage, Labels

CLASS, MISSING, EXTRA, LOOSE = KINDS = ('class', 'missing', 'extra', 'loose')
# Above any share of wrong labels, for these are among the disagreements that d counts. Objects are forgotten more often
# than invented.
PRIORS = {CLASS: 0.1, MISSING: 0.15, EXTRA: 0.07, LOOSE: 0.1}
LEAST_SCORE = 0.05  # of a prediction that may speak of a missing label
LEAST_DOUBT = 0.2  # below it, labels are as good as never wrong


class Box(NamedTuple):
    """A label or a prediction.

    Args:
        place: Its position among those of its image.
        label: Position of its class in class_names.
        xyxy: In pixels of the image.
    """

    place: int
    label: int
    xyxy: tuple[float, float, float, float]


class Doubt(NamedTuple):
    """A disagreement of a model with the labels of an image.

    Args:
        path: The image.
        is_training: Whether the model was trained on it.
        kind: 'class': the model predicts another class at the label; 'missing': it predicts an object without a label;
            'extra': it predicts nothing at the label; 'loose': the label fits the prediction poorly.
        label: None for 'missing'.
        prediction: None for 'extra'.
        score: In (0, 1), the probability that the label is wrong.
    """

    path: str
    is_training: bool
    kind: str
    label: Box | None
    prediction: Box | None
    score: float


def check_labels(images: Iterable[ExaminedImage], num_classes: int, least: float | None = None) -> list[Doubt]:
    """Find what a model contradicts in the labels of the images that it was trained and validated on.

    Args:
        images: With what the model predicts, down to scores of about 0.01; they are read twice, as they need not fit
            into memory. Those that could not be read are left out.
        num_classes: C.
        least: Lowest score of what is returned; None: `LEAST_DOUBT`.

    Returns:
        The disagreements, most doubtful first; equal ones in the order of the images.
    """
    observed = {True: Observations(), False: Observations()}
    for image in images:
        if image.prediction.readable:
            observed[image.is_training].add(_case(image))
    rates = {is_training: Rates(of_set, num_classes) for is_training, of_set in observed.items()}
    least = LEAST_DOUBT if least is None else least
    doubts = []
    for image in images:
        if image.prediction.readable:
            case = _case(image)
            doubts += [
                Doubt(image.prediction.path, image.is_training, kind, _box(case.labels, k), _box(case.found, at), score)
                for kind, k, at, score in _of_image(case, rates[image.is_training])
                if score >= least
            ]
    return sorted(doubts, key=lambda doubt: -doubt.score)


def _case(image: ExaminedImage) -> Case:
    found = PredictedBoxes.of(image.prediction)
    return Case(image.labels, found, pair(image.labels, found), tuple(image.prediction.size))


def _box(boxes: Labels | PredictedBoxes, place: int) -> Box | None:
    if place < 0:
        return None
    return Box(place, int(boxes[1][place]), tuple(boxes.boxes[place].tolist()))


def _of_image(case: Case, rates: Rates) -> list[tuple[str, int, int, float]]:
    """Return kind, label, prediction and score of each disagreement; -1 where there is no label or no prediction."""
    labels, found, pairs, size = case
    unlabelled, seen, missed = rates.unlabelled(found, pairs), rates.seen(found), rates.missed(labels, size)
    doubts = []
    for k in np.flatnonzero(~labels.crowd).tolist():
        place = int(pairs.prediction_of[k])
        if place < 0 or seen[place] < 1:
            sign = seen[pairs.iou[k] >= MIN_IOU].max(initial=0.0)
            doubts.append((EXTRA, k, -1, missed[k] + sign))
        elif found.labels[place] == labels.classes[k]:
            honest = rates.fit(labels.boxes[k], pairs.iou[k, place])
            doubts.append((LOOSE, k, place, unlabelled[place] + honest))
        else:
            doubts.append((CLASS, k, place, rates.other_class(found, pairs, place, labels.classes[k])))
    alone = pairs.leading & (pairs.label_of < 0) & ~pairs.repeated & (found.scores >= LEAST_SCORE)
    doubts += [(MISSING, -1, place, unlabelled[place]) for place in np.flatnonzero(alone).tolist()]
    return [(kind, k, place, float(PRIORS[kind] / (PRIORS[kind] + rate))) for kind, k, place, rate in doubts]
