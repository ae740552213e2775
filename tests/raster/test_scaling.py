"""From numbers to values: what is done in which order, what is then no value, and which unit it has."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dis2.config.data import Scaling
from dis2.config.grid import GridSettings
from dis2.raster.grid import Grid, Window
from dis2.raster.scaling import scale_of
from dis2.raster.scene import open_sensor, scene_grid
from dis2.raster.warp import warped
from tests.made import NEXT_UTM, PIXELS, PLACE, UTM, data_of, raster

GRID = Grid(UTM, PLACE, 40, 50)
WHOLE = Window(0, 0, 40, 50)
NUMBERS = np.random.default_rng(0).integers(1, 5000, (2, 40, 50))


def told(file, scales=None, offsets=None, units=None):
    """The file, which now says how its numbers are meant."""
    with rasterio.open(file, "r+") as target:
        for name, values in (("scales", scales), ("offsets", offsets), ("units", units)):
            if values:
                setattr(target, name, values)
    return file


def read(files, scaling=None, grid=GRID, window=WHOLE, **how):
    with warped([files] if isinstance(files, str) else files, grid, "nearest", scaling=Scaling(**scaling or {}), **how) as reader:
        bands, valid = reader.read(window)
        assert bands.dtype == reader.dtype
        return bands, valid, reader.unit


@pytest.mark.parametrize(
    ("scaling", "wanted"),
    [
        ({"factor": 0.5}, NUMBERS / 2),
        ({"factor": 1e-4, "offset": -0.1}, NUMBERS * 1e-4 - 0.1),
        ({"offset": -1000}, NUMBERS - 1000.0),
        ({"clip": [100, 2000]}, np.clip(NUMBERS, 100, 2000)),
        ({"clip": [None, 2000]}, np.minimum(NUMBERS, 2000)),
        ({"decibels": "power"}, 10 * np.log10(NUMBERS)),
        ({"decibels": "amplitude"}, 20 * np.log10(NUMBERS)),
        ({"factor": 0.01, "decibels": "power", "clip": [-5, 10]}, np.clip(10 * np.log10(NUMBERS / 100), -5, 10)),
    ],
    ids=["factor", "linear", "offset", "clip", "clip above", "power", "amplitude", "all, in this order"],
)
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float64"])
def test_numbers_become_values(tmp_path, scaling, wanted, dtype):
    bands, valid, _ = read(raster(tmp_path / "a.tif", NUMBERS.astype(dtype)), scaling)
    assert bands.dtype == "float32" and valid.all()
    np.testing.assert_allclose(bands, wanted, rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("scaling", [{}, {"factor": 1}, {"unit": "m"}])
def test_numbers_that_are_values_stay_as_they_are(tmp_path, scaling):
    bands, _, _ = read(raster(tmp_path / "a.tif", NUMBERS.astype("uint16")), scaling)
    assert bands.dtype == "uint16" and np.array_equal(bands, NUMBERS)


def test_large_numbers_lose_nothing_before_the_offset_is_added(tmp_path):
    numbers = (2**30 + np.arange(2000)).reshape(1, 40, 50).astype("int32")
    bands, _, _ = read(raster(tmp_path / "a.tif", numbers), {"offset": -(2**30)})
    assert np.array_equal(bands.ravel(), np.arange(2000))


@pytest.mark.parametrize(
    ("scaling", "wanted"),
    [
        ({}, NUMBERS * [[[0.25]], [[2.0]]] + [[[-3.0]], [[1.0]]]),
        ({"decibels": "power", "clip": [20, None]}, None),
        ({"factor": 10}, NUMBERS * 10.0),
        ({"offset": 5}, NUMBERS + 5.0),
        ({"factor": 1}, NUMBERS),
    ],
    ids=["alone", "before decibels", "replaced by a factor", "replaced by an offset", "switched off"],
)
def test_a_file_says_what_its_numbers_mean_unless_the_config_does(tmp_path, scaling, wanted):
    file = told(raster(tmp_path / "a.tif", NUMBERS.astype("uint16")), scales=(0.25, 2), offsets=(-3, 1))
    if wanted is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            wanted = np.clip(10 * np.log10(NUMBERS * [[[0.25]], [[2.0]]] + [[[-3.0]], [[1.0]]]), 20, None)
    bands, valid, _ = read(file, scaling)
    assert np.array_equal(valid, np.isfinite(wanted).all(0))
    np.testing.assert_allclose(bands[:, valid], wanted[:, valid], rtol=1e-6)


def test_files_of_one_sensor_come_to_the_same_values_however_they_are_packed(tmp_path):
    values = NUMBERS[:1] / 4
    packed = told(raster(tmp_path / "a.tif", NUMBERS[:1].astype("uint16")), scales=(0.25,))
    bands, _, _ = read([packed, raster(tmp_path / "b.tif", values.astype("float32"))])
    assert bands.dtype == "float32" and np.array_equal(bands[0], bands[1])


POWERS = np.array([[[-1, 0, 1e-3, 1, 10, np.inf, np.nan, 9000]]], "float32")


@pytest.mark.parametrize(
    ("scaling", "wanted"),
    [
        ({"decibels": "power"}, [None, None, -30, 0, 10, None, None, None]),
        ({"decibels": "power", "clip": [-25, 5]}, [None, -25, -25, 0, 5, None, None, None]),
        ({"clip": [0, 5]}, [0, 0, 1e-3, 1, 5, None, None, None]),
        ({"factor": 1e38, "clip": [None, None]}, [-1e38, 0, 1e35, 1e38, None, None, None, None]),
    ],
    ids=["decibels", "clipped decibels", "clipped", "too large"],
)
def test_what_has_no_value_is_no_measurement_and_zero_is_one(tmp_path, scaling, wanted):
    grid = Grid(UTM, PLACE, 1, 8)
    bands, valid, _ = read(raster(tmp_path / "a.tif", POWERS, nodata=9000), scaling, grid, Window(0, 0, 1, 8))
    assert valid[0].tolist() == [value is not None for value in wanted]
    assert bands[0, 0][valid[0]] == pytest.approx([value for value in wanted if value is not None])


@pytest.mark.parametrize("unmeasured", ["any", "all"])
def test_one_band_without_a_value_makes_a_pixel_no_measurement(tmp_path, unmeasured):
    powers = np.ones((2, 40, 50), "float32")
    powers[0, 3, 4] = 0
    _, valid, _ = read(raster(tmp_path / "a.tif", powers), {"decibels": "power"}, unmeasured=unmeasured)
    assert not valid[3, 4] and valid.sum() == 40 * 50 - 1


@pytest.fixture(scope="module")
def speckled(tmp_path_factory):
    turned = PLACE @ Affine.translation(-20, -10) @ Affine.rotation(7)
    powers = np.random.default_rng(1).lognormal(size=(2, 90, 90)).astype("float32")
    return raster(tmp_path_factory.mktemp("speckled") / "a.tif", powers, turned)


@given(st.integers(0, 39), st.integers(0, 49), st.integers(1, 40), st.integers(1, 50))
def test_scaled_windows_are_bit_identical_parts_of_the_whole(speckled, y, x, height, width):
    scaling, window = {"decibels": "power", "clip": [-9, 9]}, Window(y, x, min(height, 40 - y), min(width, 50 - x))
    whole, whole_valid, _ = read(speckled, scaling)
    part, part_valid, _ = read(speckled, scaling, window=window)
    assert np.array_equal(part, whole[:, *window.slices], equal_nan=True)
    assert np.array_equal(part_valid, whole_valid[window.slices])


def test_powers_are_interpolated_and_not_their_logarithms(tmp_path):
    powers = np.tile(np.float32([1, 100]), (1, 40, 25))
    file = raster(tmp_path / "a.tif", powers, PLACE @ Affine.translation(0.5, 0))
    with warped([file], GRID, "bilinear", scaling=Scaling(decibels="power")) as reader:
        bands, _ = reader.read(Window(5, 5, 20, 20))
    assert bands == pytest.approx(10 * np.log10(50.5), abs=1e-4)


@pytest.mark.parametrize(
    ("units", "scaling", "wanted"),
    [
        (("K", "K"), {}, "K"),
        (("K", "m"), {}, None),
        (None, {}, None),
        (("K", "K"), {"clip": [0, 9]}, "K"),
        (("K", "K"), {"factor": 2}, None),
        (("K", "K"), {"factor": 2, "unit": "mK"}, "mK"),
        (("K", "K"), {"decibels": "power"}, "dB"),
        (None, {"decibels": "power", "unit": "dB re 1 uPa"}, "dB re 1 uPa"),
    ],
    ids=["kept", "mixed", "none", "clipped", "no longer true", "given", "decibels", "given with decibels"],
)
def test_a_unit_is_kept_as_long_as_it_is_true(tmp_path, units, scaling, wanted):
    file = told(raster(tmp_path / "a.tif", NUMBERS.astype("uint16")), scales=(0.5, 0.5), units=units)
    assert read(file, scaling)[2] == wanted


def test_files_of_different_units_have_none_together(tmp_path):
    files = [told(raster(tmp_path / f"{unit}.tif", NUMBERS[:1].astype("uint16")), units=(unit,)) for unit in "mmK"]
    assert read(files[:2])[2] == "m" and read(files)[2] is None


@pytest.mark.parametrize("pixels", [False, True], ids=["warped", "chips"])
def test_a_sensor_is_scaled_wherever_it_is_opened(tmp_path, pixels):
    file = raster(tmp_path / "a.tif", NUMBERS.astype("uint16"), crs=None if pixels else UTM)
    sensors = {"thermal": {"bands": 2, "scaling": {"factor": 0.1, "unit": "K"}}, "lidar": {"bands": 1}}
    scene = {"sensors": {"thermal": file}}
    data = data_of({"a": {"chips": {"x": scene, "y": scene}} if pixels else scene}, sensors)
    settings = PIXELS if pixels else GridSettings()
    with open_sensor(data, settings, "a", "thermal", scene_grid(data, settings, "a")) as reader:
        assert reader.unit == "K" and reader.dtype == "float32"
        assert reader.read(WHOLE)[0] == pytest.approx(NUMBERS / 10)


def test_labels_are_not_scaled(tmp_path):
    file = told(raster(tmp_path / "a.tif", NUMBERS[:1].astype("uint16")), scales=(0.5,))
    with warped([file], GRID, "nearest") as reader:
        assert np.array_equal(reader.read(WHOLE)[0], NUMBERS[:1])


def test_an_image_of_another_crs_is_scaled_as_well(tmp_path):
    file = raster(tmp_path / "a.tif", np.full((1, 9, 9), 8, "uint8"), Affine(1e5, 0, 4e5, 0, -1e5, 5.8e6), NEXT_UTM)
    bands, valid, _ = read(file, {"factor": 0.25})
    assert valid.all() and (bands == 2).all()


@pytest.mark.parametrize(
    ("scaling", "said"),
    [
        ({"factor": 0}, "factor: 0 leaves nothing"),
        ({"clip": [5, 5]}, "clip: .* holds nothing"),
        ({"factor": float("inf")}, "not finite"),
        ({"clip": [float("nan"), 1]}, "not finite"),
        ({"decibels": "volts"}, "'power' or 'amplitude'"),
        ({"gain": 2}, "gain"),
    ],
)
def test_scaling_without_sense_is_refused(scaling, said):
    with pytest.raises(ValidationError, match=said):
        Scaling(**scaling)


def test_nothing_is_done_where_nothing_is_said(tmp_path):
    with rasterio.open(raster(tmp_path / "a.tif", NUMBERS.astype("uint16"))) as source:
        assert scale_of(source, [1, 2], Scaling()) is None
