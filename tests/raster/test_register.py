"""The registration stage on rasters whose shift is known: what it writes, and that others can read it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage

from benchmarks.registration import data_folder
from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.grid import Shift
from dis2.raster.register import register
from dis2.raster.shifts import read_shifts

SIDE, STEP = 160, 2.0


def write(path: Path, image: np.ndarray, left: float = 0.0) -> str:
    transform = Affine(STEP, 0, 300_000 + left, 0, -STEP, 5_000_000)
    profile = {"driver": "GTiff", "count": len(image), "height": image.shape[1], "width": image.shape[2], "dtype": "float32"}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **profile) as raster:
        raster.write(image.astype(np.float32))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A reference, a second image that claims to lie 3 pixels further right and is inverted, and noise as a surface."""
    folder = tmp_path_factory.mktemp("rasters")
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=(2, SIDE, SIDE)), (0, 2, 2))
    return {
        "optical": write(folder / "optical.tif", image),
        "sar": write(folder / "sar.tif", -image[:1], left=3 * STEP),
        "dsm": write(folder / "dsm.tif", ndimage.gaussian_filter(rng.normal(size=(1, SIDE, SIDE)), (0, 3, 3))),
    }


def described(files: dict[str, str]) -> Data:
    kinds: dict[str, dict[str, Any]] = {"optical": {"bands": 2}, "sar": {"bands": 1}, "dsm": {"bands": 1, "kind": "surface"}}
    scene = {"sensors": files}
    return Data.model_validate({"name": "made", "sensors": kinds, "classes": ["a", "b"], "scenes": {"one": scene}})


def registered(files: dict[str, str], folder: Path, **grid: Any) -> dict[str, Any]:
    register(described(files), GridSettings.model_validate(grid), "one", folder / "one.json", folder / "one.png")
    return json.loads((folder / "one.json").read_text())


