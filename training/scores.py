"""Numbers that say how good answers are. Knows numpy and `Scores`; knows neither networks nor families."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.room import Scores

Floats = NDArray[Any]
Ints = NDArray[Any]


def confusion(truth: Ints, answers: Ints, classes: int) -> Ints:
    """Counts (classes, classes): a row for each true class, a column for each answer."""
    return np.bincount(truth * classes + answers, minlength=classes * classes).reshape(classes, classes)


def precision_recall(counts: Ints) -> tuple[Floats, Floats]:
    """Per class, from a confusion matrix; 0 where a class was never answered or never true."""
    right = np.diag(counts).astype(np.float64)
    answered, true = counts.sum(0), counts.sum(1)
    return right / np.maximum(answered, 1), right / np.maximum(true, 1)


def classification(truth: Ints, probabilities: Floats, labels: tuple[str, ...]) -> Scores:
    """Accuracy, log loss and calibration; precision and recall by label; of answers (rows, labels)."""
    truth = truth.astype(np.int64)
    counts = confusion(truth, probabilities.argmax(1), len(labels))
    precision, recall = precision_recall(counts)
    values = {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "log_loss": log_loss(truth, probabilities),
        "calibration_error": calibration_error(truth, probabilities),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
    }
    by_label = [
        {"label": label, "precision": float(precision[i]), "recall": float(recall[i]), "rows": int(counts[i].sum())}
        for i, label in enumerate(labels)
    ]
    return Scores(values, {"labels": by_label}, {"confusion": counts, "probabilities": probabilities})


def log_loss(truth: Ints, probabilities: Floats) -> float:
    """Mean negative log-likelihood in nats."""
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())


def calibration_error(truth: Ints, probabilities: Floats, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): |confidence - accuracy| over equal bins of confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for one in range(bins):
        inside = index == one
        if inside.any():
            error += inside.mean() * abs(float(confidence[inside].mean()) - float(right[inside].mean()))
    return error


def temperature(truth: Ints, logits: Floats) -> float:
    """The softmax temperature with the least log loss (Guo et al. 2017), by golden-section search between 0.05 and 20."""

    def loss(log_t: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_t)
        scaled -= scaled.max(1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(truth)), truth]).mean())

    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def mixed(logits: list[Floats], weights: Floats) -> Floats:
    """Probabilities (n, classes) of several models' scores (n, classes), added with a weight each."""
    added = np.sum([weight * one for weight, one in zip(weights, logits, strict=True)], axis=0)
    shares = np.exp(added - added.max(1, keepdims=True))
    found: Floats = shares / shares.sum(1, keepdims=True)
    return found


def mixture(truth: Ints, logits: list[Floats]) -> Floats:
    """The weights for `mixed` with the least log loss, none below 0."""
    start = np.full(len(logits), 1 / len(logits))
    found = minimize(
        lambda weights: log_loss(truth, mixed(logits, weights)), start, method="L-BFGS-B", bounds=[(0, 20)] * len(logits)
    )
    weights: Floats = found.x
    return weights


def linear_accuracy(train: Floats, train_targets: Ints, test: Floats, test_targets: Ints, classes: int) -> float:
    """Accuracy of ridge regression onto one-hot targets: what a linear model makes of the same rows (n, features)."""
    mean = train.mean(0)
    rows = np.hstack([train - mean, np.ones((len(train), 1), train.dtype)])
    gram = rows.T @ rows + 1e-2 * len(rows) * np.eye(rows.shape[1], dtype=rows.dtype)
    weights = np.linalg.solve(gram, rows.T @ np.eye(classes, dtype=rows.dtype)[train_targets])
    answers = np.hstack([test - mean, np.ones((len(test), 1), test.dtype)]) @ weights
    return float((answers.argmax(1) == test_targets).mean())
