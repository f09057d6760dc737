"""How often a model and honest labels disagree, by what they disagree about, fitted on the data itself."""

from collections.abc import Sequence

import numpy as np

from tmi.labels.pairs import Case, Pairs, PredictedBoxes
from tmi.mining.calibration import UNCHANGED, features, fit_calibration, fit_logistic, says_something, sigmoid
from tmi.mining.matching import MIN_IOU, iou_matrix
from tmi.training.examination import Labels

SEEN_SHARE = 0.3  # of the usual score of its class: a prediction that reaches it sees an object
CONFIDENT_SHARE = 0.5  # of the usual score of its class: from such predictions is learned how well labels fit
MIN_PAIRS = 20  # from which it can be learned
SHRINKAGE = 5  # labels with the usual score of all classes that each class has besides its own
DEVIATIONS = 3.0  # that a fit may lie off the line before it no longer counts for it
MIN_DEVIATION = 0.2  # of the logit of an IoU
DEGREES = 3  # of freedom of Student's t distribution, whose tails fits have
LEAST_RIVAL = 0.01  # score of a class that is not predicted: predictions with less are not kept
UNSURE = 0.1  # score of none of the classes
LOOKS = 6
ALWAYS_SEEN = np.array([3.0, *[0.0] * (LOOKS - 1)])  # of what nothing is known: sigmoid(3) = 0.95


class Rates:
    """The rates of honest disagreement in a set of images, all of which a model was trained on, or none.

    Args:
        cases: The images.
        num_classes: C.
    """

    def __init__(self, cases: Sequence[Case], num_classes: int) -> None:
        self.num_classes = num_classes
        self.objects, self.classes = _fit_agreement(cases, num_classes)
        self.usual = _usual_scores(cases, num_classes)
        self.looks = self._fit_looks(cases, num_classes)
        self.line = self._fit_line(cases)

    def unlabelled(self, found: PredictedBoxes, pairs: Pairs) -> np.ndarray:
        """Return (n,) how often there is no label at leading predictions of such a class, score and support."""
        x = features(pairs.total, found.support)
        return sigmoid(-(x * self.objects[found.labels]).sum(axis=1))

    def other_class(self, found: PredictedBoxes, pairs: Pairs, place: int, label: int) -> float:
        """Return how often an honest label at a prediction is of a certain other class, against a swapped one.

        The class of the prediction is wrong at a rate, which its rivals share by their scores; a swap may lead to any
        class.

        Args:
            found: Of the image.
            pairs: Of the image.
            place: Of the leading prediction.
            label: Class of the label.
        """
        x = features(_share(found, pairs), found.support)
        wrong = sigmoid(-(x * self.classes[found.labels]).sum(axis=1))[place]
        rivals = np.full(self.num_classes, LEAST_RIVAL)
        np.maximum.at(rivals, found.labels[pairs.same[place]], found.scores[pairs.same[place]])
        rivals[found.labels[place]] = 0.0
        return float(wrong * (self.num_classes - 1) * rivals[label] / rivals.sum())

    def seen(self, found: PredictedBoxes) -> np.ndarray:
        """Return (n,) in [0, 1] how surely each prediction sees an object, of whatever class."""
        return np.minimum(found.scores / (SEEN_SHARE * self.usual[found.labels]), 1.0)

    def missed(self, labels: Labels, size: Sequence[float]) -> np.ndarray:
        """Return (m,) how often the model sees nothing at labels of such a class and look.

        Args:
            labels: Of an image.
            size: (width, height) of the image in pixels.
        """
        return sigmoid(-(_looks(labels, size) * self.looks[labels.classes]).sum(axis=1))

    def fit(self, box: np.ndarray, iou: float) -> float:
        """Return how much likelier an honest label fits a prediction so poorly than a loose one does.

        The logit of the IoU of honest labels follows Student's t around a line over the logarithm of their size; loose
        labels have any IoU.

        Args:
            box: (4,) xyxy of the label, in pixels.
            iou: Of label and prediction.
        """
        if self.line is None:  # too little is known
            return 1.0 if iou >= MIN_IOU else 0.0
        slope, offset, deviation = self.line
        off = (_logit(iou) - offset - slope * _log_side(box)) / deviation
        if off >= 0:
            return 1.0
        density = (1 + off**2 / DEGREES) ** (-(DEGREES + 1) / 2) * 2 / (np.pi * np.sqrt(DEGREES))
        return float(density / deviation / max(iou * (1 - iou), 1e-3))

    def _fit_looks(self, cases: Sequence[Case], num_classes: int) -> np.ndarray:
        """Return (C, LOOKS) coefficients of what makes the model see labels; classes are drawn to all together."""
        rows, classes, seen = [np.zeros((0, LOOKS))], [np.zeros(0, int)], [np.zeros(0, bool)]
        for labels, found, pairs, size in cases:
            paired = np.zeros(len(labels.classes), bool)
            paired[pairs.label_of[(pairs.label_of >= 0) & (self.seen(found) >= 1)]] = True
            rows.append(_looks(labels, size)[~labels.crowd])
            classes.append(labels.classes[~labels.crowd])
            seen.append(paired[~labels.crowd])
        x, classes, seen = np.concatenate(rows), np.concatenate(classes), np.concatenate(seen)
        together = fit_logistic(x, seen, ALWAYS_SEEN)
        by_class = np.tile(together, (num_classes, 1))
        for label in np.unique(classes):
            own = classes == label
            if says_something(seen[own]):
                by_class[label] = fit_logistic(x[own], seen[own], together)
        return by_class

    def _fit_line(self, cases: Sequence[Case]) -> tuple[float, float, float] | None:
        """Return slope, offset and deviation of the logit of the IoU of labels that are found with confidence."""
        points = []
        for labels, found, pairs, _ in cases:
            for place in np.flatnonzero(pairs.label_of >= 0):
                k, label = pairs.label_of[place], found.labels[place]
                if label == labels.classes[k] and found.scores[place] >= CONFIDENT_SHARE * self.usual[label]:
                    points.append((_log_side(labels.boxes[k]), _logit(pairs.iou[k, place])))
        if len(points) < MIN_PAIRS:
            return None
        x, y = np.array(points).T
        kept = np.ones(len(x), bool)
        for _ in range(3):  # without those that are off the line, as the loose ones are
            spread = x[kept].var()
            centre = x[kept].mean(), y[kept].mean()
            slope = ((x[kept] - centre[0]) * (y[kept] - centre[1])).mean() / spread if spread > 1e-3 else 0.0
            offset = centre[1] - slope * centre[0]
            off = y - offset - slope * x
            deviation = max(1.4826 * float(np.median(np.abs(off - np.median(off)))), MIN_DEVIATION)
            kept = np.abs(off) < DEVIATIONS * deviation
            if not kept.any():
                break
        return float(slope), float(offset), deviation


