"""Values told against their own scene or chip, for sensors whose numbers mean something there alone."""

from __future__ import annotations

from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from dis2.raster.grid import Window
from dis2.raster.moments import moments, parts
from dis2.raster.warp import Bands, Mask, Reader


class Relative:
    """A sensor's values in deviations from the mean of the whole scene or chip; the same pixels whatever the windows."""

    def __init__(self, source: Reader, height: int, width: int):
        self.source, self.count = source, source.count
        self.unit: str | None = None
        self.dtype = np.dtype(np.float32)
        self.size = height, width

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w], 0 where nothing was measured, and validity [h, w]."""
        bands, valid = self.source.read(window)
        found = np.zeros(bands.shape, np.float32)
        for band, shown, mean, std in zip(bands, found, *self.level, strict=True):  # alone, since they are in double precision
            shown[valid] = (band[valid] - mean) / std
        return found, valid

    @cached_property
    def level(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of each band over all that was measured; where all is the same it deviates by 1."""
        windows = parts(*self.size, self.count * self.source.dtype.itemsize)
        total = reduce(add, (moments(*self.source.read(window)) for window in windows))
        return total.mean, np.where(total.std > 0, total.std, 1.0)
