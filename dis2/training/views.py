"""Which sensors a training sample is shown with: several availabilities of each batch, so that the student meets them all.

There are as many views as are asked for, but no more than there are combinations of sensors.
Each sample brings its own generator: what it is shown with does not depend on how a batch is divided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.combinations import availability, combinations, name_of

Availability = NDArray[np.bool_]
Turns = NDArray[np.integer]
"""The place of each sample of a batch among all samples of the training: sensors take turns by it."""
Draws = Sequence[np.random.Generator]
"""The generator of each sample of a batch."""


def student_views(
    there: Availability,
    sensors: tuple[str, ...],
    turns: Turns,
    scores: Mapping[str, float],
    even: float,
    views: int,
    draws: Draws,
) -> Availability:
    """Everything that is there, one single sensor (in turn), and other subsets: [V, B, N].

    Each is a different one, but for what a sample lacks. Subsets that score worse are drawn more often, but none less than this
    share of an even draw.
    """
    singles = turns % len(sensors)
    single = np.eye(len(sensors), dtype=bool)[singles]
    others = _other_subsets(singles, sensors, scores, even, _at_most(views, sensors) - 2, draws)
    return np.stack([there, _within(there, single), *(_within(there, other) for other in others)])


def dropped_views(there: Availability, views: int, draws: Draws) -> Availability:
    """Each sensor dropped with probability 1/2, at least one kept: [V, B, N]."""
    shown = np.zeros((_at_most(views, there[0]), *there.shape), bool)
    for sample, (row, rng) in enumerate(zip(there, draws, strict=True)):
        for view in range(len(shown)):
            kept = row & (rng.random(len(row)) < 0.5)
            shown[view, sample] = kept if kept.any() or not row.any() else _one_of(row, rng)
    return shown


def single_views(there: Availability, turns: Turns, views: int) -> Availability:
    """Everything that is there, and different single sensors (in turn): [V, B, N]."""
    count = there.shape[1]
    singles = (np.eye(count, dtype=bool)[(turns + place) % count] for place in range(min(views - 1, count)))
    return np.stack([there, *(_within(there, single) for single in singles)])


def drawn_views(there: Availability, sensors: tuple[str, ...], views: int, draws: Draws) -> Availability:
    """Any combination of sensors, each as often: [V, B, N]."""
    subsets = np.array([availability(subset, sensors) for subset in combinations(sensors)])
    drawn = np.stack([rng.choice(subsets, _at_most(views, sensors)) for rng in draws], 1)  # [V, B, N]
    return np.stack([_within(there, view) for view in drawn])


def _at_most(views: int, sensors: Sequence[Any]) -> int:
    """So many views, or as many as there are combinations of these sensors."""
    return min(views, 2 ** len(sensors) - 1)


def _other_subsets(
    singles: Turns, sensors: tuple[str, ...], scores: Mapping[str, float], even: float, count: int, draws: Draws
) -> Availability:
    """So many subsets for each sample, other than all sensors and its single one: the more often, the more one lacks to the best.

    [count, B, N]
    """
    subsets = [subset for subset in combinations(sensors) if len(subset) < len(sensors)]
    known = np.array([scores.get(name_of(subset), 0.0) for subset in subsets])
    lack = known.max() - known
    alike = np.full(len(subsets), 1 / len(subsets))
    chance = even * alike + (1 - even) * (lack / lack.sum() if lack.sum() > 0 else alike)
    drawn = []
    for single, rng in zip(singles, draws, strict=True):
        left = np.array([subset != (sensors[single],) for subset in subsets])
        for _ in range(count):
            other = np.where(left, chance, 0) if chance[left].any() else left
            drawn.append(rng.choice(len(subsets), p=other / other.sum()))
            left[drawn[-1]] = False
    shown = np.array([availability(subset, sensors) for subset in subsets])
    return shown[np.reshape(drawn, (-1, count)).T]


def _within(there: Availability, wanted: Availability) -> Availability:
    """What is wanted of what is there; a sample that has nothing of it keeps all it has."""
    found = wanted & there
    return np.where(found.any(1, keepdims=True), found, there)


def _one_of(row: Availability, rng: np.random.Generator) -> Availability:
    """One of the sensors of a sample: [N]."""
    found = np.zeros_like(row)
    found[rng.choice(np.flatnonzero(row))] = True
    return found
