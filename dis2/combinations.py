"""Which sensors are there: non-empty subsets of the sensors, by name and as vectors."""

from collections.abc import Iterable, Sequence
from itertools import combinations as subsets

Combination = tuple[str, ...]
"""Some of the sensors, in config order."""
MOST_SENSORS = 8
"""Each combination is scored, and eight sensors have 255."""


def combinations(sensors: Sequence[str]) -> list[Combination]:
    """All 2^N - 1 combinations, the full one first, single sensors last."""
    return [subset for size in range(len(sensors), 0, -1) for subset in subsets(sensors, size)]


def name_of(combination: Iterable[str]) -> str:
    """`optical+sar`, for files, tables and pages."""
    return "+".join(combination)


def parse(name: str, sensors: Sequence[str]) -> tuple[str, ...]:
    """The combination of a name, in config order; a ValueError names what is not a sensor."""
    parts = name.split("+")
    if unknown := [part for part in parts if part not in sensors]:
        raise ValueError(f"{unknown[0]!r} is not one of the sensors ({', '.join(sensors)})")
    return tuple(sensor for sensor in sensors if sensor in parts)


def availability(combination: Iterable[str], sensors: Sequence[str]) -> tuple[bool, ...]:
    """Which of the sensors the combination has, as a boolean vector."""
    present = set(combination)
    return tuple(sensor in present for sensor in sensors)


def expected(scores: dict[str, float], sensors: Sequence[str], failure: float) -> float:
    """The expected score when each sensor fails by itself with this probability, given that one is left."""
    total = weight = 0.0
    for combination in combinations(sensors):
        chance = failure ** (len(sensors) - len(combination)) * (1 - failure) ** len(combination)
        total, weight = total + chance * scores[name_of(combination)], weight + chance
    return total / weight
