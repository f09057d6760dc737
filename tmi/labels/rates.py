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


class Observations:
    """What rates are fitted on: a few numbers for each leading prediction and each label, taken in image by image."""

    def __init__(self) -> None:
        self._found: list[np.ndarray] = [np.zeros((0, 9))]
        self._looks: list[np.ndarray] = [np.zeros((0, LOOKS + 3))]

    def add(self, case: Case) -> None:
        """Take in an image."""
        labels, found, pairs, size = case
        paired = np.flatnonzero(pairs.label_of >= 0)
        own = pairs.label_of[paired]
        rows = np.zeros((len(found.scores), 9))
        rows[:, 0], rows[:, 1], rows[:, 2] = found.labels, found.scores, found.support
        rows[:, 3], rows[:, 4] = pairs.total, _share(found, pairs)
        rows[paired, 5], rows[paired, 6] = 1, labels.classes[own] == found.labels[paired]
        rows[paired, 7], rows[paired, 8] = pairs.iou[own, paired], _log_sides(labels.boxes[own])
        self._found.append(rows[pairs.leading & ~pairs.repeated])
        seen = np.zeros((len(labels.classes), 2))
        seen[own, 0], seen[own, 1] = found.labels[paired], found.scores[paired]
        self._looks.append(np.column_stack([labels.classes, seen, _looks(labels, size)])[~labels.crowd])

    def predictions(self) -> tuple[np.ndarray, ...]:
        """Return of each leading prediction: class, score, support, `Pairs.total`, share of its class in that, whether
        it has a label, whether that is of its class, IoU and logarithm of the side of that label.
        """
        table = np.concatenate(self._found)
        columns = [table[:, k] for k in range(table.shape[1])]
        return (columns[0].astype(int), *columns[1:5], columns[5] > 0, columns[6] > 0, *columns[7:])

    def labels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return of each label: class, class and score of its prediction (score 0 for none), and looks (m, LOOKS)."""
        table = np.concatenate(self._looks)
        return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3:]


class Rates:
    """The rates of honest disagreement in a set of images, all of which a model was trained on, or none.

    Args:
        observed: In the images.
        num_classes: C.
    """

    def __init__(self, observed: Observations, num_classes: int) -> None:
        self.num_classes = num_classes
        labels, scores, support, total, share, paired, same, iou, sides = observed.predictions()
        self.objects = _filled(fit_calibration(labels, total, support, paired, num_classes))
        shown = (column[paired] for column in (labels, share, support, same))
        self.classes = _filled(fit_calibration(*shown, num_classes))
        self.usual = _usual_scores(labels[paired], scores[paired], num_classes)
        self.looks = self._fit_looks(*observed.labels())
        confident = same & (scores >= CONFIDENT_SHARE * self.usual[labels])
        self.line = _fit_line(sides[confident], _logit(iou[confident]))

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
        return self._seen(found.labels, found.scores)

    def _seen(self, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.minimum(scores / (SEEN_SHARE * self.usual[labels]), 1.0)

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
        off = float(_logit(iou) - offset - slope * _log_sides(box[None])[0]) / deviation
        if off >= 0:
            return 1.0
        density = (1 + off**2 / DEGREES) ** (-(DEGREES + 1) / 2) * 2 / (np.pi * np.sqrt(DEGREES))
        return float(density / deviation / max(iou * (1 - iou), 1e-3))

    def _fit_looks(self, classes: np.ndarray, found: np.ndarray, scores: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Return (C, LOOKS) coefficients of what makes the model see labels; classes are drawn to all together."""
        seen = self._seen(found, scores) >= 1
        together = fit_logistic(looks, seen, ALWAYS_SEEN)
        by_class = np.tile(together, (self.num_classes, 1))
        for label in np.unique(classes):
            own = classes == label
            if says_something(seen[own]):
                by_class[label] = fit_logistic(looks[own], seen[own], together)
        return by_class


def _fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float] | None:
    """Return slope, offset and deviation of the logit of the IoU of labels over the logarithm of their side.

    Args:
        x: (n,) logarithm of the side of labels that are found with confidence.
        y: (n,) logit of their IoU.
    """
    if len(x) < MIN_PAIRS:
        return None
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


def _filled(fits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return (C, 3) coefficients by class: those of all classes where it has none, else none that change anything."""
    by_class, together = fits
    return np.where(np.isnan(by_class), np.where(np.isnan(together), UNCHANGED, together), by_class)


def _usual_scores(classes: np.ndarray, scores: np.ndarray, num_classes: int) -> np.ndarray:
    """Return (C,) the median score of predictions that have a label, by class; 1 if there are none.

    Args:
        classes: (n,) of predictions with a label.
        scores: (n,) of them.
        num_classes: C.
    """
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


def _logit(values: np.ndarray | float) -> np.ndarray:
    values = np.clip(values, 1e-3, 1 - 1e-3)
    return np.log(values) - np.log1p(-values)


def _log_sides(boxes: np.ndarray) -> np.ndarray:
    """Return (n,) the logarithm of the mean side of boxes (n, 4) xyxy in pixels."""
    return 0.5 * np.log(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1.0))
