"""The one warp: what it puts where, that windows change nothing, and that validity is told and never guessed."""

from contextlib import nullcontext

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform as moved_to

from dis2.errors import UserError
from dis2.raster.grid import Grid, Shift, Window
from dis2.raster.warp import grid_of, warped
from tests.made import NEXT_UTM, PLACE, UTM, raster

GRID = Grid(UTM, PLACE, 48, 64)
MIDDLE = PLACE @ (32, 24)


def whole(grid):
    return Window(0, 0, grid.height, grid.width)


def read(files, grid=GRID, window=None, **how):
    with warped([files] if isinstance(files, str) else files, grid, **how) as reader:
        return reader.read(window or whole(grid))


def around(point, crs, angle=0, side=160, resolution=1.0):
    """The transform of a raster of a side whose middle lies at a point of the grid's CRS."""
    (x,), (y,) = moved_to(UTM, crs, [point[0]], [point[1]])
    return (
        Affine.translation(x, y)
        @ Affine.rotation(angle)
        @ Affine.scale(resolution, -resolution)
        @ Affine.translation(-side / 2, -side / 2)
    )


def seen_by(transform, crs, side, truth, shift):
    """What a sensor with this misregistration shows: at the place of grid pixel (x + dx, y + dy) what belongs at (x, y)."""
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    xs, ys = moved_to(crs, UTM, *((transform @ (columns.ravel(), rows.ravel()))[:2]))
    x, y = ~PLACE @ (np.array(xs), np.array(ys))
    return truth(x - shift.dx, y - shift.dy).reshape(1, side, side).astype("float32")


@pytest.mark.parametrize("shift", [Shift(), Shift(2.37, -1.62)], ids=["unmoved", "moved"])
@pytest.mark.parametrize("crs", [UTM, NEXT_UTM], ids=["same CRS", "other CRS"])
@pytest.mark.parametrize("angle", [0, 25], ids=["north-up", "turned"])
def test_what_is_seen_beside_its_place_is_put_where_it_belongs(tmp_path, shift, crs, angle):
    def truth(x, y):
        return 3 * x - 2 * y

    transform = around(MIDDLE, crs, angle)
    file = raster(tmp_path / "a.tif", seen_by(transform, crs, 160, truth, shift), transform, crs)
    bands, valid = read(file, shift=shift)
    assert valid.all()
    assert bands[0] == pytest.approx(truth(*np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)), abs=0.1)


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """Turned rasters of another CRS with holes, coarser and finer than a grid of several cells; by how validity is told."""
    grid, found = Grid(UTM, PLACE, 300, 600), {}
    for told, side, resolution in (("nodata", 50, 8.0), ("mask", 600, 0.7)):
        values = np.random.default_rng(1).normal(size=(1, side, side)).astype("float32")
        there = np.random.default_rng(2).random((side, side)) > 0.1
        values = values if told == "mask" else np.where(there, values, -9)
        how = {"mask": there} if told == "mask" else {"nodata": -9}
        transform = around(PLACE @ (300, 150), NEXT_UTM, 20, side, resolution)
        file = raster(tmp_path_factory.mktemp("rough") / "a.tif", values, transform, NEXT_UTM, **how)
        found[told] = (file, read(file, grid, shift=Shift(0.3, 0.6)))
    return grid, found


@given(st.sampled_from(["nodata", "mask"]), st.integers(0, 299), st.integers(0, 599), st.integers(1, 300), st.integers(1, 600))
@settings(max_examples=40, deadline=None)
def test_windows_of_any_size_are_bit_identical_parts_of_the_whole(rough, told, y, x, height, width):
    grid, files = rough
    file, (bands, valid) = files[told]
    window = Window(y, x, min(height, 300 - y), min(width, 600 - x))
    part, part_valid = read(file, grid, window, shift=Shift(0.3, 0.6))
    assert np.array_equal(part, bands[:, *window.slices]) and np.array_equal(part_valid, valid[window.slices])


HOLE = np.zeros((48, 64), bool)
HOLE[10:20, 30:36] = True
TELLING = {
    "nodata": {"nodata": 9000},
    "NaN": {},
    "NaN as nodata": {"nodata": np.nan},
    "alpha": {"alpha": ~HOLE},
    "mask": {"mask": ~HOLE},
    "mask, not nodata": {"mask": ~HOLE, "nodata": 9001},
    "alpha, not nodata": {"alpha": ~HOLE, "nodata": 9001},
    "config": {},
}


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
@pytest.mark.parametrize("told", TELLING)
def test_holes_stay_holes_and_nothing_is_invented_beside_them(tmp_path, told, resampling):
    values = np.full((2, 48, 64), 100, "float32")
    values[:, HOLE] = np.nan if "NaN" in told else 9000
    values[:, :, :4] = 0  # zero is a measurement
    file = raster(tmp_path / "a.tif", values, PLACE @ Affine.translation(-0.4, 0.3), **TELLING[told])
    bands, valid = read(file, resampling=resampling, nodata=9000 if told == "config" else None)
    assert set(np.round(bands[:, valid & (np.arange(64) > 7)].ravel(), 3)) == {100}
    assert not valid[11:19, 31:35].any() and not valid[HOLE].any()
    grown = np.pad(HOLE, 3)
    grown = np.any([np.roll(grown, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)], axis=0)[3:-3, 3:-3]
    grown[0], grown[:, -1] = True, True  # beyond the raster
    assert valid[~grown].all()
    if resampling != "cubic":
        assert (bands[:, 1:, 1:3] == 0).all()


