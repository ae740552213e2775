"""Every kind of bad input is one clear line before anything is computed, and nothing is written."""

import json
import os
import re
from contextlib import nullcontext

import numpy as np
import pytest
import rasterio
from affine import Affine

from dis2.cli import main
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.check import check
from tests.made import PIXELS, PLACE, UTM, damage, data_of, raster, scene

SIDE = 32
THERMAL = np.ones((2, SIDE, SIDE), "float32")
LIDAR = np.ones((1, SIDE, SIDE), "float32")
MUD = np.zeros((1, SIDE, SIDE), "uint8")
AWAY = PLACE @ Affine.translation(0, 900)
EYE = {"eye": {"bands": 3}, "echo": {"bands": 1}}
TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}


def spoilt(values, value):
    values = values.copy()
    values[0, 3, 4] = value
    return values


def text(path, content="not a raster"):
    path.write_text(content)
    return str(path)


def folder(path):
    path.mkdir()
    return str(path)


def cut_short(path, bands=2):
    raster(path, np.random.default_rng(0).normal(size=(bands, SIDE, SIDE)))
    path.write_bytes(path.read_bytes()[: 6 * bands * SIDE * SIDE])
    return str(path)


def palette(path, dtype="uint16"):
    """Numbers of colours, and the colours."""
    raster(path, MUD.astype(dtype), photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (90, 60, 30, 255)})
    return str(path)


def joined(path, *bands):
    """A virtual raster of bands as (type, further elements); its values do not matter."""
    origin = ", ".join(map(str, PLACE.to_gdal()))
    each = enumerate(bands, 1)
    listed = "".join(f'<VRTRasterBand dataType="{kind}" band="{number}">{more}</VRTRasterBand>' for number, (kind, more) in each)
    head = f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>{UTM}</SRS><GeoTransform>{origin}</GeoTransform>'
    return text(path, f"{head}{listed}</VRTDataset>")


SENSOR_FAULTS = {
    "missing": (str, "no such file"),
    "no raster": (text, "not a readable raster"),
    "empty": (lambda p: text(p, ""), "not a readable raster"),
    "a folder": (folder, "not a readable raster"),
    "truncated": (cut_short, "the file is damaged"),
    "header alone": (lambda p: raster(p, THERMAL) and os.truncate(p, 400) or str(p), "the file is damaged"),
    "corrupt": (lambda p: damage(raster(p, THERMAL, **TILES)), "the file is damaged"),
    "no CRS": (lambda p: raster(p, THERMAL, crs=None), "has no CRS"),
    "no place": (lambda p: raster(p, THERMAL, Affine.identity()), r"has a CRS, but no place \(geotransform \(0.0, 1.0, .*georef"),
    "no area": (lambda p: raster(p, THERMAL, Affine(1, 0, 300_000, 1, 0, 5_300_000)), "has a CRS, but no place"),
    "elsewhere": (lambda p: raster(p, THERMAL, AWAY), "does not overlap the scene's grid, that of .*lidar.tif"),
    "another zone": (lambda p: raster(p, THERMAL, crs="EPSG:32733"), r"\(EPSG:32733\): does not overlap .*\(EPSG:32633\); check"),
    "another planet": (lambda p: raster(p, THERMAL, crs="EPSG:4326"), "does not overlap the scene's grid"),
    "an alpha band": (
        lambda p: raster(p, THERMAL[:1], alpha=np.ones((SIDE, SIDE), bool)),
        "sensors.thermal.bands: 2 expected, .* has 1. .*; a band marked as alpha is none, .*-colorinterp_2 undefined .*tif`",
    ),
    "bands": (lambda p: raster(p, THERMAL[:1]), "sensors.thermal.bands: 2 expected, .* has 1. Give bands: 1"),
    "a band more": (
        lambda p: raster(p, np.concatenate([THERMAL, LIDAR])),
        r"data.sensors.thermal.bands: 2 expected, .* has 3. Give bands: 3, take: \[1, 2\] if the others .*, or the right files",
    ),
    "NaN": (lambda p: raster(p, spoilt(THERMAL, np.nan)), "1 values are NaN and NaN is not declared"),
    "infinity": (lambda p: raster(p, spoilt(THERMAL, -np.inf)), "1 infinite values"),
    "fill": (
        lambda p: raster(p, spoilt(THERMAL, np.finfo("f4").min)),
        r"such as -3.4028234\d+e\+38 .*set data.sensors.thermal.nodata: -3.4028234\d+e\+38",
    ),
    "another fill": (lambda p: raster(p, spoilt(THERMAL, 1e38), nodata=7), r"9.99\d+e\+37 .* replace them by the file's nodata"),
    "all nodata": (lambda p: raster(p, THERMAL, nodata=1), "no valid pixel"),
    "all masked": (lambda p: raster(p, THERMAL, mask=np.zeros((SIDE, SIDE), bool)), "no valid pixel"),
    "all clear": (lambda p: raster(p, THERMAL, alpha=np.zeros((SIDE, SIDE), bool)), "no valid pixel"),
    "complex": (lambda p: raster(p, THERMAL.astype("complex64")), "complex values"),
    "complex integers": (lambda p: joined(p, ("CInt16", ""), ("CInt16", "")), "complex values"),
    "palette of 8 bits": (lambda p: palette(p, "uint8"), "numbers of colours in a palette; give the colours as bands"),
    "palette of 16 bits": (palette, "numbers of colours in a palette; give the colours as bands"),
    "types": (lambda p: joined(p, ("UInt16", ""), ("Float32", "")), r"different types \(float32, uint16\); split it"),
    "nodata values": (
        lambda p: joined(p, ("Int16", ""), ("Int16", "<NoDataValue>-9</NoDataValue>")),
        r"different nodata values \(-9.0, None\); split it",
    ),
}
LABEL_FAULTS = {
    "missing": (str, "no such file"),
    "no raster": (text, "not a readable raster"),
    "truncated": (lambda p: cut_short(p, 1), "the file is damaged"),
    "corrupt": (lambda p: damage(raster(p, MUD, **TILES)), "the file is damaged"),
    "no CRS": (lambda p: raster(p, MUD, crs=None), "has no CRS"),
    "no area": (lambda p: raster(p, MUD, Affine(0, 0, 300_000, 0, 0, 5_300_000)), "has a CRS, but no place"),
    "value": (lambda p: raster(p, spoilt(MUD, 9)), "label value 9 is no class"),
    "fractions": (lambda p: raster(p, spoilt(MUD.astype("float32"), 1.25)), "label value 1.25 is no class"),
    "complex": (lambda p: raster(p, MUD.astype("complex64")), "complex values"),
    "colours": (lambda p: raster(p, np.zeros((3, SIDE, SIDE), "uint8")), "3 bands; labels have one band"),
    "all ignored": (lambda p: raster(p, MUD + 255), "no pixel of the scene has a class"),
    "elsewhere": (lambda p: raster(p, MUD, AWAY), "does not overlap the scene's grid"),
}


