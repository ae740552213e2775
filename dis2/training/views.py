"""Which sensors a training sample is shown with: several availabilities of each batch, so that the student meets them all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dis2.combinations import availability, combinations, name_of

Availability = NDArray[np.bool_]

FLOOR = 0.5
"""No combination is drawn less often than this share of an even draw."""


def three_views(
    there: Availability, sensors: tuple[str, ...], step: int, scores: Mapping[str, float], rng: np.random.Generator
) -> Availability:
    """Everything that is there, one single sensor (in turn), and one other subset (worse ones more often): [3, B, N]."""
    count = len(sensors)
    single = np.zeros_like(there)
    single[np.arange(len(there)), (step + np.arange(len(there))) % count] = True
    return np.stack([there, *(_within(there, view) for view in (single, _other_subset(len(there), sensors, scores, rng)))])


def dropped_views(there: Availability, views: int, rng: np.random.Generator) -> Availability:
    """Each sensor dropped with probability 1/2, at least one kept: [V, B, N]."""
    drawn = np.stack([rng.random(there.shape) < 0.5 for _ in range(views)])
    for view in drawn:
        empty = ~(view & there).any(1)
        view[empty] = _one_of(there[empty], rng)
    return drawn & there


def _other_subset(batch: int, sensors: tuple[str, ...], scores: Mapping[str, float], rng: np.random.Generator) -> Availability:
    """Subsets of neither one nor all sensors, where there are any: drawn by how much they lack to the best one."""
    subsets = [c for c in combinations(sensors) if 1 < len(c) < len(sensors)] or [c for c in combinations(sensors) if len(c) == 1]
    lack = np.array([1 - scores.get(name_of(subset), 0.0) for subset in subsets])
    chance = FLOOR / len(subsets) + (1 - FLOOR) * lack / lack.sum() if lack.sum() > 0 else np.full(len(subsets), 1 / len(subsets))
    drawn = rng.choice(len(subsets), batch, p=chance)
    return np.array([availability(subsets[i], sensors) for i in drawn])


def _within(there: Availability, wanted: Availability) -> Availability:
    """What is wanted of what is there; a sample that has nothing of it keeps all it has."""
    found = wanted & there
    return np.where(found.any(1, keepdims=True), found, there)


def _one_of(there: Availability, rng: np.random.Generator) -> Availability:
    """One of the sensors of each sample."""
    chosen = np.array([rng.choice(np.flatnonzero(row)) if row.any() else 0 for row in there], int)
    found = np.zeros_like(there)
    found[np.arange(len(there)), chosen] = True
    return found
