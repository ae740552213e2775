"""Geometry without files: windows cover, grids move and overlap as their coordinates say."""

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from dis2.raster.grid import Grid, Shift, Window, blocks, windows
from tests.made import NEXT_UTM, PLACE, UTM

SIDES = st.integers(1, 60)
TURNED = PLACE @ Affine.rotation(30)


@given(SIDES, SIDES, st.integers(1, 20), st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
def test_windows_cover_every_pixel_and_are_never_cut(height, width, size, share):
    seen = np.zeros((height, width), int)
    for window in windows(height, width, size, int(share * size)):
        assert (window.height, window.width) == (min(size, height), min(size, width))
        assert seen[window.slices].shape == (window.height, window.width)
        seen[window.slices] += 1
    assert seen.all()


@given(SIDES, SIDES, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_blocks_cover_every_pixel_once(height, width, side):
    seen = np.zeros((height, width), int)
    for block in blocks(height, width, side):
        assert block.y % side == block.x % side == 0
        seen[block.slices] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("transform", [PLACE, TURNED], ids=["north-up", "turned"])
def test_a_shift_and_a_part_move_pixels_along_the_axes_of_the_grid(transform):
    grid = Grid(UTM, transform, 40, 50)
    assert grid.shifted(Shift(2.25, -1.5)).transform @ (3, 4) == pytest.approx(transform @ (5.25, 2.5))
    part = grid.part(Window(7, 5, 3, 2))
    assert part.transform @ (0, 0) == pytest.approx(transform @ (5, 7)) and (part.height, part.width) == (3, 2)


def test_bounds_hold_all_corners_of_a_turned_grid():
    left, bottom, right, top = Grid(UTM, TURNED, 40, 50).bounds
    xs, ys = zip(*(TURNED @ corner for corner in ((0, 0), (50, 0), (0, 40), (50, 40))), strict=True)
    assert (left, bottom, right, top) == (min(xs), min(ys), max(xs), max(ys))


@pytest.mark.parametrize("transform", [PLACE, TURNED, PLACE @ Affine.scale(4, 0.25)], ids=["north-up", "turned", "oblong"])
def test_resolution_is_the_side_of_a_pixel_however_turned(transform):
    grid = Grid(UTM, transform, 40, 50)
    assert grid.resolution == pytest.approx(1) and grid.resolution_in(UTM) == pytest.approx(1)
    assert grid.resolution_in(NEXT_UTM) == pytest.approx(1, rel=0.01)
    assert 111_000 * grid.resolution_in(CRS.from_epsg(4326)) == pytest.approx(
        1 / math.sqrt(math.cos(math.radians(47.8))), rel=0.01
    )


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (Grid(UTM, PLACE @ Affine.translation(39, 39), 5, 5), True),
        (Grid(UTM, PLACE @ Affine.translation(40, 0), 5, 5), False),
        (Grid(UTM, PLACE @ Affine.translation(0, -5), 5, 5), False),
        (Grid(CRS.from_epsg(4326), Affine(0.01, 0, 12.3, 0, -0.01, 47.9), 50, 50), True),
        (Grid(CRS.from_epsg(4326), Affine(0.01, 0, 42.3, 0, -0.01, 47.9), 50, 50), False),
        (Grid(CRS.from_epsg(4326), PLACE, 50, 50), False),
        (Grid(CRS.from_epsg(4326), Affine(0.5, 0, -180, 0, -0.5, 90), 360, 720), True),
        (Grid(CRS.from_epsg(3031), Affine(1000, 0, -3e6, 0, -1000, 3e6), 6000, 6000), False),
        (Grid(UTM, PLACE @ Affine.translation(60, -48.3) @ Affine.rotation(45), 40, 40), False),
        (Grid(UTM, PLACE @ Affine.translation(55, -38.3) @ Affine.rotation(45), 40, 40), True),
        (Grid(UTM, Affine(0, 0, 300_020, 0, 0, 5_299_980), 40, 40), False),
    ],
    ids=[
        "corner",
        "beside",
        "above",
        "other CRS",
        "far away",
        "degrees beyond the poles",
        "the world",
        "the other pole",
        "turned beside a corner",
        "turned over a corner",
        "without area",
    ],
)
def test_grids_overlap_only_where_they_share_area(other, together):
    assert Grid(UTM, PLACE, 40, 40).overlaps(other) == together
