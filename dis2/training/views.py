"""Which sensors a training sample is shown with: several availabilities of each batch, so that the student meets them all.

Each sample brings its own generator: what it is shown with does not depend on how a batch is divided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dis2.combinations import availability, combinations, name_of

Availability = NDArray[np.bool_]
Turns = NDArray[np.integer]
"""The place of each sample of a batch among all samples of the training: sensors take turns by it."""
Draws = Sequence[np.random.Generator]
"""The generator of each sample of a batch."""


def three_views(
    there: Availability, sensors: tuple[str, ...], turns: Turns, scores: Mapping[str, float], even: float, draws: Draws
) -> Availability:
    """Everything that is there, one single sensor (in turn), and one other subset: [3, B, N].

    Subsets that score worse are drawn more often, but none less than this share of an even draw.
    """
    singles = turns % len(sensors)
    single = np.eye(len(sensors), dtype=bool)[singles]
    other = _other_subset(singles, sensors, scores, even, draws)
    return np.stack([there, _within(there, single), _within(there, other)])


def dropped_views(there: Availability, views: int, draws: Draws) -> Availability:
    """Each sensor dropped with probability 1/2, at least one kept: [V, B, N]."""
    shown = np.zeros((views, *there.shape), bool)
    for sample, (row, rng) in enumerate(zip(there, draws, strict=True)):
        for view in range(views):
            kept = row & (rng.random(len(row)) < 0.5)
            shown[view, sample] = kept if kept.any() or not row.any() else _one_of(row, rng)
    return shown


def single_views(there: Availability, turns: Turns) -> Availability:
    """Everything that is there, and two different single sensors (in turn): [3, B, N]."""
    count = there.shape[1]
    singles = (np.eye(count, dtype=bool)[(turns + place) % count] for place in range(2))
    return np.stack([there, *(_within(there, single) for single in singles)])


def drawn_views(there: Availability, sensors: tuple[str, ...], views: int, draws: Draws) -> Availability:
    """Any combination of sensors, each as often: [V, B, N]."""
    subsets = np.array([availability(subset, sensors) for subset in combinations(sensors)])
    drawn = np.stack([rng.choice(subsets, views) for rng in draws], 1)  # [V, B, N]
    return np.stack([_within(there, view) for view in drawn])


def _other_subset(
    singles: Turns, sensors: tuple[str, ...], scores: Mapping[str, float], even: float, draws: Draws
) -> Availability:
    """For each sample a subset other than all sensors and its single one: the more often, the more it lacks to the best one."""
    subsets = [subset for subset in combinations(sensors) if len(subset) < len(sensors)]
    known = np.array([scores.get(name_of(subset), 0.0) for subset in subsets])
    lack = known.max() - known
    alike = np.full(len(subsets), 1 / len(subsets))
    chance = even * alike + (1 - even) * (lack / lack.sum() if lack.sum() > 0 else alike)
    drawn = []
    for single, rng in zip(singles, draws, strict=True):
        others = np.array([subset != (sensors[single],) for subset in subsets])
        other = np.where(others, chance, 0) if chance[others].any() else others
        drawn.append(subsets[rng.choice(len(subsets), p=other / other.sum())])
    return np.array([availability(subset, sensors) for subset in drawn])


def _within(there: Availability, wanted: Availability) -> Availability:
    """What is wanted of what is there; a sample that has nothing of it keeps all it has."""
    found = wanted & there
    return np.where(found.any(1, keepdims=True), found, there)


def _one_of(row: Availability, rng: np.random.Generator) -> Availability:
    """One of the sensors of a sample: [N]."""
    found = np.zeros_like(row)
    found[rng.choice(np.flatnonzero(row))] = True
    return found
