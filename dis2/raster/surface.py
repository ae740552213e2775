"""How one surface lies beside and above another: Nuth and Kaab (2011), who read the shift off the differences on slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Fit(NamedTuple):
    """The shift in pixels, the vertical offset (second minus reference) in its units, and what remains (NMAD)."""

    dx: float
    dy: float
    vertical: float
    remains: float


def fit_surface(reference: Array, second: Array, weights: tuple[Mask, Mask], start: tuple[float, float]) -> Fit:
    """Nuth and Kaab in linear form: dh = vertical - slope . remaining shift, solved robustly until nothing is left to move."""
    spline = ndimage.spline_filter(second.astype(np.float64), order=3)
    dx, dy = start
    for _ in range(20):
        moved = ndimage.shift(spline, (-dy, -dx), order=3, prefilter=False, mode="nearest")
        seen = ndimage.shift(weights[1].astype(np.float32), (-dy, -dx), order=1, mode="constant") > 0.99
        used = weights[0] & seen
        if used.sum() < 500:
            return Fit(dx, dy, 0.0, np.inf)
        down, right = np.gradient((moved + reference) / 2)
        slopes = np.stack([-right[used], -down[used], np.ones(used.sum())])
        (move_x, move_y, vertical), remains = robust_solution(slopes, (moved - reference)[used])
        length = max(1.0, float(np.hypot(move_x, move_y)))
        dx, dy = dx + move_x / length, dy + move_y / length
        if np.hypot(move_x, move_y) < 0.002:
            break
    return Fit(float(dx), float(dy), float(vertical), remains)


def robust_solution(terms: NDArray, values: NDArray, rounds: int = 4) -> tuple[NDArray, float]:
    """The coefficients of [terms, n] that explain values, Huber-weighted, and the NMAD of what is left."""
    weight = np.ones(len(values))
    for _ in range(rounds):
        weighted = terms * weight
        ridge = 1e-9 * np.eye(len(terms)) * max(1.0, np.trace(weighted @ terms.T))
        solution = np.linalg.solve(weighted @ terms.T + ridge, weighted @ values)
        left = values - solution @ terms
        scale = 1.4826 * float(np.median(np.abs(left - np.median(left)))) + 1e-9
        weight = 1 / np.maximum(1, np.abs(left) / (2 * scale))
    return solution, scale
