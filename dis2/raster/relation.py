"""What one sensor's values tell about another's at the same place: the pair of functions of both that correlate most."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

DEGREE = {1: 6, 2: 4}  # of the polynomials by the number of bands; 3 for more
RIDGE = 1e-3


class Relation(NamedTuple):
    """Coefficients of both sensors' polynomials, and how well their values correlate where they were learned (0 to 1)."""

    reference: NDArray
    second: NDArray
    strength: float


def terms(bands: Array) -> Array:
    """All products of up to `degree` bands, without the constant: from [C, ...] to [t, ...]."""
    products = []
    for degree in range(1, DEGREE.get(len(bands), 3) + 1):
        for chosen in combinations_with_replacement(bands, degree):
            products.append(reduce(np.multiply, chosen))
    return np.stack(products)


def learn(samples: Iterable[tuple[Array, Array]]) -> Relation:
    """The first canonical pair of both sensors' terms over samples: bands [C, n] of both at the same places."""
    count, total, products = 0, np.zeros(1), np.zeros((1, 1))
    for first, second in samples:
        expanded = terms(first), terms(second)
        joint = np.concatenate(expanded).astype(np.float64)
        split = len(expanded[0])
        count, total, products = count + joint.shape[1], total + joint.sum(1), products + joint @ joint.T
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    roots = [root(covariance[:split, :split]), root(covariance[split:, split:])]
    whitened = np.linalg.solve(roots[1], np.linalg.solve(roots[0], covariance[:split, split:]).T).T
    left, strengths, right = np.linalg.svd(whitened)
    return Relation(np.linalg.solve(roots[0].T, left[:, 0]), np.linalg.solve(roots[1].T, right[0]), float(strengths[0]))


def root(covariance: NDArray) -> NDArray:
    """The Cholesky factor of a covariance with a small ridge."""
    return np.linalg.cholesky(covariance + (RIDGE * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance)))


def value(coefficients: NDArray, bands: Array) -> Array:
    """What a polynomial makes of bands: one image [H, W]."""
    return np.tensordot(coefficients.astype(np.float32), terms(bands), 1)
