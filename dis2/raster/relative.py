"""Values told against their own scene or chip, for sensors whose numbers mean something there alone."""

from __future__ import annotations

from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from dis2.raster.grid import Window, blocks
from dis2.raster.moments import moments
from dis2.raster.warp import Bands, Mask, Reader

SIDE = 1024
"""Pixels of a side that are looked at together."""


class Relative:
    """A sensor's values in deviations from the mean of the whole scene or chip; the same pixels whatever the windows."""

    def __init__(self, source: Reader, height: int, width: int):
        self.source, self.count = source, source.count
        self.unit: str | None = None
        self.dtype = np.dtype(np.float32)
        self.size = height, width

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        bands, valid = self.source.read(window)
        mean, std = self.level
        return np.where(valid, (np.where(valid, bands, 0) - mean) / std, 0).astype(np.float32), valid

    @cached_property
    def level(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of each band [C, 1, 1] over all that was measured; where all is the same it deviates by 1."""
        total = reduce(add, (moments(*self.source.read(window)) for window in blocks(*self.size, SIDE)))
        return total.mean[:, None, None], np.where(total.std > 0, total.std, 1.0)[:, None, None]
