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
    turns = (step + np.arange(len(there))) % len(sensors)
    single = np.eye(len(sensors), dtype=bool)[turns]
    other = _other_subset(turns, sensors, scores, rng)
    return np.stack([there, _within(there, single), _within(there, other)])


def dropped_views(there: Availability, views: int, rng: np.random.Generator) -> Availability:
    """Each sensor dropped with probability 1/2, at least one kept: [V, B, N]."""
    drawn = np.stack([rng.random(there.shape) < 0.5 for _ in range(views)])
    for view in drawn:
        empty = ~(view & there).any(1)
        view[empty] = _one_of(there[empty], rng)
    return drawn & there


def single_views(there: Availability, step: int) -> Availability:
    """Everything that is there, and two different single sensors (in turn): [3, B, N]."""
    count = there.shape[1]
    turns = step + np.arange(len(there))
    singles = [np.eye(count, dtype=bool)[(turns + place) % count] for place in range(2)]
    return np.stack([there, *(_within(there, single) for single in singles)])


def drawn_views(there: Availability, sensors: tuple[str, ...], views: int, rng: np.random.Generator) -> Availability:
    """Any combination of sensors, each as often: [V, B, N]."""
    subsets = np.array([availability(subset, sensors) for subset in combinations(sensors)])
    return np.stack([_within(there, rng.choice(subsets, len(there))) for _ in range(views)])


def _other_subset(
    singles: NDArray[np.integer], sensors: tuple[str, ...], scores: Mapping[str, float], rng: np.random.Generator
) -> Availability:
    """For each sample a subset other than all sensors and its single one: the more often, the more it lacks to the best one."""
    subsets = [subset for subset in combinations(sensors) if len(subset) < len(sensors)]
    known = np.array([scores.get(name_of(subset), 0.0) for subset in subsets])
    lack = known.max() - known
    even = np.full(len(subsets), 1 / len(subsets))
    chance = FLOOR * even + (1 - FLOOR) * (lack / lack.sum() if lack.sum() > 0 else even)
    drawn = []
    for single in singles:
        other = chance * [subset != (sensors[single],) for subset in subsets]
        drawn.append(subsets[rng.choice(len(subsets), p=other / other.sum())])
    return np.array([availability(subset, sensors) for subset in drawn])


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
