"""Every kind of bad input is one clear line before anything is computed, and nothing is written."""

import json
import re

import numpy as np
import pytest
from affine import Affine

from dis2.cli import main
from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.check import check
from tests.made import PIXELS, PLACE, data_of, raster, scene

SIDE = 32
THERMAL = np.ones((2, SIDE, SIDE), "float32")
LIDAR = np.ones((1, SIDE, SIDE), "float32")
MUD = np.zeros((1, SIDE, SIDE), "uint8")


def spoilt(values, value):
    values = values.copy()
    values[0, 3, 4] = value
    return values


def text(path):
    path.write_text("not a raster")
    return str(path)


def cut_short(path, bands=2):
    raster(path, np.random.default_rng(0).normal(size=(bands, SIDE, SIDE)))
    path.write_bytes(path.read_bytes()[: 6 * bands * SIDE * SIDE])
    return str(path)


SENSOR_FAULTS = {
    "missing": (str, "no such file"),
    "no raster": (text, "not a readable raster"),
    "truncated": (cut_short, "the file is damaged"),
    "no CRS": (lambda p: raster(p, THERMAL, crs=None), "has no CRS"),
    "elsewhere": (lambda p: raster(p, THERMAL, PLACE @ Affine.translation(0, 900)), "does not overlap the scene's grid"),
    "another planet": (lambda p: raster(p, THERMAL, crs="EPSG:4326"), "does not overlap the scene's grid"),
    "bands": (lambda p: raster(p, THERMAL[:1]), "sensors.thermal.bands: 2 expected, .* has 1. Give bands: 1"),
    "NaN": (lambda p: raster(p, spoilt(THERMAL, np.nan)), "1 values are NaN and NaN is not declared"),
    "infinity": (lambda p: raster(p, spoilt(THERMAL, -np.inf)), "1 infinite values"),
    "all nodata": (lambda p: raster(p, THERMAL, nodata=1), "no valid pixel"),
    "all masked": (lambda p: raster(p, THERMAL, mask=np.zeros((SIDE, SIDE), bool)), "no valid pixel"),
    "all clear": (lambda p: raster(p, THERMAL, alpha=np.zeros((SIDE, SIDE), bool)), "no valid pixel"),
    "complex": (lambda p: raster(p, THERMAL.astype("complex64")), "complex values"),
}
LABEL_FAULTS = {
    "missing": (str, "no such file"),
    "no raster": (text, "not a readable raster"),
    "truncated": (lambda p: cut_short(p, 1), "the file is damaged"),
    "no CRS": (lambda p: raster(p, MUD, crs=None), "has no CRS"),
    "value": (lambda p: raster(p, spoilt(MUD, 9)), "label value 9 is no class"),
    "colours": (lambda p: raster(p, np.zeros((3, SIDE, SIDE), "uint8")), "3 bands; labels have one band"),
    "all ignored": (lambda p: raster(p, MUD + 255), "no pixel of the scene has a class"),
    "elsewhere": (lambda p: raster(p, MUD, PLACE @ Affine.translation(0, 900)), "no pixel of the scene has a class"),
}


def fault_of(data, settings, out):
    with pytest.raises(UserError) as caught:
        check(data, settings, "pond", out)
    assert not out.parent.exists()
    return str(caught.value)


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_bad_sensor_is_one_line_that_names_its_file(tmp_path, kind):
    make, told = SENSOR_FAULTS[kind]
    sensors = {"thermal": make(tmp_path / "bad.tif"), "lidar": raster(tmp_path / "lidar.tif", LIDAR)}
    data = data_of({"pond": scene(tmp_path, SIDE) | {"sensors": sensors}})
    fault = fault_of(data, GridSettings(reference="lidar"), tmp_path / "out" / "pond.json")
    assert "\n" not in fault and fault.startswith("scene pond: ") and "bad.tif" in fault
    assert re.search(told, fault), fault


@pytest.mark.parametrize("kind", LABEL_FAULTS)
def test_bad_labels_are_one_line_that_names_their_file(tmp_path, kind):
    make, told = LABEL_FAULTS[kind]
    data = data_of({"pond": scene(tmp_path, SIDE) | {"labels": make(tmp_path / "bad.tif")}})
    fault = fault_of(data, GridSettings(), tmp_path / "out" / "pond.json")
    assert "\n" not in fault and "bad.tif" in fault and re.search(told, fault), fault


def test_all_faults_of_rasters_are_told_at_once(tmp_path):
    sensors = {"thermal": raster(tmp_path / "a.tif", spoilt(THERMAL, np.inf), crs=None), "lidar": str(tmp_path / "b.tif")}
    fault = fault_of(data_of({"pond": scene(tmp_path) | {"sensors": sensors}}), GridSettings(), tmp_path / "out" / "pond.json")
    assert [line.split(": ")[1][-5:] for line in fault.splitlines()] == ["a.tif", "a.tif", "b.tif"]


@pytest.mark.parametrize("nodata", [np.nan, -1.0])
def test_what_was_seen_of_a_good_scene_is_written(tmp_path, nodata):
    sensors = {"thermal": raster(tmp_path / "a.tif", spoilt(THERMAL, nodata)), "lidar": raster(tmp_path / "b.tif", LIDAR)}
    told = {"thermal": {"bands": 2, "nodata": nodata}, "lidar": {"bands": 1}}
    check(data_of({"pond": scene(tmp_path) | {"sensors": sensors}}, told), GridSettings(), "pond", tmp_path / "pond.json")
    seen = json.loads((tmp_path / "pond.json").read_text())["rasters"][sensors["thermal"]]
    assert seen["valid"] == [SIDE * SIDE - 1, SIDE * SIDE] and (seen["bands"], seen["size"]) == (2, [SIDE, SIDE])


def chips(folder, **changes):
    """Two chips without georeference, one of which lacks lidar."""
    files = {
        name: raster(folder / f"{name}.tif", values, crs=None) for name, values in (("t", THERMAL), ("l", LIDAR), ("y", MUD))
    }
    first = {"sensors": {"thermal": files["t"], "lidar": files["l"]}, "labels": files["y"]}
    return data_of({"pond": {"split": "train", "chips": {"a": first, "b": {"sensors": {"thermal": files["t"]}} | changes}}})


def test_chips_need_no_crs(tmp_path):
    check(chips(tmp_path), PIXELS, "pond", tmp_path / "pond.json")
    assert (tmp_path / "pond.json").exists()


@pytest.mark.parametrize("what", ["sensors", "labels"])
def test_a_chip_whose_rasters_differ_in_shape_is_one_line(tmp_path, what):
    odd = raster(tmp_path / "odd.tif", np.zeros((1, SIDE, SIDE - 1), "uint8"), crs=None)
    changes = {"labels": odd} if what == "labels" else {"sensors": {"thermal": raster(tmp_path / "t.tif", THERMAL), "lidar": odd}}
    fault = fault_of(chips(tmp_path, **changes), PIXELS, tmp_path / "out" / "pond.json")
    assert "odd.tif: 32 x 31 pixels" in fault and "\n" not in fault


def test_by_hand_a_fault_ends_with_2_and_its_line(tmp_path, capsys):
    data: Data = data_of({"pond": scene(tmp_path) | {"labels": str(tmp_path / "none.tif")}})
    settings = json.dumps({"data": data.model_dump(mode="json"), "grid": GridSettings().model_dump(mode="json")})
    assert main(["check", "--settings", settings, "--scene", "pond", "--out", str(tmp_path / "out" / "pond.json")]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dis2 check: ")]
    assert len(told) == 1 and "none.tif: no such file" in told[0] and not (tmp_path / "out").exists()
