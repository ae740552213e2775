"""The one warp: what it puts where, that windows change nothing, and that validity is told and never guessed."""

from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform as moved_to

from dis2.errors import UserError
from dis2.raster import warp as module
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


def belongs(x, y, shift):
    """Where in the grid that belongs which is seen at (x, y) by the definition of a shift: solved for, step by step."""
    right_x, down_x, right_y, down_y = shift.linear
    x0, y0 = x, y
    for _ in range(30):
        right, down = x0 - GRID.width / 2, y0 - GRID.height / 2
        x0 = x - shift.dx - right_x * right - down_x * down
        y0 = y - shift.dy - right_y * right - down_y * down
    return x0, y0


def seen_by(transform, crs, side, truth, shift):
    """What a sensor with this misregistration shows: at the place of grid pixel (x + dx, y + dy) what belongs at (x, y)."""
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    xs, ys = moved_to(crs, UTM, *((transform @ (columns.ravel(), rows.ravel()))[:2]))
    x, y = ~PLACE @ (np.array(xs), np.array(ys))
    return truth(*belongs(x, y, shift)).reshape(1, side, side).astype("float32")


AFFINE = Shift(2.37, -1.62, (0.02, -0.03, 0.05, 0.01))


@pytest.mark.parametrize("shift", [Shift(), Shift(2.37, -1.62), AFFINE], ids=["unmoved", "moved", "affine"])
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


TOLD = ("nodata", "swath", "mask", "nothing")
RESAMPLINGS = ("nearest", "bilinear", "cubic", "average")
ELSEWHERE = {"same CRS": UTM, "next zone": NEXT_UTM, "degrees": CRS.from_epsg(4326)}
WIDE = Grid(UTM, PLACE, 300, 600)


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """Turned rasters in several CRSs with holes, coarser and finer than the grid; by CRS and how validity is told."""
    folder, found = tmp_path_factory.mktemp("rough"), {}
    for place, crs in ELSEWHERE.items():
        for told, side, resolution in (("nodata", 50, 8.0), ("swath", 400, 1.6), ("mask", 600, 0.7), ("nothing", 700, 1.3)):
            values = np.random.default_rng(1).normal(size=(2, side, side)).astype("float32")
            there = np.random.default_rng(2).random((2, side, side)) > 0.1
            there = {"swath": np.broadcast_to(np.arange(side) > side / 3, there.shape), "nothing": there | True}.get(told, there)
            how = {"mask": there[0]} if told == "mask" else {"nodata": -9}
            values = values if told == "mask" else np.where(there, values, -9)
            how = {} if told == "nothing" else how
            degrees = Grid(UTM, PLACE, 1, 1).resolution_in(crs)
            transform = around(PLACE @ (300, 150), crs, 20, side, resolution * degrees)
            found[place, told] = raster(folder / f"{place} {told}.tif", values, transform, crs, **how)
    return found


def no_window_shows(file, window, resampling, side):
    """Is a window bit-identical to its part of the whole, if warped in cells of a side?"""
    with patch.object(module, "CELL", side):
        bands, valid = read(file, WIDE, shift=Shift(0.3, 0.6, (1e-3, 0, 0, 2e-3)), resampling=resampling)
        part, part_valid = read(file, WIDE, window, shift=Shift(0.3, 0.6, (1e-3, 0, 0, 2e-3)), resampling=resampling)
    return np.array_equal(part, bands[:, *window.slices]) and np.array_equal(part_valid, valid[window.slices])


@given(
    place=st.sampled_from(list(ELSEWHERE)),
    told=st.sampled_from(TOLD),
    resampling=st.sampled_from(RESAMPLINGS),
    corner=st.tuples(st.integers(0, 299), st.integers(0, 599)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 600)),
    side=st.sampled_from([32, 256, 288, module.CELL]),
)
@settings(max_examples=40, deadline=None)
def test_windows_of_any_size_are_bit_identical_parts_of_the_whole(rough, place, told, resampling, corner, size, side):
    (y, x), (height, width) = corner, size
    assert no_window_shows(rough[place, told], Window(y, x, min(height, 300 - y), min(width, 600 - x)), resampling, side)


@pytest.mark.parametrize("resampling", RESAMPLINGS)
@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("told", TOLD)
def test_no_window_shows_whatever_the_resampling_and_crs(rough, place, told, resampling):
    assert no_window_shows(rough[place, told], Window(50, 70, 150, 101), resampling, 64)


