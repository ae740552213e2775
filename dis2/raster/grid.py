"""Where the pixels of a scene are: immutable geometry that opens no file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds

DEGREE = 111_320.0
"""Metres of a degree, about."""


class Window(NamedTuple):
    """A rectangle of pixels: rows y to y + height, columns x to x + width."""

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def metres_of(crs: CRS) -> float:
    """Metres of a unit of a CRS."""
    return DEGREE if crs.is_geographic else float(crs.linear_units_factor[1])


@dataclass(frozen=True)
class Shift:
    """The misregistration of one sensor in grid pixels, right and down: what is seen at (x + dx, y + dy) belongs at (x, y)."""

    dx: float = 0.0
    dy: float = 0.0
    linear: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """An affine misregistration: dx and dy hold in the middle of the grid; this is by how much dx grows with every pixel to the
    right and down, and dy likewise."""

    def around(self, x: float, y: float) -> Affine:
        """Where places are seen if (x, y) is the middle of the grid."""
        right_x, down_x, right_y, down_y = self.linear
        turned = Affine(1 + right_x, down_x, x + self.dx, right_y, 1 + down_y, y + self.dy)
        return turned @ Affine.translation(-x, -y)


UNMOVED = Shift()
LATTICE = 32
"""Steps between the points by which grids are compared."""
EDGE = 1e-6
"""Pixels by which rounding may carry a point over an edge."""


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
        corners = [self.transform @ corner for corner in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def bounds_in(self, crs: CRS | None) -> tuple[float, float, float, float]:
        """The bounds in another CRS; infinite where that CRS does not reach."""
        if crs == self.crs:
            return self.bounds
        try:
            return transform_bounds(self.crs, crs, *self.bounds)
        except CPLE_BaseError:
            return (math.inf,) * 4

    def resolution_in(self, crs: CRS | None) -> float:
        """The side of its middle pixel in units of another CRS, however turned; infinite where that CRS does not reach."""
        y, x = self.height / 2, self.width / 2
        corners = [self.transform @ corner for corner in ((x, y), (x + 1, y), (x, y + 1))]
        try:
            xs, ys = transform(self.crs, crs, *zip(*corners, strict=True)) if crs != self.crs else zip(*corners, strict=True)
        except CPLE_BaseError:
            return math.inf
        return math.sqrt(abs((xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0])))

    def shifted(self, shift: Shift) -> Grid:
        """The same pixels where a sensor with this misregistration shows them."""
        return replace(self, transform=self.transform @ shift.around(self.width / 2, self.height / 2))

    def part(self, window: Window) -> Grid:
        """The grid of a window."""
        moved = self.transform @ Affine.translation(window.x, window.y)
        return replace(self, transform=moved, height=window.height, width=window.width)

    def windows(self, size: int, overlap: int = 0) -> Iterator[Window]:
        """Windows that cover the grid row by row; the last ones are moved inwards, never cut."""
        return windows(self.height, self.width, size, overlap)

    def overlaps(self, other: Grid) -> bool:
        """Do they share area? Bounds do not tell: a turned grid's are wider than it, and no CRS reaches around the world."""
        return self._reaches_into(other) or other._reaches_into(self)

    def _reaches_into(self, other: Grid) -> bool:
        """Does a point of a lattice over it, with its corners, lie in another grid?"""
        sides = [index / LATTICE for index in range(LATTICE + 1)]
        xs, ys = zip(*(self.transform @ (self.width * x, self.height * y) for y in sides for x in sides), strict=True)
        if self.transform.is_degenerate or other.transform.is_degenerate:
            return False
        try:
            places = zip(*(transform(self.crs, other.crs, xs, ys) if self.crs != other.crs else (xs, ys)), strict=True)
        except CPLE_BaseError:
            return False
        back = ~other.transform
        inside = (back @ place for place in places)
        return any(EDGE < x < other.width - EDGE and EDGE < y < other.height - EDGE for x, y in inside)


def starts(length: int, size: int, overlap: int = 0) -> list[int]:
    """Where windows of a size start along one side so that they cover it; the last one is moved inwards."""
    if length <= size:
        return [0]
    return [*range(0, length - size, size - overlap), length - size]


def blocks(height: int, width: int, side: int, under: Window | None = None, wide: int | None = None) -> Iterator[Window]:
    """Windows on multiples of a side (and of how wide they are, if they are no squares) that cover height x width once, or just
    those under a window; the last ones are cut."""
    wide = wide or side
    top, left, rows, columns = under or (0, 0, height, width)
    for y in range(top // side * side, min(top + rows, height), side):
        for x in range(left // wide * wide, min(left + columns, width), wide):
            yield Window(y, x, min(side, height - y), min(wide, width - x))


def intersection(window: Window, place: Window) -> tuple[Window, Window] | None:
    """What a window shares with a place: in the place's own pixels, and in the window's."""
    y, x = max(window.y, place.y), max(window.x, place.x)
    height = min(window.y + window.height, place.y + place.height) - y
    width = min(window.x + window.width, place.x + place.width) - x
    if height <= 0 or width <= 0:
        return None
    return Window(y - place.y, x - place.x, height, width), Window(y - window.y, x - window.x, height, width)


def windows(height: int, width: int, size: int, overlap: int = 0) -> Iterator[Window]:
    """Windows that cover height x width row by row; a side shorter than the size is taken whole."""
    for y in starts(height, size, overlap):
        for x in starts(width, size, overlap):
            yield Window(y, x, min(size, height), min(size, width))
