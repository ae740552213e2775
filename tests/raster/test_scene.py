"""A scene on its grid: which grid that is, and how chips lie side by side in it."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2.config.data import IGNORE
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.grid import Grid, Window
from dis2.raster.scene import covering, open_scene_labels, open_sensor, places, reference_sensor, scene_grid
from tests.made import NEXT_UTM, PIXELS, PLACE, UTM, data_of, raster

ONE = np.ones((1, 20, 30), "uint8")


@pytest.fixture
def rasters(tmp_path):
    """Lidar at 1 m and thermal at 2 m, not at the same place."""
    thermal = np.ones((2, 30, 30), "uint8")
    return {
        "lidar": raster(tmp_path / "lidar.tif", ONE),
        "thermal": raster(tmp_path / "thermal.tif", thermal, PLACE @ Affine.translation(-5.5, 3) @ Affine.scale(2)),
    }


def test_the_grid_is_that_of_the_reference_sensor(rasters):
    data = data_of({"a": {"sensors": rasters}})
    assert reference_sensor(data, GridSettings(), "a") == "thermal"
    assert scene_grid(data, GridSettings(), "a").resolution == 2
    assert scene_grid(data, GridSettings(reference="lidar"), "a") == Grid(UTM, PLACE, 20, 30)


@pytest.mark.parametrize("crs", [None, "EPSG:32632"])
def test_an_explicit_grid_covers_the_reference_on_multiples_of_its_resolution(rasters, crs):
    data, wanted = data_of({"a": {"sensors": rasters}}), GridSettings(crs=crs, resolution=5)
    grid, own = scene_grid(data, wanted, "a"), scene_grid(data, GridSettings(), "a")
    left, bottom, right, top = own.bounds_in(grid.crs)
    assert grid.crs == (NEXT_UTM if crs else UTM) and grid.resolution == 5
    assert [side % 5 for side in grid.bounds] == [0, 0, 0, 0]
    assert grid.bounds[0] <= left < grid.bounds[0] + 5 and grid.bounds[3] - 5 < top <= grid.bounds[3]
    assert grid.bounds[1] <= bottom < grid.bounds[1] + 5 and grid.bounds[2] - 5 < right <= grid.bounds[2]


@given(st.sampled_from([0.1, 0.3, 0.7, 1 / 3, 10]), st.integers(-10_000, 10_000), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_a_grid_on_multiples_of_its_resolution_covers_itself(resolution, start, side):
    own = Grid(UTM, Affine(resolution, 0, start * resolution, 0, -resolution, start * resolution), side, side)
    grid = covering(own, UTM, resolution)
    assert (grid.height, grid.width) == (side, side) and grid.transform.almost_equals(own.transform, 1e-6)


@pytest.mark.parametrize(
    ("sensors", "wanted", "told"),
    [
        (["lidar"], {}, "lacks the reference sensor thermal; give grid.resolution"),
        (["lidar"], {"crs": "EPSG:0", "resolution": 1}, "grid.crs: 'EPSG:0' is no CRS"),
        (["lidar"], {"crs": "no wkt", "resolution": 1}, "grid.crs: 'no wkt' is no CRS"),
    ],
)
def test_a_grid_that_cannot_be_is_one_line(rasters, sensors, wanted, told):
    data = data_of({"a": {"sensors": {sensor: rasters[sensor] for sensor in sensors}}})
    with pytest.raises(UserError, match=told) as caught:
        scene_grid(data, GridSettings(**wanted), "a")
    assert "\n" not in str(caught.value)


def chip(folder, name, side, fill, sensors=("thermal", "lidar"), labels=True):
    bands = {"thermal": 2, "lidar": 1}
    files = {s: raster(folder / f"{name}-{s}.tif", np.full((bands[s], *side), fill, "uint8"), crs=None) for s in sensors}
    return {"sensors": files} | (
        {"labels": raster(folder / f"{name}-l.tif", np.full((1, *side), fill % 3, "uint8"), crs=None)} if labels else {}
    )


@pytest.fixture
def chips(tmp_path):
    """Three chips of different shapes: the second lacks lidar, the third labels."""
    made = {
        "a": chip(tmp_path, "a", (8, 6), 1),
        "b": chip(tmp_path, "b", (5, 9), 2, sensors=("thermal",)),
        "c": chip(tmp_path, "c", (7, 7), 3, labels=False),
    }
    return data_of({"s": {"split": "train", "chips": made}})


def test_chips_lie_apart_from_each_other_in_the_order_of_the_config(chips):
    cells = {place.name: place.window for place in places(chips, PIXELS, "s")}
    assert [(w.height, w.width) for w in cells.values()] == [(8, 6), (5, 9), (7, 7)] and list(cells) == ["a", "b", "c"]
    grid = scene_grid(chips, PIXELS, "s")
    seen = np.zeros((grid.height, grid.width), int)
    for window in cells.values():
        seen[window.slices] += 1
    assert seen.max() == 1 and seen.sum() == 8 * 6 + 5 * 9 + 7 * 7 and grid.crs is None


def test_a_mosaic_shows_each_chip_in_its_place_and_nothing_else(chips):
    grid = scene_grid(chips, PIXELS, "s")
    thermal, lidar, labels = np.zeros((3, grid.height, grid.width), int)
    for fill, place in enumerate(places(chips, PIXELS, "s"), start=1):
        thermal[place.window.slices] = fill
        lidar[place.window.slices] = 0 if fill == 2 else fill
        labels[place.window.slices] = 0 if fill == 3 else fill
    window = Window(3, 2, 9, 13)
    for sensor, told in (("thermal", thermal), ("lidar", lidar)):
        with open_sensor(chips, PIXELS, "s", sensor, grid) as reader:
            bands, valid = reader.read(window)
        assert (bands == told[window.slices]).all() and np.array_equal(valid, told[window.slices] > 0)
    with open_scene_labels(chips, PIXELS, "s", grid) as reader:
        assert np.array_equal(reader.read(window), np.where(labels == 0, IGNORE, labels % 3)[window.slices])


def test_a_chip_with_other_bands_than_the_config_is_not_spread_over_them(chips, tmp_path):
    made = {"a": chip(tmp_path, "a", (8, 6), 1), "b": {"sensors": {"thermal": raster(tmp_path / "x.tif", ONE, crs=None)}}}
    data = data_of({"s": {"chips": made}})
    with open_sensor(data, PIXELS, "s", "thermal", scene_grid(data, PIXELS, "s")) as reader:
        assert reader.count == 1


@pytest.mark.parametrize("what", ["lidar", "labels"])
def test_rasters_of_a_chip_that_differ_in_shape_are_refused(tmp_path, what):
    odd, made = raster(tmp_path / "odd.tif", np.ones((1, 5, 6), "uint8"), crs=None), chip(tmp_path, "a", (8, 6), 1)
    made = {"sensors": made["sensors"], "labels": odd} if what == "labels" else {"sensors": made["sensors"] | {"lidar": odd}}
    with pytest.raises(UserError, match=r"odd\.tif: 5 x 6 pixels, but .* has 8 x 6"):
        scene_grid(data_of({"s": {"chips": {"a": made}}}), PIXELS, "s")
