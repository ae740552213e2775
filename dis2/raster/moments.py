"""Mean, spread and extremes of many pixels, taken in parts that fit any memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.raster.grid import Window, blocks

SIDE, LEAST = 1024, 256
BYTES = 32 * 2**20
"""Parts are smaller than SIDE, down to LEAST, where a pixel has so many bands that one would take more."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations per band, with the extremes; parts merge exactly in any order."""

    count: float
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return other if other.count else self
        count = self.count + other.count
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.count * other.count / count
        mean = self.mean + apart * other.count / count
        return Moments(count, mean, squares, np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def std(self) -> NDArray[np.float64]:
        return np.sqrt(self.squares / max(self.count, 1))


def parts(height: int, width: int, pixel_bytes: int) -> Iterator[Window]:
    """The windows in which pixels are looked through."""
    side = SIDE
    while side > LEAST and side**2 * pixel_bytes > BYTES:
        side //= 2
    return blocks(height, width, side)


def moments(bands: NDArray[Any], valid: NDArray[np.bool_]) -> Moments:
    """The moments of the valid pixels of bands [C, h, w], one band after the other, since they are taken in double precision."""
    count = int(valid.sum())
    if not count:
        nothing = np.zeros(len(bands))
        return Moments(0, nothing, nothing, nothing, nothing)
    mean, squares, low, high = np.transpose([_of_band(band[valid].astype(np.float64)) for band in bands])
    return Moments(count, mean, squares, low, high)


def _of_band(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean, sum of squared deviations, lowest and highest."""
    mean = values.mean()
    return mean, ((values - mean) ** 2).sum(), values.min(), values.max()