@pytest.fixture
def fault_of(tmp_path, capsys):
    """What `dis2 check` says of a scene that it refuses, without the name of the scene."""

    def lines(data, grid):
        out = tmp_path / "out" / "pond.json"
        settings = json.dumps({"data": data.model_dump(mode="json"), "grid": grid.model_dump(mode="json")})
        assert main(["check", "--settings", settings, "--scene", "pond", "--out", str(out)]) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("check pond: ")]
        assert not out.parent.exists() and all(line.startswith("dis2 check: scene pond: ") for line in said), said
        return "\n".join(line.removeprefix("dis2 check: scene pond: ") for line in said)

    return lines


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_bad_sensor_is_one_line_that_names_its_file(tmp_path, fault_of, kind):
    make, told = SENSOR_FAULTS[kind]
    sensors = {"thermal": make(tmp_path / "bad.tif"), "lidar": raster(tmp_path / "lidar.tif", LIDAR)}
    pond = scene(tmp_path, SIDE) | {"sensors": sensors}
    fault = fault_of(data_of({"pond": pond}, allow=["vrt"]), GridSettings(reference="lidar"))
    assert "\n" not in fault and "bad.tif" in fault and re.search(told, fault), fault


@pytest.mark.parametrize("kind", LABEL_FAULTS)
def test_bad_labels_are_one_line_that_names_their_file(tmp_path, fault_of, kind):
    make, told = LABEL_FAULTS[kind]
    fault = fault_of(data_of({"pond": scene(tmp_path, SIDE) | {"labels": make(tmp_path / "bad.tif")}}), GridSettings())
    assert "\n" not in fault and "bad.tif" in fault and re.search(told, fault), fault


@pytest.mark.parametrize("labels", [lambda p: palette(p), lambda p: raster(p, MUD.astype("float64"))], ids=["palette", "floats"])
def test_labels_may_be_numbers_of_colours_or_whole_floats(tmp_path, labels):
    data = data_of({"pond": scene(tmp_path, SIDE) | {"labels": labels(tmp_path / "labels.tif")}})
    check(data, GridSettings(), "pond", tmp_path / "pond.json")


