"""Tiles that are read before they are needed, by this process or by several: the same ones, in the same order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from typing import Any

from dis2.processes import Crew, spawned
from dis2.tiles.augment import Draw, Sample
from dis2.tiles.dataset import Scenes

Group = list[Draw]
Tiles = Iterator[list[Sample]]


@contextmanager
def reading(
    scenes: Scenes, groups: Iterable[Group], size: int = 0, workers: int = 0, ready: Callable[[list[Sample]], Any] = list
) -> Iterator[Iterator[Any]]:
    """The tiles of each group, padded to a size and made ready as wanted, while the next ones are.

    What is read is decided by this process alone, which also makes it ready.
    """
    with ExitStack() as stack:
        if workers and not scenes.in_memory:
            groups = iter(groups)
            first = next(groups, [])
            memory = sum(scenes.tile_bytes(draw, size) for draw in first)
            remedy = "lower training.workers and run again to go on"
            crew = stack.enter_context(spawned(workers, remedy, _reader, scenes, size, memory=memory))
            tiles = _in_turn(crew, chain([first] if first else [], groups))
        else:
            tiles = map(_reader(scenes, size), groups)
        yield _one_ahead(map(ready, tiles), stack.enter_context(ThreadPoolExecutor(1)))


def _reader(scenes: Scenes, size: int) -> Callable[[Group], list[Sample]]:
    return partial(_read, scenes, size)


def _read(scenes: Scenes, size: int, group: Group) -> list[Sample]:
    return [scenes.tile(draw, size) for draw in group]


def _in_turn(crew: Crew, groups: Iterable[Group]) -> Tiles:
    """Each member reads every n-th group, and begins the next one when its last is taken."""
    members = deque(crew.members)
    for group in groups:
        tiles = crew.take(members[0]) if members[0].given else None
        crew.give(members[0], group)
        members.rotate(-1)
        if tiles is not None:
            yield tiles
    yield from (crew.take(member) for member in members if member.given)


def _one_ahead(tiles: Iterator[Any], thread: ThreadPoolExecutor) -> Iterator[Any]:
    upcoming = thread.submit(next, tiles, None)
    while (found := upcoming.result()) is not None:
        upcoming = thread.submit(next, tiles, None)
        yield found
