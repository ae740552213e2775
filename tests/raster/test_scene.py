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


def read_sensor(data, name, scene="a"):
    grid = scene_grid(data, PIXELS, scene)
    with open_sensor(data, PIXELS, scene, name, grid) as reader:
        return reader.count, *reader.read(Window(0, 0, grid.height, grid.width))


def test_bands_are_taken_in_the_order_that_is_asked_for(tmp_path):
    bands = np.arange(5, dtype="uint8")[:, None, None] + np.zeros((5, 4, 6), "uint8")
    files = [raster(tmp_path / "a.tif", bands[:3], crs=None), raster(tmp_path / "b.tif", bands[3:], crs=None)]
    for take, wanted in (((4, 1), [3, 0]), ((), [0, 1, 2, 3, 4])):
        sensors = {"thermal": {"bands": len(wanted), "take": take}, "lidar": {"bands": 1}}
        count, seen, valid = read_sensor(data_of({"a": {"sensors": {"thermal": files}}}, sensors), "thermal")
        assert count == len(wanted) and seen[:, 0, 0].tolist() == wanted and valid.all()
    data = data_of({"a": {"sensors": {"thermal": files}}}, {"thermal": {"bands": 1, "take": [6]}, "lidar": {"bands": 1}})
    with pytest.raises(UserError, match=r"b\.tif: 5 bands, but take asks for band 6; 1 is the first"):
        read_sensor(data, "thermal")


def test_a_sensor_measures_nothing_where_the_one_that_it_lies_within_has_no_data(tmp_path):
    thermal = np.ones((2, 4, 6), "uint8")
    thermal[:, 1], thermal[0, 2] = 0, 0  # no measurement, and a dark one
    files = {
        "thermal": raster(tmp_path / "t.tif", thermal, crs=None),
        "lidar": raster(tmp_path / "l.tif", ONE[:, :4, :6], crs=None),
    }
    sensors = {"thermal": {"bands": 2, "nodata": 0, "unmeasured": "all"}, "lidar": {"bands": 1, "within": "thermal"}}
    data = data_of({"a": {"sensors": files}, "b": {"sensors": {"lidar": files["lidar"]}}}, sensors)
    wanted = np.ones((4, 6), bool)
    wanted[1] = False
    for sensor in sensors:
        assert np.array_equal(read_sensor(data, sensor)[2], wanted)
    assert read_sensor(data, "lidar", "b")[2].all()


def test_more_chips_than_may_be_open_are_read_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("dis2.raster.scene.OPEN", 2)
    chips = {
        f"c{n}": {"sensors": {"thermal": raster(tmp_path / f"{n}.tif", np.full((2, 8, 8), n, "uint8"), crs=None)}}
        for n in range(9)
    }
    data = data_of({"a": {"chips": chips}})
    grid = scene_grid(data, PIXELS, "a")
    with open_sensor(data, PIXELS, "a", "thermal", grid) as reader:
        for window in (Window(0, 0, 24, 24), Window(4, 4, 12, 12)):
            seen = reader.read(window)[0][1]
            rows, columns = np.arange(24)[window.slices[0], None] // 8, np.arange(24)[None, window.slices[1]] // 8
            assert np.array_equal(seen, 3 * rows + columns)
        assert len(reader.parts.open) == 2


def test_a_raster_that_lacks_the_last_row_of_many_measured_nothing_there(tmp_path):
    """As one of Potsdam's tiles is said to; a smaller one is refused (test_check.py)."""
    tall, short = np.full((1, 1000, 4), 7, "uint8"), np.full((1, 999, 4), 5, "uint8")
    files = {"thermal": np.concatenate([tall, tall]), "lidar": short, "labels": tall - 7}
    files = {name: raster(tmp_path / f"{name}.tif", values, crs=None) for name, values in files.items()}
    labels = files.pop("labels")
    data = data_of({"a": {"sensors": files, "labels": labels}})
    grid = scene_grid(data, PIXELS, "a")
    with open_sensor(data, PIXELS, "a", "lidar", grid) as lidar:
        bands, valid = lidar.read(Window(990, 1, 10, 3))
    assert grid.height == 1000 and valid[:9].all() and not valid[9].any() and (bands[0, :9] == 5).all() and not bands[0, 9].any()