def test_cells_differ_from_one_warp_by_no_more_than_gdal_approximates(rough):
    """An eighth of a pixel, far less than a cell out of place would."""
    with patch.object(module, "CELL", 16):
        bands, valid = read(rough["next zone", "nothing"], WIDE, resampling="cubic")
    whole, _ = read(rough["next zone", "nothing"], WIDE, resampling="cubic")
    assert valid.any() and np.abs(bands - whole)[:, valid].max() < 0.15 * whole[:, valid].std()


@pytest.mark.parametrize("resampling", RESAMPLINGS)
@pytest.mark.parametrize("unmeasured", ["any", "all"])
def test_nodata_that_all_bands_share_is_told_quickly_and_the_same(rough, resampling, unmeasured):
    """GDAL's slow way, with nodata of every single band, is the truth; in cells in which both approximate places alike."""
    with patch.object(module, "CELL", 128):
        bands, valid = read(rough["next zone", "swath"], WIDE, resampling=resampling, unmeasured=unmeasured)
        with patch.object(module, "_alike", return_value=False):
            slow, slow_valid = read(rough["next zone", "swath"], WIDE, resampling=resampling, unmeasured="any")
    assert np.array_equal(valid, slow_valid) and 0 < valid.mean() < 0.8
    np.testing.assert_allclose(bands[:, valid], slow[:, valid], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("bands", "dtype", "resolution", "cell"),
    [
        (4, "uint16", 1.0, (256, 1024)),
        (1, "uint8", 9, (256, 1024)),
        (224, "uint16", 1.0, (128, 128)),
        (224, "uint16", 0.1, (16, 16)),
        (4, "uint8", 0.01, (16, 16)),
    ],
)
def test_the_more_bands_and_the_finer_they_are_the_smaller_are_the_cells(tmp_path, bands, dtype, resolution, cell):
    file = raster(tmp_path / "a.tif", np.ones((bands, 20, 20), dtype), PLACE @ Affine.scale(resolution))
    with warped([file], WIDE) as reader:
        assert (reader.parts[0].tall, reader.parts[0].wide) == cell


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


@pytest.mark.parametrize("beside", [False, True], ids=["within", "beside"])
@pytest.mark.parametrize("grid", [GRID, Grid(None, Affine.identity(), 48, 64)], ids=["warped", "as it is"])
def test_a_mask_tells_within_the_file_or_in_one_beside_it(tmp_path, beside, grid):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not beside):
        file = raster(tmp_path / "a.tif", np.zeros((2, 48, 64), "uint8"), mask=~HOLE)
    assert (tmp_path / "a.tif.msk").exists() == beside
    _, valid = read(file, grid, resampling="nearest")
    assert np.array_equal(valid, ~HOLE)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize(("dtype", "nodata"), [("float32", -9999), ("uint16", 0), ("float32", np.nan)])
def test_what_one_band_lacks_is_not_mixed_into_it(tmp_path, resampling, dtype, nodata):
    values = np.full((2, 48, 64), 100, dtype)
    values[0, HOLE] = nodata
    bands, valid = read(
        raster(tmp_path / "a.tif", values, PLACE @ Affine.translation(-0.4, 0.3), nodata=nodata), resampling=resampling
    )
    assert not valid[11:19, 31:35].any() and valid[2:, :29].all() and bands[:, valid] == pytest.approx(100)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_a_nodata_value_in_one_band_alone_may_be_a_measurement(tmp_path, resampling):
    values = np.full((2, 48, 64), 100, "uint8")
    values[0, HOLE], values[:, 40:] = 0, 0
    bands, valid = read(raster(tmp_path / "a.tif", values, nodata=0), resampling=resampling, unmeasured="all")
    assert valid[:40].all() and not valid[40:].any()
    assert np.array_equal(bands[:, :40], values[:, :40])


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
    if kind == "no area":
        return raster(path, np.ones((1, 48, 64), "uint8"), Affine(1, 0, 5, 0, 0, 5))
    file = raster(path, np.random.default_rng(0).normal(size=(1, 300, 300)))
    path.write_bytes(path.read_bytes()[:200_000])
    return file


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "no such file"),
        ("no raster", "not a readable raster"),
        ("no CRS", "has no CRS"),
        ("no area", "no area"),
        ("truncated", "damaged"),
    ],
)
def test_a_raster_that_cannot_be_read_is_one_line(tmp_path, kind, told):
    file = damaged(tmp_path / "a.tif", kind)
    with pytest.raises(UserError, match=told) as caught, nullcontext():
        read(file, Grid(UTM, PLACE, 300, 300))
    assert str(caught.value).startswith(file) and "\n" not in str(caught.value)


def test_the_grid_of_a_file_is_its_own(tmp_path):
    assert grid_of(raster(tmp_path / "a.tif", np.ones((1, 48, 64), "uint8"))) == GRID
