"""Maps of scenes and of loose rasters: what the network says of the whole place, whatever the windows, sensors and grids."""

import json

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from torch import nn

from dis2.combinations import name_of
from dis2.config.data import Sensor
from dis2.config.grid import GridSettings
from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.prediction.maps import NOTHING
from dis2.prediction.predict import predict_files, predict_scene
from dis2.raster.grid import Grid, Window
from dis2.raster.scene import open_sensor
from tests.models.rivals.test_specialist import saved
from tests.models.tester import SENSORS
from tests.prediction.voting import ECHO, EYE, TRUST, UTM, data_of, raster, read


def mapped(folder, files, combinations=None, shifts=None, grid=TRUST, **settings):
    settings = PredictionSettings(**({"tile": 32} | settings))
    predict_scene(data_of({"sensors": files}), grid, settings, folder, "here", shifts, combinations, folder / "maps")
    return folder / "maps"


def said_of_the_whole(model, files, combination, place=EYE):
    """Probabilities [K, H, W] and validity [H, W] from the network on whole rasters, without windows."""
    images, valid = {}, {}
    for sensor in combination:
        with open_sensor(data_of({"sensors": files}), TRUST, "here", sensor, place) as reader:
            bands, mask = reader.read(Window(0, 0, place.height, place.width))
        images[sensor], valid[sensor] = bands[None], mask[None]
    with torch.inference_mode():
        probabilities = model.network(*model.prepare(images, valid)).logits.softmax(1)[0].numpy()
    return probabilities, np.any([mask[0] for mask in valid.values()], axis=0)


@pytest.mark.parametrize("combination", ["eye+echo+relief", "eye+relief", "echo"])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_windows_say_what_the_network_says_of_the_whole_scene(model, files, tmp_path, combination, overlap):
    probabilities, valid = said_of_the_whole(model(), files, combination.split("+"))
    folder = mapped(tmp_path, files, [combination], overlap=overlap)
    np.testing.assert_array_equal(read(folder / f"{combination}.tif")[0], np.where(valid, probabilities.argmax(0), NOTHING))
    confidence = read(folder / f"{combination}.confidence.tif")[0]
    np.testing.assert_allclose(confidence[valid], 100 * probabilities.max(0)[valid], atol=0.51)


def test_pixels_that_no_sensor_measured_have_no_class_and_no_confidence(model, files, tmp_path):
    model(kernel=3)
    folder = mapped(tmp_path, files, ["eye+relief", "eye"])
    for name, measured in (("eye+relief", ["eye", "relief"]), ("eye", ["eye"])):
        unseen = ~np.any([read(files[sensor][0])[0] != -1 for sensor in measured], axis=0)
        assert unseen.any()
        np.testing.assert_array_equal(read(folder / f"{name}.tif")[0] == NOTHING, unseen)
        np.testing.assert_array_equal(read(folder / f"{name}.confidence.tif")[0] == NOTHING, unseen)
        for band, sensor in zip(read(folder / f"{name}.sensors.tif"), measured, strict=True):
            np.testing.assert_array_equal(band == 1, read(files[sensor][0])[0] != -1)


@pytest.mark.parametrize("batch", [3, 7])
def test_any_batch_makes_the_same_map(model, files, tmp_path, batch):
    model(kernel=3)
    one, many = mapped(tmp_path / "one", files, batch=1), mapped(tmp_path / "many", files, batch=batch)
    for path in sorted(one.iterdir()):
        assert path.read_bytes() == (many / path.name).read_bytes()


def test_all_combinations_of_one_pass_are_those_of_single_passes(model, files, tmp_path):
    model(kernel=3)
    names = ["eye+echo+relief", "relief", "eye+echo"]
    together = mapped(tmp_path / "together", files, names)
    assert {path.name for path in together.iterdir()} == {
        "manifest.json",
        *(f"{n}{end}" for n in names for end in (".tif", ".confidence.tif", ".sensors.tif")),
    }
    for name in names:
        assert (mapped(tmp_path / name, files, [name]) / f"{name}.tif").read_bytes() == (together / f"{name}.tif").read_bytes()


