"""The tile stage writes what the one warp reads, with shifts taken out, and nothing of a scene that does not fit."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine

from dis2.config.data import IGNORE
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.grid import Shift, Window
from dis2.raster.scene import open_scene_labels, open_sensor, places, scene_grid
from dis2.tiles.cut import cut
from dis2.tiles.dataset import Scenes
from dis2.tiles.statistics import statistics
from dis2.tiles.store import open_store
from tests.made import CLASSES, PIXELS, PLACE, SENSORS, data_of, raster, scene

SIDE = 600
"""More than one cell of the warp and one chunk of the store."""


def shifts(folder, **found):
    path = folder / "shifts.json"
    path.write_text(json.dumps({"sensors": {name: {"shift": {"dx": dx, "dy": dy}} for name, (dx, dy) in found.items()}}))
    return path


def test_a_process_that_tiles_starts_without_the_library_that_only_ground_needs():
    """Every one of several processes pays for what it imports."""
    code = "import sys, dis2.tiles.cut; assert not {m for m in sys.modules if m.startswith('scipy')}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("side", [40, SIDE])
def test_a_store_holds_what_the_warp_reads(tmp_path, side):
    lidar = np.random.default_rng(0).normal(size=(1, side, side)).astype("float32")
    lidar[0, 5:9, 7] = -9
    made = scene(tmp_path, side)
    made["sensors"]["lidar"] = (raster(tmp_path / "l.tif", lidar, PLACE @ Affine.translation(3, -2), nodata=-9),)
    data, settings = data_of({"bog": made}), GridSettings()
    cut(data, settings, "bog", shifts(tmp_path, thermal=(0, 0), lidar=(1.25, -0.5)), tmp_path / "bog.zarr")
    there, window = open_store(tmp_path / "bog.zarr"), Window(0, 0, side, side)
    grid = scene_grid(data, settings, "bog")
    assert there.grid == grid and there.reference == "thermal" and there.labelled
    for sensor, shift in (("thermal", Shift()), ("lidar", Shift(1.25, -0.5))):
        with open_sensor(data, settings, "bog", sensor, grid, shift) as reader:
            bands, valid = reader.read(window)
        image, measured = there.image(sensor, window)
        assert image.dtype == bands.dtype and np.array_equal(measured, valid) and valid.mean() > 0
        assert np.array_equal(image, np.where(valid, bands, 0))
    with open_scene_labels(data, settings, "bog", grid) as reader:
        assert np.array_equal(there.labels(window), reader.read(window))


def test_values_and_their_unit_are_those_that_scaling_makes(tmp_path):
    made = scene(tmp_path, 40)
    sensors = {"thermal": {"bands": 2, "scaling": {"decibels": "power"}}, "lidar": {"bands": 1}}
    data = data_of({"bog": made}, sensors)
    cut(data, GridSettings(), "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    there = zarr.open_group(tmp_path / "bog.zarr", mode="r")
    with rasterio.open(made["sensors"]["thermal"][0]) as source:
        assert there["thermal"][:] == pytest.approx(10 * np.log10(source.read()), abs=1e-5)
    assert there["thermal"].attrs["units"] == "dB" and "units" not in there["lidar"].attrs


def test_a_sensor_s_unit_goes_with_it(tmp_path):
    sensors = SENSORS | {"lidar": {"bands": 1, "scaling": {"factor": 0.01, "unit": "m"}}}
    cut(data_of({"bog": scene(tmp_path, 40)}, sensors), GridSettings(), "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    there = open_store(tmp_path / "bog.zarr").group
    assert there["lidar"].attrs["units"] == "m" and "units" not in there["thermal"].attrs


LEVELS = {"bands": 1, "kind": "surface"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"thermal": SENSORS["thermal"]}, None),
        ({"lidar": LEVELS | {"relief": [0, 4]}}, None),
        ({"thermal": {"bands": 2, "take": [2, 1]}}, "data.sensors.thermal.take: nothing, the config says [2, 1]"),
        ({"lidar": {"bands": 1}}, 'data.sensors.lidar.kind: "surface", the config says nothing'),
        ({"lidar": LEVELS | {"ground": 9}}, "data.sensors.lidar.ground: nothing, the config says 9"),
        ({"lidar": LEVELS | {"scaling": {"unit": "m"}}}, 'data.sensors.lidar.scaling: nothing, the config says {"unit": "m"}'),
    ],
)
def test_tiles_whose_sensors_were_cut_otherwise_are_refused(tmp_path, changes, told):
    scenes, sensors = {"bog": scene(tmp_path, 40)}, SENSORS | {"lidar": LEVELS}
    cut(data_of(scenes, sensors), GridSettings(), "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    config = data_of(scenes, sensors | changes)
    if told is None:
        assert Scenes(config, tmp_path, "train").stores
        return
    with pytest.raises(UserError, match=re.escape(f"bog.zarr: cut with {told}; run tile again")):
        Scenes(config, tmp_path, "train")


def test_tiles_whose_label_values_meant_another_class_are_refused(tmp_path):
    scenes, names = {"bog": scene(tmp_path, 40)}, list(CLASSES)
    cut(data_of(scenes), GridSettings(), "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    classes = {names[0]: {"values": [1]}, names[1]: {"values": [0]}, names[2]: {"values": [2]}}
    told = r'bog\.zarr: cut with data\.classes\.\w+\.values: \["0", "\w+"\], the config says \["1"\]; run tile again'
    with pytest.raises(UserError, match=told):
        Scenes(data_of(scenes, classes=classes), tmp_path, "train")
    with pytest.raises(UserError, match=r'data\.ignore: \["255"\], the config says \["200", "255"\]'):
        Scenes(data_of(scenes, ignore=[200, 255]), tmp_path, "train")
    with pytest.raises(UserError, match="run tile again"):
        statistics(data_of(scenes, classes=classes), tmp_path, tmp_path / "statistics.json")


def test_label_values_in_another_order_or_case_mean_the_same():
    colored = {"mud": {"values": ["#00FF00", "#00aa00"]}, "reed": {"values": ["#ff0000"]}}
    again = {"mud": {"values": ["#00aa00", "#00ff00"]}, "reed": {"values": ["#FF0000"]}}
    assert data_of({}, classes=colored, ignore=[7, 255]).cut == data_of({}, classes=again, ignore=[255, 7]).cut


def test_a_whole_shift_brings_pixels_back_bit_by_bit(tmp_path):
    made = scene(tmp_path, 40)
    seen = np.arange(1600, dtype="float32").reshape(1, 40, 40)
    made["sensors"]["lidar"] = (raster(tmp_path / "l.tif", np.roll(seen, (-3, 2), (1, 2))),)
    cut(data_of({"bog": made}), GridSettings(), "bog", shifts(tmp_path, lidar=(2, -3)), tmp_path / "bog.zarr")
    image, valid = open_store(tmp_path / "bog.zarr").image("lidar", Window(0, 0, 40, 40))
    assert (
        valid[3:, :38].all()
        and not valid[:3].any()
        and not valid[:, 38:].any()
        and np.array_equal(image[:, valid], seen[:, valid])
    )


def test_a_scene_without_a_sensor_or_labels_has_none(tmp_path):
    made = scene(tmp_path, 40, split=None)
    data = data_of({"bog": {"sensors": {"thermal": made["sensors"]["thermal"]}}})
    cut(data, GridSettings(), "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    there = open_store(tmp_path / "bog.zarr")
    assert there.sensors == ("thermal",) and not there.labelled and (there.labels(Window(0, 0, 40, 40)) == IGNORE).all()


def test_chips_are_kept_as_they_are_in_their_places(tmp_path):
    rng, chips, values = np.random.default_rng(0), {}, {}
    for name, shape in (("a", (20, 30)), ("b", (25, 10)), ("c", (9, 9))):
        values[name] = rng.integers(1, 99, (2, *shape), dtype="uint16")
        labels = raster(tmp_path / f"{name}-y.tif", rng.integers(0, 3, (1, *shape), dtype="uint8"), crs=None)
        chips[name] = {"sensors": {"thermal": raster(tmp_path / f"{name}.tif", values[name], crs=None)}, "labels": labels}
    data = data_of({"bog": {"split": "train", "chips": chips}})
    cut(data, PIXELS, "bog", shifts(tmp_path), tmp_path / "bog.zarr")
    there = open_store(tmp_path / "bog.zarr")
    assert there.chips == {place.name: place.window for place in places(data, PIXELS, "bog")}
    for name, window in there.chips.items():
        image, valid = there.image("thermal", window)
        assert np.array_equal(image, values[name]) and valid.all() and (there.labels(window) < 3).all()
    assert there.valid("thermal", Window(0, 0, there.grid.height, there.grid.width)).sum() == 20 * 30 + 25 * 10 + 9 * 9


@pytest.mark.parametrize("fault", ["bands", "shifts", "missing", "label"])
def test_what_does_not_fit_is_one_line_and_no_store(tmp_path, fault):
    made, found = scene(tmp_path, 40), shifts(tmp_path)
    if fault == "shifts":
        found.unlink()
    elif fault == "label":
        made["labels"] = raster(tmp_path / "bad.tif", np.full((1, 40, 40), 77, "uint8"))
    else:
        made["sensors"]["lidar"] = made["sensors"]["thermal"] if fault == "bands" else (str(tmp_path / "none.tif"),)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError) as caught:
        cut(data_of({"bog": made}), GridSettings(), "bog", found, tmp_path / "out" / "bog.zarr")
    assert "\n" not in str(caught.value) and list((tmp_path / "out").iterdir()) == []
