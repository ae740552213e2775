"""The built-in scenes: the same every time, in the grids they claim, with a truth that the pixels bear out."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling
from scipy.ndimage import gaussian_filter, map_coordinates

from dis2.config.simulate import Simulate, SimulatedScene
from dis2.errors import UserError
from dis2.raster.landscape import CLASSES
from dis2.raster.simulate import IGNORE, simulate

SENSORS = {"eye": "multispectral", "echo": "radar", "relief": "height"}
SIZE = 128


def settings(**changes) -> Simulate:
    """Two small scenes; one lacks the radar."""
    scenes = {"north": SimulatedScene(split="train"), "south": SimulatedScene(split="test", lacks=("echo",))}
    return Simulate(**{"seed": 3, "size": SIZE, "sensors": SENSORS, "scenes": scenes} | changes)


def made(folder: Path, scene: str = "north", classes=CLASSES, **changes) -> Path:
    """The folder, with a scene in it."""
    simulate(settings(**changes), classes, scene, folder)
    return folder


def pixels(path: Path) -> np.ndarray:
    """All bands, NaN where there is no measurement."""
    with rasterio.open(path) as raster:
        return raster.read(masked=True).astype("float64").filled(np.nan)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("north"))


@pytest.fixture(scope="module")
def registered(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("registered"), misregistration=0, looks=1e6)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """The scene without speckle, which sits on the radar's own pixels and does not move with the shift."""
    return made(tmp_path_factory.mktemp("quiet"), looks=1e6)


def inner(image: np.ndarray) -> np.ndarray:
    """What is left of an image without the rim that a shift may reach over."""
    return image[12:-12, 12:-12]