def _share(found: PredictedBoxes, pairs: Pairs) -> np.ndarray:
    """Return (n,) how much of what speaks for an object at leading predictions speaks for their class."""
    return found.scores / ((pairs.same * found.scores).sum(axis=1) + UNSURE)


def _fit_agreement(cases: Sequence[Case], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two times (C, 3) coefficients: that a leading prediction has a label, and that it is of its class."""
    rows = [(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))]
    for labels, found, pairs, _ in cases:
        paired, same = pairs.label_of >= 0, np.zeros(len(found.scores), bool)
        same[paired] = labels.classes[pairs.label_of[paired]] == found.labels[paired]
        told = pairs.leading & ~pairs.repeated
        columns = (found.labels, pairs.total, _share(found, pairs), found.support, paired, same)
        rows.append(tuple(column[told] for column in columns))
    labels, total, share, support, paired, same = map(np.concatenate, zip(*rows))
    fits = (
        fit_calibration(labels, total, support, paired, num_classes),
        fit_calibration(labels[paired], share[paired], support[paired], same[paired], num_classes),
    )
    filled = [np.where(np.isnan(together), UNCHANGED, together) for _, together in fits]
    return tuple(np.where(np.isnan(own), together, own) for (own, _), together in zip(fits, filled))


def _usual_scores(cases: Sequence[Case], num_classes: int) -> np.ndarray:
    """Return (C,) the median score of predictions that have a label, by class; 1 if there are none."""
    paired = [(found.labels[pairs.label_of >= 0], found.scores[pairs.label_of >= 0]) for _, found, pairs, _ in cases]
    classes = np.concatenate([np.zeros(0, int), *(labels for labels, _ in paired)])
    scores = np.concatenate([np.zeros(0), *(scores for _, scores in paired)])
    overall = float(np.median(scores)) if len(scores) else 1.0
    usual = np.full(num_classes, overall)
    for label in np.unique(classes):
        usual[label] = np.median([*scores[classes == label], *[overall] * SHRINKAGE])
    return np.maximum(usual, 1e-3)


def _looks(labels: Labels, size: Sequence[float]) -> np.ndarray:
    """Return (m, LOOKS) what makes labels hard to see: small or large, crowded, cut off by the border, thin."""
    boxes = labels.boxes
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    share = np.log(np.sqrt(sides.prod(axis=1) / max(size[0] * size[1], 1.0)) / 0.1)
    overlap = iou_matrix(boxes, boxes)
    np.fill_diagonal(overlap, 0.0)
    cut = (boxes[:, :2] <= 1).any(axis=1) | (boxes[:, 2:] >= np.asarray(size) - 1).any(axis=1)
    thin = np.log(sides.max(axis=1) / sides.min(axis=1))
    columns = (np.ones(len(boxes)), share, np.minimum(share, 0.0) ** 2, overlap.max(axis=1, initial=0.0), cut, thin)
    return np.stack(columns, axis=1).astype(float)


def _logit(value: float) -> float:
    value = min(max(float(value), 1e-3), 1 - 1e-3)
    return float(np.log(value / (1 - value)))


def _log_side(box: np.ndarray) -> float:
    """Return the logarithm of the mean side of a box (4,) xyxy in pixels."""
    return float(0.5 * np.log(max((box[2] - box[0]) * (box[3] - box[1]), 1.0)))
