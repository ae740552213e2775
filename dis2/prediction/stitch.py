"""Maps of any size from overlapping windows: blended in a ring of rows as high as one window, never in a whole map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from dis2.raster.grid import Window, starts


def stitch(
    predictions: Iterable[tuple[Window, Tensor]], height: int, width: int, tile: int, overlap: int
) -> Iterator[tuple[Window, Tensor]]:
    """Blends what the windows of `windows(height, width, tile, overlap)` say, in their order, each [C, h, w].

    Yields bands of finished rows, top to bottom, each [C, rows, width]: a view that holds until the next one is asked for.
    """
    down, across = shares(height, tile, overlap), shares(width, tile, overlap)
    ring: Ring | None = None
    finished = 0
    for window, values in predictions:
        ring = ring or Ring(values.new_zeros(len(values), window.height, width, dtype=torch.float32))
        if window.y > finished:
            yield from ring.take(finished, window.y)
            finished = window.y
        ring.add(window, values, down[window.y][:, None] * across[window.x])
    if ring:
        yield from ring.take(finished, height)


def shares(length: int, tile: int, overlap: int) -> dict[int, Tensor]:
    """Each window's share of its pixels along one side, by its start: Hann bells, scaled to add up to one at every pixel."""
    begins, size = starts(length, tile, overlap), min(tile, length)
    bell = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]  # nowhere zero
    total = torch.zeros(length, dtype=torch.float64)
    for begin in begins:
        total[begin : begin + size] += bell
    return {begin: (bell / total[begin : begin + size]).float() for begin in begins}


class Ring:
    """The rows that windows still add to. Row y of the map is kept in row y modulo the ring's height."""

    def __init__(self, rows: Tensor):
        self.rows = rows  # [C, height of a window, width of the map]

    def add(self, window: Window, values: Tensor, share: Tensor) -> None:
        """Adds a window's values [C, h, w], each weighted by its share [h, w]."""
        share = share.to(values.device)
        for y, rows in self.runs(window.y, window.y + window.height):
            part = slice(y - window.y, y - window.y + rows.stop - rows.start)
            self.rows[:, rows, window.slices[1]].addcmul_(values[:, part], share[part])

    def take(self, start: int, stop: int) -> Iterator[tuple[Window, Tensor]]:
        """Gives the rows from start to stop away and makes room for those that come."""
        for y, rows in self.runs(start, stop):
            yield Window(y, 0, rows.stop - rows.start, self.rows.shape[2]), self.rows[:, rows]
            self.rows[:, rows] = 0

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Where the map's rows from start to stop are, in one or two pieces, each with its first row in the map."""
        height = self.rows.shape[1]
        while start < stop:
            first = start % height
            last = min(height, first + stop - start)
            yield start, slice(first, last)
            start += last - first