@pytest.mark.parametrize("told", TELLING)
def test_holes_are_holes_where_nothing_is_warped(tmp_path, told):
    values = np.full((2, 48, 64), 0, "float32")
    values[:, HOLE] = np.nan if "NaN" in told else 9000
    grid = Grid(None, Affine.identity(), 48, 64)
    bands, valid = read(raster(tmp_path / "a.tif", values, **TELLING[told]), grid, nodata=9000 if told == "config" else None)
    assert np.array_equal(valid, ~HOLE) and np.array_equal(bands, values, equal_nan=True)


def test_nodata_of_a_file_comes_before_that_of_the_config(tmp_path):
    file = raster(tmp_path / "a.tif", np.tile(np.uint16([5, 7]), (1, 48, 32)), nodata=5)
    _, valid = read(file, resampling="nearest", nodata=7)
    assert not valid[:, ::2].any() and valid[:, 1::2].all()


@pytest.mark.parametrize("nodata", [None, -9999.0, 0.5, np.nan, 7.0], ids=["none", "below", "fraction", "NaN", "fits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_beyond_the_raster_nothing_is_measured_and_zero_inside_is(tmp_path, dtype, nodata):
    file = raster(tmp_path / "a.tif", np.zeros((1, 20, 20), dtype), PLACE @ Affine.translation(10, 10))
    bands, valid = read(file, nodata=nodata)
    assert bands.dtype == dtype
    assert valid[10:30, 10:30].all() and valid.sum() == 400 and not bands[:, valid].any()


@pytest.mark.parametrize(("unmeasured", "rows"), [("any", range(20, 30)), ("all", range(10, 40))])
def test_a_pixel_is_unmeasured_where_any_or_all_bands_of_all_files_are(tmp_path, unmeasured, rows):
    first, second = np.full((2, 1, 48, 64), -1, "float32")
    first[0, 10:30], second[0, 20:40] = 1, 1
    files = [raster(tmp_path / "a.tif", first, nodata=-1), raster(tmp_path / "b.tif", second, nodata=-1)]
    bands, valid = read(files, resampling="nearest", unmeasured=unmeasured)
    assert bands.shape == (2, 48, 64) and set(np.flatnonzero(valid.all(1))) == set(rows) and valid.sum() == 64 * len(rows)


@pytest.mark.parametrize("unmeasured", ["any", "all"])
def test_no_valid_pixel_is_anything_but_a_number(tmp_path, unmeasured):
    values = np.ones((2, 48, 64), "float32")
    values[0, 3, 4], values[1, 5, 6] = np.nan, np.inf
    _, valid = read(raster(tmp_path / "a.tif", values), resampling="nearest", unmeasured=unmeasured)
    assert not valid[3, 4] and not valid[5, 6] and valid.sum() == 48 * 64 - 2


@pytest.mark.parametrize("angle", [0, 45])
@pytest.mark.parametrize(("resolution", "averaged"), [(0.8, False), (0.4, True)])
def test_only_a_much_finer_raster_is_averaged_however_turned(tmp_path, angle, resolution, averaged):
    values = np.random.default_rng(0).choice(np.float32([0, 100]), (1, 200, 200))
    file = raster(tmp_path / "a.tif", values, around(MIDDLE, UTM, angle, 200, resolution))
    bands, valid = read(file, resampling="nearest" if not averaged else "bilinear")
    spread = bands[0][valid].std()
    assert spread < 35 if averaged else spread > 45


def test_much_finer_labels_take_the_most_frequent_value(tmp_path):
    fine = np.kron(np.arange(48 * 64).reshape(48, 64) % 7, np.ones((3, 3))).astype("uint8")
    fine[1::3, 1::3] = 99  # what nearest would take
    bands, valid = read(raster(tmp_path / "a.tif", fine[None], PLACE @ Affine.scale(1 / 3)), resampling="nearest")
    assert valid.all() and np.array_equal(bands[0], np.arange(48 * 64).reshape(48, 64) % 7)


def damaged(path, kind):
    if kind == "missing":
        return str(path)
    if kind == "no raster":
        path.write_text("not a raster")
        return str(path)
    if kind == "no CRS":
        return raster(path, np.ones((1, 48, 64), "uint8"), crs=None)
    file = raster(path, np.random.default_rng(0).normal(size=(1, 300, 300)))
    path.write_bytes(path.read_bytes()[:200_000])
    return file


@pytest.mark.parametrize(
    ("kind", "told"),
    [("missing", "no such file"), ("no raster", "not a readable raster"), ("no CRS", "has no CRS"), ("truncated", "damaged")],
)
def test_a_raster_that_cannot_be_read_is_one_line(tmp_path, kind, told):
    file = damaged(tmp_path / "a.tif", kind)
    with pytest.raises(UserError, match=told) as caught, nullcontext():
        read(file, Grid(UTM, PLACE, 300, 300))
    assert str(caught.value).startswith(file) and "\n" not in str(caught.value)


def test_the_grid_of_a_file_is_its_own(tmp_path):
    assert grid_of(raster(tmp_path / "a.tif", np.ones((1, 48, 64), "uint8"))) == GRID