def test_a_given_shift_is_put_right(model, files, tmp_path):
    """A sensor that shows everything 4 right and 2 down, and the file that says so, give the map of one that fits."""
    model()
    moved = Grid(UTM, ECHO.transform @ Affine.translation(2, 1), ECHO.height, ECHO.width)
    beside = files | {"echo": [raster(tmp_path / "beside.tif", moved, 1, 2, Window(30, 30, 10, 10))]}
    shifts = tmp_path / "shifts.json"
    shifts.write_text(json.dumps({"sensors": {"echo": {"shift": {"dx": 4.0, "dy": 2.0}}}}))
    found = mapped(tmp_path / "found", beside, shifts=shifts) / "eye+echo+relief.tif"
    assert found.read_bytes() == (mapped(tmp_path / "fits", files) / "eye+echo+relief.tif").read_bytes()


def test_chips_know_nothing_of_their_neighbours(model, tmp_path):
    model(kernel=3)
    size = Grid(None, Affine.identity(), 40, 50)
    chips = {name: {"eye": raster(tmp_path / f"{name}.tif", size, 3, seed)} for seed, name in enumerate("abc")}
    pixels = GridSettings(pixels=True)
    data = data_of({"chips": {name: {"sensors": sensors} for name, sensors in chips.items()}})
    predict_scene(data, pixels, PredictionSettings(tile=32), tmp_path, "here", None, None, tmp_path / "maps")
    joined = read(tmp_path / "maps" / "eye.tif")[0]
    for (y, x), name in zip([(0, 0), (0, 50), (40, 0)], "abc", strict=True):
        alone = mapped(tmp_path / name, {"eye": [chips[name]["eye"]]}, grid=pixels) / "eye.tif"
        np.testing.assert_array_equal(joined[y : y + 40, x : x + 50], read(alone)[0])
    assert (joined[40:, 50:] == NOTHING).all()


def test_a_scene_of_one_pixel_is_mapped(model, tmp_path):
    model(kernel=3)
    dot = Grid(UTM, EYE.transform, 1, 1)
    assert read(mapped(tmp_path, {"eye": [raster(tmp_path / "dot.tif", dot, 3, 0)]}) / "eye.tif").shape == (1, 1, 1)


def test_loose_rasters_are_mapped_on_the_grid_of_the_reference(model, files, tmp_path, capsys):
    probabilities, valid = said_of_the_whole(model(), files, ["eye", "echo"])
    predict_files(tmp_path, {sensor: files[sensor] for sensor in ("echo", "eye")}, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.crs, file.transform, file.shape) == (UTM, EYE.transform, (90, 110))
        assert file.tags()["sensors"] == "eye+echo"
        np.testing.assert_array_equal(file.read(1), np.where(valid, probabilities.argmax(0), NOTHING))
    assert "echo: left as georeferenced" in capsys.readouterr().err


def test_new_rasters_are_read_as_those_of_training_were(model, tmp_path):
    """Powers and their nodata, by a model that was trained on decibels, give the map of decibels."""
    scaling = {"factor": 0.5, "decibels": "power", "clip": [-10, 30], "unit": "dB"}
    spec = {"bands": 3, "nodata": -7, "unmeasured": "all", "resampling": "nearest", "scaling": scaling}
    powers = np.random.default_rng(0).lognormal(3, 2, (3, 90, 110)).astype("float32")
    powers[0, 5, 6], powers[:, 20:30, 40:60] = 0, -7
    files, place = {}, {"crs": UTM, "transform": EYE.transform, "height": 90, "width": 110, "count": 3, "dtype": "float32"}
    for name, values in (("powers", powers), ("decibels", np.clip(10 * np.log10(np.maximum(powers, 1e-9) / 2), -10, 30))):
        files[name] = str(tmp_path / f"{name}.tif")
        with rasterio.open(files[name], "w", driver="GTiff", **place) as file:
            file.write(np.where((powers == -7).all(0), -7, values))
    for name, changes in (("powers", spec), ("decibels", {"bands": 3, "nodata": -7})):
        model(rasters={"eye": Sensor.model_validate(changes)})
        predict_files(tmp_path, {"eye": [files[name]]}, tmp_path / f"map of {name}.tif")
    first, second = (read(tmp_path / f"map of {name}.tif")[0] for name in files)
    np.testing.assert_array_equal(first, second)
    assert (first[20:30, 40:60] == NOTHING).all() and (first != NOTHING).sum() == 90 * 110 - 200 and first[5, 6] != NOTHING


