"""How likely a detection is right: a logistic regression for each class on its score and its support.

LIUS (PAL, 2605.10349) fits P(true positive) = sigmoid(b0 + b1 * support + b2 * confidence) for each class, as three
numbers are all that a rare class can bear. Here the features are ln(support) and logit(confidence): a score is a
probability of a logistic model already, so (0, 0, 1) means that it is right as it is, and that is where coefficients
are drawn to as long as few samples speak against it; those of a class are drawn to those of all classes together.
"""

import numpy as np

COEFFICIENTS = 3
UNCHANGED = np.array([0.0, 0.0, 1.0])
MIN_SAMPLES = 6  # of a class; fewer, or one outcome only, say nothing
RIDGE = 1.0
STEPS = 100
PRECISION = 1e-9  # of the gradient, by sample


def features(scores: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return what the regression looks at.

    Args:
        scores: (n,) in [0, 1].
        support: (n,) boxes before NMS that agree with each, at least 1.

    Returns:
        (n, 3): 1, ln(support), logit(score).
    """
    scores = np.clip(np.asarray(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    support = np.maximum(np.asarray(support, dtype=np.float64), 1)
    return np.stack([np.ones_like(scores), np.log(support), np.log(scores) - np.log1p(-scores)], axis=1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(values, dtype=np.float64)))


def gradient(x: np.ndarray, y: np.ndarray, coefficients: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the gradient of the loss that `fit_logistic` minimises.

    Args:
        x: (n, 3) features.
        y: (n,) 0 or 1.
        coefficients: (3,) where.
        prior: (3,) where the coefficients are drawn to.

    Returns:
        (3,).
    """
    return x.T @ (sigmoid(x @ coefficients) - y) + RIDGE * (coefficients - prior)


def _loss(x: np.ndarray, y: np.ndarray, coefficients: np.ndarray, prior: np.ndarray) -> float:
    values = x @ coefficients
    penalty = 0.5 * RIDGE * np.sum((coefficients - prior) ** 2)
    return float(np.sum(np.logaddexp(0, values) - y * values) + penalty)


def fit_logistic(x: np.ndarray, y: np.ndarray, prior: np.ndarray = UNCHANGED) -> np.ndarray:
    """Fit a logistic regression by Newton's method, with a ridge around a prior, so the minimum exists and is one.

    Args:
        x: (n, 3) features.
        y: (n,) 0 or 1.
        prior: (3,) coefficients without samples.

    Returns:
        (3,) coefficients.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    coefficients = np.array(prior, dtype=np.float64)
    loss = _loss(x, y, coefficients, prior)
    for _ in range(STEPS):
        slope = gradient(x, y, coefficients, prior)
        if np.abs(slope).max() <= PRECISION * max(len(y), 1):
            break
        chance = sigmoid(x @ coefficients)
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + RIDGE * np.eye(len(coefficients))
        step = np.linalg.solve(curvature, slope)
        for _ in range(50):  # a whole step may lead beyond the minimum
            tried = coefficients - step
            tried_loss = _loss(x, y, tried, prior)
            if tried_loss <= loss:
                break
            step = step / 2
        else:
            break  # no better one can be told apart in this precision
        coefficients, loss = tried, tried_loss
    return coefficients


def says_something(y: np.ndarray) -> bool:
    """Return whether samples are enough to fit: `MIN_SAMPLES`, with both outcomes."""
    return len(y) >= MIN_SAMPLES and bool(np.any(y)) and not bool(np.all(y))


def fit_calibration(
    labels: np.ndarray, scores: np.ndarray, support: np.ndarray, right: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the regressions of all classes on detections of images that were not trained on.

    Args:
        labels: (n,) class of each detection.
        scores: (n,) in [0, 1].
        support: (n,) boxes before NMS that agree with it.
        right: (n,) bool, whether it found a label of its class.
        num_classes: C.

    Returns:
        (C, 3) coefficients by class, nan where its samples say nothing, and (3,) those of all classes together.
    """
    labels, right = np.asarray(labels, dtype=np.int64), np.asarray(right, dtype=bool)
    x = features(scores, support)
    by_class = np.full((num_classes, COEFFICIENTS), np.nan)
    if not says_something(right):
        return by_class, np.full(COEFFICIENTS, np.nan)
    together = fit_logistic(x, right)
    for label in range(num_classes):
        own = labels == label
        if says_something(right[own]):
            by_class[label] = fit_logistic(x[own], right[own], together)
    return by_class, together