def moved(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """What an image shows at (x + dx, y + dy), for every inner (x, y)."""
    y, x = np.mgrid[12 : SIZE - 12, 12 : SIZE - 12].astype(float)
    return map_coordinates(image, (y + dy, x + dx), order=1)


def around(reach: float) -> list[tuple[float, float]]:
    """No step, and steps in eight directions."""
    return [(dx, dy) for dx in (-reach, 0, reach) for dy in (-reach, 0, reach)]


def test_the_same_settings_give_the_same_bytes_and_another_seed_another_place(scene, tmp_path):
    again, other = made(tmp_path / "again"), made(tmp_path / "other", seed=4)
    for path in scene.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
        assert path.read_bytes() != (other / path.name).read_bytes()


def test_only_the_declared_files_are_left(scene):
    assert {path.name for path in scene.iterdir()} == {"eye.tif", "echo.tif", "relief.tif", "labels.tif", "truth.json"}


@pytest.mark.parametrize(
    ("sensor", "epsg", "resolution", "bands", "dtype", "nodata"),
    [
        ("eye", 32633, 1, 4, "uint16", 0),
        ("echo", 32632, 2, 2, "float32", math.nan),
        ("relief", 32633, 1, 1, "float32", -9999),
        ("labels", 32633, 1, 1, "uint8", IGNORE),
    ],
)
def test_every_file_has_its_own_grid_and_covers_the_scene(scene, sensor, epsg, resolution, bands, dtype, nodata):
    with rasterio.open(scene / f"{sensor}.tif") as raster, rasterio.open(scene / "labels.tif") as labels:
        assert raster.crs.to_epsg() == epsg
        assert raster.res == (resolution, resolution)
        assert raster.count == bands
        assert raster.dtypes[0] == dtype
        assert raster.nodata == pytest.approx(nodata, nan_ok=True)
        assert all(raster.descriptions)
        bounds = rasterio.warp.transform_bounds(raster.crs, labels.crs, *raster.bounds)
        assert bounds[0] <= labels.bounds.left and bounds[3] >= labels.bounds.top
        assert labels.shape == (SIZE, SIZE)


def test_a_sensor_that_a_scene_lacks_has_no_file_and_no_shift(tmp_path):
    folder = made(tmp_path, scene="south")
    assert not (folder / "echo.tif").exists()
    assert set(json.loads((folder / "truth.json").read_text())["shifts"]) == {"eye", "relief"}


def test_every_class_has_a_fair_share_and_its_number_in_the_config(scene, tmp_path):
    codes = pixels(scene / "labels.tif")[0]
    other = pixels(made(tmp_path, classes=CLASSES[::-1]) / "labels.tif")[0]
    for code in range(len(CLASSES)):
        assert (codes == code).mean() > 0.02
        assert np.array_equal(codes == code, other == len(CLASSES) - 1 - code)
    assert 0 < np.isnan(codes).mean() < 0.05


def test_each_sensor_has_holes_only_of_its_own_kind(scene, tmp_path):
    water = pixels(scene / "labels.tif")[0] == CLASSES.index("water")
    lost = np.isnan(pixels(scene / "relief.tif")[0])[:SIZE, :SIZE]
    assert lost[water].mean() > 2 * lost[~water].mean()
    assert 0.02 < np.isnan(pixels(scene / "eye.tif")[0]).mean() < 0.5
    assert not np.isnan(pixels(made(tmp_path, clouds=0) / "eye.tif")).any()
    assert not np.isnan(on_scene(scene, "echo")).any()


def on_scene(folder: Path, sensor: str) -> np.ndarray:
    """The last band on the grid of the labels, by what the georeferencing claims."""
    with rasterio.open(folder / "labels.tif") as labels, rasterio.open(folder / f"{sensor}.tif") as raster:
        grid = {"crs": labels.crs, "transform": labels.transform, "height": labels.height, "width": labels.width}
        with WarpedVRT(raster, resampling=Resampling.bilinear, nodata=raster.nodata, **grid) as warped:
            return warped.read(raster.count, masked=True).astype("float64").filled(np.nan)


@pytest.mark.parametrize("sensor", ["eye", "echo", "relief"])
def test_the_true_shift_and_no_other_takes_the_misregistration_out(quiet, registered, sensor):
    shift = json.loads((quiet / "truth.json").read_text())["shifts"][sensor]
    seen, belongs = on_scene(quiet, sensor), on_scene(registered, sensor)

    def mismatch(step: tuple[float, float]) -> float:
        """What is seen at (x + dx, y + dy) against what belongs at (x, y), that far from the truth."""
        return float(np.nanmean(np.abs(moved(seen, shift["dx"] + step[0], shift["dy"] + step[1]) - inner(belongs))))

    assert min(around(0.5), key=mismatch) == (0, 0)
    assert math.hypot(shift["dx"], shift["dy"]) > 0.5 or sensor == "eye"


@pytest.mark.parametrize("sensor", ["eye", "echo", "relief"])
def test_what_is_registered_lies_on_the_labels(registered, sensor):
    image, codes = on_scene(registered, sensor), inner(pixels(registered / "labels.tif")[0])
    if sensor == "eye":
        image = image / pixels(registered / "eye.tif").mean(0)  # the same in the shade
    image = image - gaussian_filter(np.nan_to_num(image, nan=np.nanmedian(image)), 12)

    def spread(step: tuple[float, float]) -> float:
        """How much the classes differ within themselves when the sensor is taken from that far away."""
        values = moved(image, *step)
        classes = [values[codes == code] for code in range(len(CLASSES))]
        return float(sum(np.nansum((value - np.nanmean(value)) ** 2) for value in classes) / np.isfinite(values).sum())

    assert min(around(2), key=spread) == (0, 0)


def test_shifts_differ_by_scene_and_sensor_and_the_reference_has_none(scene, tmp_path):
    here, there = (json.loads((folder / "truth.json").read_text())["shifts"] for folder in (scene, made(tmp_path, scene="south")))
    assert here["eye"] == there["eye"] == {"dx": 0, "dy": 0}
    assert len({str(shift) for shift in (here["echo"], here["relief"], there["relief"])}) == 3


@pytest.mark.parametrize("classes", [CLASSES[1:], (*CLASSES, "glacier"), (*CLASSES[1:], "glacier")])
def test_other_classes_are_refused(tmp_path, classes):
    with pytest.raises(UserError, match=r"data\.classes: .*exactly building"):
        made(tmp_path, classes=classes)
    assert not list(tmp_path.iterdir())


def test_an_unknown_scene_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"'west'.*north, south"):
        made(tmp_path, scene="west")


@pytest.mark.parametrize("lacks", [("ear",), tuple(SENSORS)])
def test_a_scene_cannot_lack_what_there_is_not_or_everything(lacks):
    with pytest.raises(ValidationError, match="scene 'west' lacks"):
        settings(scenes={"west": SimulatedScene(split="train", lacks=lacks)})
