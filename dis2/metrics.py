"""Scores of a confusion matrix, and how calibrated a model's confidence is. Pure, and known to all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Matrix:
    """How many pixels of each true class (rows) were given each class (columns)."""
    pairs = truth.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN where a class is neither true nor predicted: [K]."""
    hit = np.diag(matrix).astype(float)
    return _share(hit, matrix.sum(0) + matrix.sum(1) - hit)


def f1(matrix: Matrix) -> NDArray[np.float64]:
    """F1 of each class; NaN where a class is neither true nor predicted: [K]."""
    return _share(2 * np.diag(matrix).astype(float), matrix.sum(0) + matrix.sum(1))


def accuracy(matrix: Matrix) -> float:
    """The share of pixels that are right."""
    return float(_share(np.trace(matrix), matrix.sum()))


def recall(matrix: Matrix) -> NDArray[np.float64]:
    """The share of each class's pixels that are found; NaN where it has none: [K]."""
    return _share(np.diag(matrix).astype(float), matrix.sum(1))


def kappa(matrix: Matrix) -> float:
    """Agreement beyond chance (Cohen)."""
    total = matrix.sum()
    chance = float(_share((matrix.sum(0).astype(float) * matrix.sum(1)).sum(), float(total) ** 2))
    return float(_share(accuracy(matrix) - chance, 1 - chance))


def mean(values: NDArray[np.float64]) -> float:
    """The mean over the classes that there are; NaN if there is none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def miou(matrix: Matrix) -> float:
    """Mean intersection over union."""
    return mean(iou(matrix))


@dataclass
class Calibration:
    """Confidence in bins: how many pixels, how many right, how sure they were."""

    count: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @classmethod
    def empty(cls, bins: int) -> Calibration:
        return cls(np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(bins))

    def add(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """More pixels: how sure, and whether right."""
        bins = len(self.count)
        index = np.clip((confidence * bins).astype(int), 0, bins - 1)
        self.count += np.bincount(index, minlength=bins)
        self.right += np.bincount(index, weights=right, minlength=bins).astype(np.int64)
        self.confidence += np.bincount(index, weights=confidence, minlength=bins)

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean distance between how sure and how right, over pixels."""
        return float(_share(np.abs(self.right - self.confidence).sum(), self.count.sum()))


def _share(part: NDArray | float, whole: NDArray | float) -> NDArray[np.float64]:
    whole = np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)
