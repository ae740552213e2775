"""Does the misregistration grow over the scene? An affine one shows in windows that differ, each a little more than the last."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from dis2.raster.grid import Shift

LEAST = 8  # windows that an affine must explain
DRAWN = 2500  # triples of windows that are tried
LIKELY = 1e-4  # by chance a translation would be that much worse
NOTICEABLE = 0.1  # pixels by which it must differ from a translation at some window
STRETCH = 0.05  # pixels per pixel: more is no misregistration

Points = NDArray[np.float64]


class Growth(NamedTuple):
    """An affine misregistration, and which windows agree with it."""

    shift: Shift
    inside: NDArray[np.bool_]


def growing(places: Points, coarse: Points, fine: Points, agreement: float) -> Growth | None:
    """The affine that most windows share, if they show it significantly: their places [n, 2] from the scene's middle, and what
    they say, as robust [n, 2] and as precise [n, 2] as each can."""
    if len(places) < LEAST:
        return None
    terms = np.column_stack([np.ones(len(places)), places])
    inside = max(
        (agrees(terms, coarse, triple, agreement) for triple in triples(terms)), key=np.sum, default=np.zeros(len(places), bool)
    )
    if inside.sum() < LEAST:
        return None
    solution = np.linalg.lstsq(terms[inside], fine[inside], rcond=None)[0]  # [3, 2]
    left = fine[inside] - terms[inside] @ solution
    grown = places @ solution[1:]
    if np.abs(solution[1:]).max() > STRETCH or np.hypot(*grown.T).max() < NOTICEABLE or chance(left, fine[inside]) > LIKELY:
        return None
    (dx, dy), (right_x, right_y), (down_x, down_y) = solution.tolist()
    return Growth(Shift(dx, dy, (right_x, down_x, right_y, down_y)), inside)


def triples(terms: Points) -> Iterator[list[int]]:
    """Windows that span an area, evenly chosen where there are too many."""
    total = len(terms) * (len(terms) - 1) * (len(terms) - 2) // 6
    spans = np.ptp(terms[:, 1:], axis=0).prod()
    for triple in islice(combinations(range(len(terms)), 3), 0, None, -(-total // DRAWN)):
        if abs(np.linalg.det(terms[list(triple)])) > spans / 8:
            yield list(triple)


def agrees(terms: Points, said: Points, triple: list[int], agreement: float) -> NDArray[np.bool_]:
    """The windows within reach of the affine through three of them."""
    return np.hypot(*(said - terms @ np.linalg.solve(terms[triple], said[triple])).T) <= agreement


def chance(left: Points, said: Points) -> float:
    """The probability that windows of a mere translation fit an affine this much better (F test)."""
    apart = said - said.mean(0)
    freedom = 2 * len(said) - 6
    gain = ((apart**2).sum() - (left**2).sum()) / 4
    return float(fdtrc(4, freedom, gain / max((left**2).sum() / freedom, 1e-12)))
