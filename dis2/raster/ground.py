"""Heights above the ground where only a surface is given: its ground is the surface opened wider than any building."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, grey_opening, map_coordinates

from dis2.raster.grid import Window, blocks
from dis2.raster.warp import Bands, Mask, Reader

CELLS = 32
"""The ground is known in cells, so many side by side in the opening's width: it is smooth, and wide openings take little."""
STRIP = 1024
"""Pixels of a side that are looked at together."""


class AboveGround:
    """A surface less its ground, never below 0, within limits; the same pixels whatever the windows."""

    def __init__(
        self, source: Reader, height: int, width: int, widest: int, clip: tuple[float | None, float | None] | None = None
    ):
        self.source, self.count, self.unit = source, source.count, source.unit
        low, self.high = clip or (None, None)
        self.low = max(0.0, low or 0.0)
        self.dtype = np.dtype(np.float32)
        self.cell = max(1, widest // CELLS)
        self.ground = opened(self._lowest(height, width), 2 * (widest // self.cell // 2) + 1)

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        bands, valid = self.source.read(window)
        rows, columns = (
            (np.arange(start, start + length) + 0.5) / self.cell - 0.5
            for start, length in ((window.y, window.height), (window.x, window.width))
        )
        places = np.meshgrid(rows, columns, indexing="ij")
        ground = np.stack([map_coordinates(it, places, order=1, mode="nearest") for it in self.ground])
        return np.where(valid, np.clip(bands - ground, self.low, self.high), 0).astype(np.float32), valid

    def _lowest(self, height: int, width: int) -> NDArray[np.float32]:
        """The lowest valid height in each cell [C, rows, columns], infinite where there is none."""
        low = np.full((self.count, -(-height // self.cell), -(-width // self.cell)), np.inf, np.float32)
        for window in blocks(height, width, self.cell * max(1, STRIP // self.cell)):
            bands, valid = self.source.read(window)
            down, right = (-size % self.cell for size in valid.shape)
            values = np.pad(np.where(valid, bands, np.inf), ((0, 0), (0, down), (0, right)), constant_values=np.inf)
            cells = values.reshape(self.count, -1, self.cell, values.shape[2] // self.cell, self.cell).min((2, 4))
            y, x = window.y // self.cell, window.x // self.cell
            low[:, y : y + cells.shape[1], x : x + cells.shape[2]] = cells
        return low


def opened(low: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The ground [C, rows, columns], in place: what is narrower than the opening is taken away; gaps are as what is around.

    The slope of the whole is taken out before, since it would hide the foot of what stands on it.
    """
    there = np.isfinite(low[0])
    if not there.any():
        low[:] = 0
        return low
    gaps = ~there
    nearest = tuple(distance_transform_edt(gaps, return_distances=False, return_indices=True)[:, gaps])
    for band in low:
        slopes = plane(band, there)
        for slope in slopes:
            band -= slope
        band[gaps] = band[nearest]
        band[:] = grey_opening(band, (size, size))
        for slope in slopes:
            band += slope
    return low


def plane(heights: NDArray[Any], there: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The plane that lies nearest to heights [rows, columns]: the sum of a column of heights and of a row of them.

    Sums over rows and columns tell it: a design of all pixels would take many times the memory of the heights.
    """
    counts = there.sum(1), there.sum(0)
    down, right = (np.arange(len(count)) - np.average(np.arange(len(count)), weights=count) for count in counts)
    mean = heights.mean(where=there, dtype=np.float64)
    rises = [
        place @ (heights.sum(axis, where=there, dtype=np.float64) - mean * count)
        for axis, place, count in zip((1, 0), (down, right), counts, strict=True)
    ]
    mixed = np.einsum("yx,y,x", there, down, right)
    moments = np.array([[counts[0] @ down**2, mixed], [mixed, counts[1] @ right**2]])
    slope = np.linalg.lstsq(moments, np.array(rises))[0]
    return (mean + slope[0] * down)[:, None], slope[1] * right