@pytest.mark.parametrize(
    ("bands", "there", "offered"),
    [
        (3, [4], "take: [1, 2, 3] if"),
        (1, [3], "take: [1] if"),
        (2, [3, 3], "take: [1, 4] if"),
        (4, [3, 5], "take: [1, 2, 4, 5] if"),
        (3, [2, 2], None),
        (2, [4, 1, 1], None),
        (9, [12], None),
        (2, [1], None),
    ],
)
def test_the_first_bands_of_each_file_are_offered_where_there_are_more(tmp_path, fault_of, bands, there, offered):
    """A fourth band that is alpha, though not marked so, is no measurement, and grey stored as three colours is one."""
    ones = [np.ones((count, SIDE, SIDE), "uint8") for count in there]
    files = [raster(tmp_path / f"{n}.tif", values, photometric="minisblack") for n, values in enumerate(ones)]
    sensors = {"eye": files, "echo": raster(tmp_path / "echo.tif", LIDAR)}
    fault = fault_of(data_of({"pond": {"sensors": sensors}}, EYE | {"eye": {"bands": bands}}), GridSettings(reference="echo"))
    assert f"has {sum(there)}. Give bands: {sum(there)}," in fault and fault.endswith(" or the right files"), fault
    assert offered in fault if offered else "take" not in fault, fault


def test_a_missing_file_is_told_with_what_holds_it_and_where_the_data_can_be_had(tmp_path, fault_of):
    pond = scene(tmp_path, SIDE) | {"labels": str(tmp_path / "labels" / "pond.tif")}
    data = data_of({"pond": pond}, source="a shop in Delft")
    gone = f"{tmp_path}/labels/pond.tif: no such file"
    assert fault_of(data, GridSettings()).splitlines() == [
        f"{gone}; correct the path, or data_root ($DIS2_DATA) before it",
        "the data: a shop in Delft",
    ]
    (tmp_path / "labels.rar").touch()
    assert fault_of(data, GridSettings()).startswith(f"{gone}, but {tmp_path}/labels.rar is there; unpack it")
    raster(tmp_path / "labels" / "pond.tif", MUD, crs=None)
    assert "Delft" not in fault_of(data, GridSettings())


def test_where_all_else_lies_apart_the_reference_is_to_blame(tmp_path, fault_of):
    data = data_of({"pond": scene(tmp_path, SIDE)})
    raster(tmp_path / "thermal.tif", THERMAL, crs="EPSG:32733")
    fault = fault_of(data, GridSettings(reference="thermal"))
    assert fault.endswith("thermal.tif (EPSG:32733): overlaps no other raster of the scene; check its CRS and its place")
    assert "\n" not in fault


def test_all_faults_of_rasters_are_told_at_once(tmp_path, fault_of):
    sensors = {"thermal": raster(tmp_path / "a.tif", spoilt(THERMAL, np.inf), crs=None), "lidar": str(tmp_path / "b.tif")}
    bad = {"sensors": sensors, "labels": str(tmp_path / "c.tif")}
    fault = fault_of(data_of({"pond": scene(tmp_path) | bad}), GridSettings())
    assert [line.split(": ")[0][-5:] for line in fault.splitlines()] == ["a.tif", "a.tif", "b.tif", "c.tif"]


@pytest.mark.parametrize("nodata", [np.nan, -1.0])
def test_what_was_seen_of_a_good_scene_is_written(tmp_path, nodata):
    sensors = {"thermal": raster(tmp_path / "a.tif", spoilt(THERMAL, nodata)), "lidar": raster(tmp_path / "b.tif", LIDAR)}
    told = {"thermal": {"bands": 2, "nodata": nodata}, "lidar": {"bands": 1}}
    check(data_of({"pond": scene(tmp_path) | {"sensors": sensors}}, told), GridSettings(), "pond", tmp_path / "pond.json")
    seen = json.loads((tmp_path / "pond.json").read_text())["rasters"][sensors["thermal"]]
    assert seen["valid"] == [SIDE * SIDE - 1, SIDE * SIDE] and (seen["bands"], seen["size"]) == (2, [SIDE, SIDE])
    assert seen["range"] == [1.0, 1.0]