def test_one_sensor_alone_is_not_registered_and_that_is_said(model, files, tmp_path, capsys):
    model()
    predict_files(tmp_path, {"eye": files["eye"]}, tmp_path / "map.tif")
    assert "not registered: eye is the only sensor" in capsys.readouterr().err


@pytest.mark.parametrize("combination", [("eye", "relief"), ("echo",)])
def test_of_all_specialists_the_one_of_the_sensors_that_are_given_makes_the_map(tmp_path, combination):
    folder = saved(tmp_path / "specialists")
    given = {s: [raster(tmp_path / f"{s}.tif", EYE, bands, 1)] for s, bands in SENSORS.items() if s in combination}
    predict_files(folder, given, tmp_path / "all.tif")
    predict_files(folder / name_of(combination), given, tmp_path / "alone.tif")
    assert (read(tmp_path / "all.tif") == read(tmp_path / "alone.tif")).all()
    assert (read(tmp_path / "all.confidence.tif") == read(tmp_path / "alone.confidence.tif")).all()


@pytest.mark.parametrize(
    ("name", "said"), [("eye+nose", "'nose' is not one of"), ("eye+echo", "scene here has no echo, only eye")]
)
def test_a_combination_that_cannot_be_mapped_is_one_clear_line(model, files, tmp_path, name, said):
    model()
    with pytest.raises(UserError, match=said):
        mapped(tmp_path, {"eye": files["eye"]}, [name])


def test_a_map_needs_the_name_of_a_geotiff(model, files, tmp_path):
    model()
    with pytest.raises(UserError, match=r"map\.png: a map is a GeoTIFF"):
        predict_files(tmp_path, files, tmp_path / "map.png")


def test_a_network_that_fails_leaves_nothing_half_written(model, files, tmp_path):
    model().network.votes["relief"] = nn.Parameter(torch.zeros(4, 2, 1, 1))
    with pytest.raises(RuntimeError):
        mapped(tmp_path, files, ["eye", "relief"])
    assert not list((tmp_path / "maps").iterdir())


def test_a_raster_is_never_overwritten_by_its_map(model, files, tmp_path):
    model()
    before = (tmp_path / "eye.tif").read_bytes()
    with pytest.raises(UserError, match=r"eye\.tif: is one of the rasters that are given; name another file"):
        predict_files(tmp_path, {"eye": files["eye"]}, tmp_path / "eye.tif")
    assert (tmp_path / "eye.tif").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(model, files, tmp_path, capsys):
    model()
    with pytest.raises(UserError, match=r"eye\.tif/map\.tif: cannot be written"):
        predict_files(tmp_path, files, tmp_path / "eye.tif" / "map.tif")
    assert capsys.readouterr().err == ""


def test_a_map_of_nothing_is_told_of(model, tmp_path, capsys):
    model()
    nothing = raster(tmp_path / "eye.tif", EYE, 3, 0, Window(0, 0, EYE.height, EYE.width))
    predict_files(tmp_path, {"eye": [nothing]}, tmp_path / "map.tif")
    assert "map.tif: nothing was measured there" in capsys.readouterr().err and (read(tmp_path / "map.tif") == NOTHING).all()