@pytest.fixture(scope="module")
def result(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("registered")
    return registered(files, folder), folder


def test_the_shift_is_found_in_pixels_and_in_map_units(result: tuple[dict[str, Any], Path]) -> None:
    sensors = result[0]["sensors"]
    assert list(sensors) == ["optical", "sar", "dsm"]
    assert result[0]["reference"] == "optical"
    assert sensors["optical"]["shift"] == {"dx": 0.0, "dy": 0.0}
    assert sensors["sar"]["accepted"]
    assert sensors["sar"]["shift"] == pytest.approx({"dx": 3, "dy": 0}, abs=0.05)
    assert sensors["sar"]["units"] == pytest.approx({"dx": 3 * STEP, "dy": 0}, abs=0.1)
    assert sensors["sar"]["after"] > sensors["sar"]["before"]


def test_what_cannot_be_matched_is_left_alone_with_its_reason(result: tuple[dict[str, Any], Path]) -> None:
    dsm = result[0]["sensors"]["dsm"]
    assert not dsm["accepted"]
    assert dsm["shift"] == {"dx": 0.0, "dy": 0.0}
    assert dsm["reason"]


def test_a_picture_shows_it_and_nothing_half_written_stays(result: tuple[dict[str, Any], Path]) -> None:
    folder = result[1]
    assert sorted(file.name for file in folder.iterdir()) == ["one.json", "one.png"]
    assert (folder / "one.png").read_bytes().startswith(b"\x89PNG")


def test_the_tile_stage_reads_the_shifts(result: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    shifts = read_shifts(result[1] / "one.json")
    assert list(shifts) == ["optical", "sar", "dsm"]
    assert shifts["dsm"] == Shift()
    assert shifts["sar"].dx == pytest.approx(3, abs=0.05)
    (tmp_path / "damaged.json").write_text("{}")
    with pytest.raises(UserError, match="dis2 register"):
        read_shifts(tmp_path / "damaged.json")


def test_a_second_run_writes_the_same_bytes(result: tuple[dict[str, Any], Path], files: dict[str, str], tmp_path: Path) -> None:
    registered(files, tmp_path)
    assert (tmp_path / "one.json").read_bytes() == (result[1] / "one.json").read_bytes()


ROOFS = "roofs"
"""What an image shows of a surface; else it shows nothing of it."""


def moved(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """What is seen at (x, y) comes to (x + dx, y + dy)."""
    return np.stack([ndimage.shift(band, (dy, dx), order=3, mode="reflect") for band in image])


def surfaces(folder: Path, shown: str, **shifts: tuple[float, float]) -> tuple[Data, dict[str, tuple[float, float]]]:
    """An image and surfaces of one place that lie beside it, each above the last by 10."""
    rng = np.random.default_rng(1)
    soft = ndimage.gaussian_filter(rng.normal(size=(2, SIDE, SIDE)), (0, 4, 4))
    roofs = ndimage.gaussian_filter((soft[:1] > 0.02).astype(float), (0, 0.8, 0.8))
    heights, image = (8 * roofs, roofs + 0.1 * soft[1:] / soft.std()) if shown == ROOFS else (200 * soft[:1], soft[1:])
    sensors: dict[str, dict[str, Any]] = {"optical": {"bands": 1}}
    files = {"optical": write(folder / "optical.tif", image)}
    for number, (name, shift) in enumerate(shifts.items()):
        seen = moved(heights, *shift) + 10 * number + rng.normal(0, 0.02, heights.shape)
        files[name] = write(folder / f"{name}.tif", seen)
        sensors[name] = {"bands": 1, "kind": "surface"}
    scenes = {"one": {"sensors": files}}
    return Data.model_validate({"name": "made", "sensors": sensors, "classes": ["a", "b"], "scenes": scenes}), shifts


def told(data: Data, folder: Path) -> dict[str, Any]:
    register(data, GridSettings.model_validate({}), "one", folder / "one.json", folder / "one.png")
    return json.loads((folder / "one.json").read_text())["sensors"]


def test_a_second_surface_is_brought_to_the_first_where_the_image_tells_nothing_of_either(tmp_path: Path) -> None:
    data, true = surfaces(tmp_path, "nothing", dsm=(2.4, -1.3), lidar=(-1.2, 3.1), old=(0.6, 0.7))
    found = told(data, tmp_path)
    assert (found["dsm"]["to"], found["dsm"]["accepted"], found["dsm"]["shift"]) == ("optical", False, {"dx": 0.0, "dy": 0.0})
    for number, sensor in enumerate(("lidar", "old"), 1):
        assert found[sensor]["to"] == "dsm" and found[sensor]["accepted"] and "Nuth and Kääb" in found[sensor]["method"]
        beside = {axis: there - here for axis, there, here in zip(("dx", "dy"), true[sensor], true["dsm"], strict=True)}
        assert found[sensor]["shift"] == pytest.approx(beside, abs=0.05)
        assert found[sensor]["vertical"] == pytest.approx(10 * number, abs=0.1)


def test_a_second_surface_is_brought_to_the_image_by_the_one_that_was_registered_to_it(tmp_path: Path) -> None:
    data, true = surfaces(tmp_path, ROOFS, dsm=(2.4, -1.3), lidar=(-1.2, 3.1))
    found = told(data, tmp_path)
    assert found["dsm"]["to"] == "optical" and found["dsm"]["accepted"], found["dsm"]["reason"]
    assert found["lidar"]["to"] == "dsm" and found["lidar"]["accepted"], found["lidar"]["reason"]
    for sensor, (dx, dy) in true.items():
        assert found[sensor]["shift"] == pytest.approx({"dx": dx, "dy": dy}, abs=0.25)
    apart = {axis: found["lidar"]["shift"][axis] - found["dsm"]["shift"][axis] for axis in ("dx", "dy")}
    assert apart == pytest.approx({"dx": -3.6, "dy": 4.4}, abs=0.05)


@pytest.mark.parametrize("grid", [{"registration": {"enabled": False}}, {"pixels": True}])
def test_nothing_is_looked_for_where_it_is_not_asked_for(grid: dict[str, Any], files: dict[str, str], tmp_path: Path) -> None:
    sensors = registered(files, tmp_path, **grid)["sensors"]
    assert all(sensor["shift"] == {"dx": 0.0, "dy": 0.0} for sensor in sensors.values())
    assert "not looked for" in sensors["sar"]["reason"] and {sensor["method"] for sensor in sensors.values()} == {"none"}
    assert (tmp_path / "one.png").exists()


@pytest.mark.slow
def test_on_zion_there_is_nothing_to_correct(tmp_path: Path) -> None:
    folder = data_folder()
    if folder is None:
        pytest.skip("Zion's rasters are not there: set DIS2_DATA to the folder that holds zion/")
    sensors = {"visible": {"bands": 3}, "infrared": {"bands": 1}, "elevation": {"bands": 1, "kind": "surface"}}
    files = {
        "visible": [str(folder / f"landsat8_b{band}.tif") for band in (2, 3, 4)],
        "infrared": str(folder / "landsat8_b5.tif"),
        "elevation": str(folder / "srtm_elevation.tif"),
    }
    scenes = {"zion": {"sensors": files}}
    data = Data.model_validate({"name": "zion", "sensors": sensors, "classes": ["a", "b"], "scenes": scenes})
    register(data, GridSettings.model_validate({}), "zion", tmp_path / "zion.json", tmp_path / "zion.png")
    found = json.loads((tmp_path / "zion.json").read_text())["sensors"]
    assert found["infrared"]["accepted"]
    for sensor in found.values():
        assert np.hypot(*sensor["shift"].values()) <= 0.5
        assert sensor["accepted"] or sensor["reason"]