@pytest.mark.parametrize("size", [1, 1000, 9000])
@pytest.mark.parametrize("layout", [{}, TILES, {"interleave": "pixel", "blockysize": 5}], ids=["strips", "tiles", "pixels"])
def test_a_raster_is_looked_at_whole_whatever_the_windows(tmp_path, monkeypatch, size, layout):
    monkeypatch.setattr("dis2.raster.check.BYTES", size)
    values = np.random.default_rng(0).integers(0, 5, (3, 30, 50), dtype="uint16")
    data = data_of({"pond": {"sensors": {"eye": raster(tmp_path / "a.tif", values, nodata=3, **layout)}}}, EYE)
    check(data, GridSettings(), "pond", tmp_path / "pond.json")
    (seen,) = json.loads((tmp_path / "pond.json").read_text())["rasters"].values()
    assert seen["valid"] == (values != 3).sum((1, 2)).tolist() and seen["range"] == [0.0, 4.0]


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
def test_a_chip_whose_rasters_differ_in_shape_is_one_line(tmp_path, fault_of, what):
    odd = raster(tmp_path / "odd.tif", np.zeros((1, SIDE, SIDE - 1), "uint8"), crs=None)
    changes = {"labels": odd} if what == "labels" else {"sensors": {"thermal": raster(tmp_path / "t.tif", THERMAL), "lidar": odd}}
    fault = fault_of(chips(tmp_path, **changes), PIXELS)
    assert "odd.tif: 32 x 31 pixels" in fault and "\n" not in fault


@pytest.mark.parametrize("ground", [0, 20])
def test_without_georeference_heights_are_those_of_a_town_only_if_buildings_are_sought(tmp_path, ground):
    steep = raster(
        tmp_path / "steep.tif", np.linspace(3000, 4300, SIDE, dtype="float32").reshape(1, 1, -1).repeat(SIDE, 1), crs=None
    )
    thermal = raster(tmp_path / "t.tif", THERMAL, crs=None)
    sensors = {"thermal": {"bands": len(THERMAL)}, "lidar": {"bands": 1, "kind": "surface", "ground": ground}}
    made = data_of({"pond": {"chips": {"a": {"sensors": {"thermal": thermal, "lidar": steep}}}}}, sensors)
    with pytest.raises(UserError, match="steep.tif: heights from 3000 to 4300 over 500 metres") if ground else nullcontext():
        check(made, PIXELS, "pond", tmp_path / "out.json")


def test_what_is_wrong_with_a_scene_that_may_be_skipped_is_said_and_written_down(tmp_path, capsys):
    made = scene(tmp_path, SIDE) | {"labels": cut_short(tmp_path / "cut.tif")}
    check(data_of({"pond": made}), GridSettings(), "pond", tmp_path / "out.json", skip=True)
    (fault,) = json.loads((tmp_path / "out.json").read_text())["faults"]
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dis2 ")]
    assert fault.startswith(f"{tmp_path}/cut.tif: ") and said == [f"dis2 check: scene pond: {fault} (the scene is skipped)"]


def test_the_scene_of_a_fault_is_named_once(tmp_path):
    made = scene(tmp_path, SIDE)
    made["sensors"].pop("thermal")
    with pytest.raises(UserError, match="^scene pond: lacks the reference sensor thermal"):
        check(data_of({"pond": made}), GridSettings(), "pond", tmp_path / "out.json")


def heights(folder, values, **spec):
    """What is said of a surface of these values."""
    made = scene(folder, SIDE) | {"labels": raster(folder / "labels.tif", MUD)}
    made["sensors"]["lidar"] = (raster(folder / "lidar.tif", np.array(values, "float32").reshape(1, 1, -1).repeat(SIDE, 1)),)
    sensors = {"thermal": {"bands": 2}, "lidar": {"bands": 1, "kind": "surface"} | spec}
    check(data_of({"pond": made}, sensors), GridSettings(), "pond", folder / "out.json")


def test_heights_in_centimetres_are_told_and_believed_once_their_unit_is_told(tmp_path):
    metres = np.linspace(240, 360, SIDE)
    heights(tmp_path, metres)
    remedy = r".*scaling, such as {factor: 0.01, unit: m}"
    with pytest.raises(UserError, match=r"lidar.tif: heights from 24000 to 36000 are not in metres" + remedy):
        heights(tmp_path, 100 * metres)
    with pytest.raises(UserError, match=r"heights from 3000 to 7000 over \d+ metres are not in metres" + remedy):
        heights(tmp_path, np.linspace(3000, 7000, SIDE))
    heights(tmp_path, np.linspace(3000, 3400, SIDE))
    heights(tmp_path, 100 * metres, scaling={"factor": 0.01})
    heights(tmp_path, 100 * metres, scaling={"unit": "cm"})


@pytest.mark.parametrize("nodata", [-9999, -32768])
def test_heights_that_are_no_measurement_are_told_by_the_key_that_says_so(tmp_path, nodata):
    values = np.where(np.arange(SIDE) > 9, np.linspace(240, 360, SIDE), nodata)
    told = rf"lidar.tif: heights from {nodata} to 360 are not in metres, .* declared; set data.sensors.lidar.nodata: {nodata}$"
    with pytest.raises(UserError, match=told):
        heights(tmp_path, values)
    heights(tmp_path, values, nodata=nodata)
