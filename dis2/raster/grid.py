"""Where the pixels of a scene are: immutable geometry that opens no file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds


class Window(NamedTuple):
    """A rectangle of pixels: rows y to y + height, columns x to x + width."""

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True)
class Shift:
    """The misregistration of one sensor in grid pixels, right and down: what is seen at (x + dx, y + dy) belongs at (x, y)."""

    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True)
class Grid:
    """The pixels that a scene is brought to: every array of the scene has this shape and place."""

    crs: CRS | None
    transform: Affine
    height: int
    width: int

    @property
    def resolution(self) -> float:
        """The side of a pixel in units of the CRS (the geometric mean of both sides)."""
        return math.sqrt(abs(self.transform.determinant))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the outline, whatever the rotation."""
        corners = [self.transform * corner for corner in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def shifted(self, shift: Shift) -> Grid:
        """The same pixels where a sensor with this misregistration shows them."""
        return replace(self, transform=self.transform * Affine.translation(shift.dx, shift.dy))

    def part(self, window: Window) -> Grid:
        """The grid of a window."""
        return replace(
            self, transform=self.transform * Affine.translation(window.x, window.y), height=window.height, width=window.width
        )

    def windows(self, size: int, overlap: int = 0) -> Iterator[Window]:
        """Windows that cover the grid row by row; the last ones are moved inwards, never cut."""
        return windows(self.height, self.width, size, overlap)

    def overlaps(self, other: Grid) -> bool:
        """Do the outlines share any area?"""
        left, bottom, right, top = self.bounds
        there = other.bounds if self.crs == other.crs else transform_bounds(other.crs, self.crs, *other.bounds)
        return left < there[2] and there[0] < right and bottom < there[3] and there[1] < top


def starts(length: int, size: int, overlap: int = 0) -> list[int]:
    """Where windows of a size start along one side so that they cover it; the last one is moved inwards."""
    if length <= size:
        return [0]
    return [*range(0, length - size, size - overlap), length - size]


def windows(height: int, width: int, size: int, overlap: int = 0) -> Iterator[Window]:
    """Windows that cover height x width row by row; a side shorter than the size is taken whole."""
    for y in starts(height, size, overlap):
        for x in starts(width, size, overlap):
            yield Window(y, x, min(size, height), min(size, width))
