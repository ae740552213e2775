"""A model from Python: arrays of whatever sensors there are, of any size, in the units of their files."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import dis2
from dis2.errors import UserError
from dis2.fingerprint import closure
from dis2.models.files import save
from dis2.prediction.maps import NOTHING
from dis2.prediction.predict import predict_files
from tests.models.test_files import CLASSES, card
from tests.models.tester import SENSORS, fresh, sensors_of

rng = np.random.default_rng(0)


def folder_of(path, method="dis2", **rasters):
    """A model with fresh weights; some sensors' rasters are read in a way of their own."""
    sensors = sensors_of(method)
    told = {sensor: {"bands": bands} | rasters.get(sensor, {}) for sensor, bands in sensors.items()}
    save(path, fresh(method).float(), card(method, sensors=sensors, rasters=told))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return dis2.load(folder_of(tmp_path_factory.mktemp("model")))


def arrays(*sensors, size=(40, 50)):
    return {sensor: rng.normal(10, 2, (SENSORS[sensor], *size)).astype(np.float32) for sensor in sensors}


def same(a, b):
    np.testing.assert_array_equal(a.probabilities, b.probabilities)
    np.testing.assert_array_equal(a.classes, b.classes)


def test_the_readme_s_example_runs_as_it_stands_but_for_the_name_of_the_sensor(tmp_path, monkeypatch):
    example = re.search(r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(), re.S)
    assert example
    folder = tmp_path / "results/mine/models/dis2/0"
    folder.mkdir(parents=True)
    folder_of(folder)
    monkeypatch.chdir(tmp_path)
    names = {"array": arrays("echo", size=(37, 41))["echo"]}
    exec(example[1].replace("s1", "echo"), names)
    found = names["found"]
    assert found.classes.shape == found.confidence.shape == (37, 41) and found.probabilities.shape == (len(CLASSES), 37, 41)
    assert tuple(found.names) == CLASSES


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_it_maps_arrays_as_the_command_line_maps_rasters(tmp_path):
    """Several windows, nodata, decibels, a hole, relative values: the class of every pixel, and the confidence to a percent."""
    echo = {"nodata": 0, "scaling": {"decibels": "power", "clip": [None, 12]}}
    folder = folder_of(tmp_path / "model", echo=echo, eye={}, relief={"relative": True})
    images = {"echo": rng.gamma(4, 3, (2, 300, 270)), "relief": rng.normal(10, 2, (1, 300, 270))}
    images["echo"][:, 50:80, 60:200] = 0
    for sensor, image in images.items():
        with rasterio.open(
            tmp_path / f"{sensor}.tif", "w", driver="GTiff", height=300, width=270, count=len(image), dtype="float64"
        ) as file:
            file.write(image)
    predict_files(folder, {sensor: [str(tmp_path / f"{sensor}.tif")] for sensor in images}, tmp_path / "map.tif")
    found = dis2.load(str(folder)).predict(images)
    with rasterio.open(tmp_path / "map.tif") as classes, rasterio.open(tmp_path / "map.confidence.tif") as percent:
        np.testing.assert_array_equal(classes.read(1), found.classes)
        np.testing.assert_allclose(percent.read(1), 100 * found.confidence, atol=0.501)  # where it is half, either way


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (40, 300)])
@pytest.mark.parametrize("sensors", [("echo",), ("eye", "relief")])
def test_any_sensors_of_any_size_are_mapped(model, size, sensors):
    found = model.predict(arrays(*sensors, size=size))
    assert found.classes.shape == found.confidence.shape == size and found.probabilities.shape == (len(CLASSES), *size)
    np.testing.assert_allclose(found.probabilities.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.classes, found.probabilities.argmax(0))
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(0))
    assert found.names == CLASSES == model.classes


@torch.no_grad()
def test_within_one_window_it_is_what_the_network_says(model):
    images = arrays("eye", "echo")
    ready, valid = model.model.prepare({s: x[None] for s, x in images.items()}, {s: np.ones((1, 40, 50), bool) for s in images})
    expected = model.model.network(ready, valid).logits.softmax(1)[0]
    np.testing.assert_allclose(model.predict(images).probabilities, expected, rtol=1e-5)


def test_validity_masks_nodata_and_what_is_not_finite_all_tell_the_same_hole(tmp_path):
    model = dis2.load(folder_of(tmp_path, eye={"nodata": -9999}))
    images, hole = arrays("eye", "echo"), np.zeros((40, 50), bool)
    hole[5:20, 10:30] = True
    expected = model.predict(images, {"eye": ~hole})
    masked = np.ma.masked_array(images["eye"], np.broadcast_to(hole, images["eye"].shape))
    same(model.predict(images | {"eye": masked}), expected)
    for value in (np.nan, np.inf, -9999):
        same(model.predict(images | {"eye": np.where(hole, value, images["eye"])}), expected)
    one_band = images["eye"].copy()
    one_band[2, hole] = np.nan
    same(model.predict(images | {"eye": one_band}), expected)
    assert not np.isnan(expected.probabilities).any() and not np.array_equal(expected.classes, model.predict(images).classes)


def test_where_all_bands_must_lack_nodata_says_so_only_together(tmp_path):
    model = dis2.load(folder_of(tmp_path, echo={"nodata": 0, "unmeasured": "all"}))
    images = arrays("echo")
    images["echo"][0, :10], images["echo"][:, 30:] = 0, 0
    same(model.predict(images), model.predict(images, {"echo": np.arange(40)[:, None] < np.full((40, 50), 30)}))
    assert (model.predict(images).classes[:30] != NOTHING).all()


def test_where_nothing_is_measured_there_is_no_class_and_no_confidence(model):
    images = arrays("eye", "relief")
    images["eye"][:, :20], images["relief"][:, :, :25] = np.nan, np.nan
    found = model.predict(images)
    assert (found.classes[:20, :25] == NOTHING).all() and (found.classes != NOTHING).sum() == 40 * 50 - 20 * 25
    assert np.isnan(found.confidence[:20, :25]).all() and np.isnan(found.probabilities).sum() == len(CLASSES) * 20 * 25


def test_numbers_are_scaled_as_files_of_the_sensor_are(tmp_path):
    plain, scaled = (
        dis2.load(folder_of(tmp_path / name, echo={"scaling": scaling}))
        for name, scaling in (("plain", {}), ("scaled", {"factor": 0.5, "offset": 1, "decibels": "amplitude", "clip": [0, 30]}))
    )
    numbers = rng.integers(0, 900, (2, 40, 50), dtype=np.uint16)
    values = np.clip(20 * np.log10(0.5 * numbers.astype(np.float32) + 1), 0, 30)
    found, expected = scaled.predict({"echo": numbers}), plain.predict({"echo": values})
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_heights_are_told_above_their_ground_within_limits_as_those_of_files_are(tmp_path):
    """What stands on a slope is mapped as if it stood on the plain, and no higher than the limit."""
    spec = {"kind": "surface", "ground": 16, "scaling": {"clip": [0, 5], "unit": "m"}}
    above, plain = dis2.load(folder_of(tmp_path / "a", relief=spec)), dis2.load(folder_of(tmp_path / "b"))
    built = np.zeros((1, 64, 64), np.float32)
    built[:, 20:24, 30:40], built[:, 40:46, 10:14] = 3, 8
    slope = 500 + np.arange(64, dtype=np.float32)
    expected = plain.predict({"relief": built.clip(0, 5)}).probabilities
    found = above.predict({"relief": built + slope}).probabilities
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert np.abs(plain.predict({"relief": built}).probabilities - expected).max() > 5e-2


@pytest.mark.parametrize(
    ("images", "valid", "said"),
    [
        ({}, None, "no sensor given; give an array for one of eye, echo, relief"),
        ({"radar": np.zeros((1, 4, 4))}, None, "radar: not a sensor of the model, which knows eye, echo, relief"),
        ({"echo": np.zeros((3, 4, 4))}, None, r"echo: has the shape \[3, 4, 4\], but the model expects \[2, height, width\]"),
        ({"relief": np.zeros((4, 4))}, None, r"relief: has the shape \[4, 4\], but the model expects \[1, height, width\]"),
        ({"relief": np.zeros((1, 0, 4))}, None, r"relief: has the shape \[1, 0, 4\]"),
        ({"relief": np.zeros((1, 4, 4), complex)}, None, "relief: holds complex128; give real numbers"),
        (
            {"relief": np.zeros((1, 4, 4)), "echo": np.zeros((2, 4, 5))},
            None,
            "relief: 4 x 4 pixels, but echo has 4 x 5; bring them to one grid",
        ),
        ({"relief": np.zeros((1, 4, 4))}, {"relief": np.ones((4, 5))}, r"relief: validity has the shape \[4, 5\]"),
        ({"relief": np.zeros((1, 4, 4))}, {"echo": np.ones((4, 4))}, "echo: validity without an image"),
        ({"relief": np.zeros((1, 4, 4))}, {"radar": np.ones((4, 4))}, "radar: not a sensor"),
        ({"relief": np.full((1, 4, 4), np.nan)}, None, "relief: no pixel is a measurement; look at nodata and validity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(model, images, valid, said):
    with pytest.raises(UserError, match=said) as error:
        model.predict(images, valid)
    assert "\n" not in str(error.value)


def test_numbers_that_training_never_saw_are_warned_of(model):
    """As a file's own numbers are where it tells a scale of them."""
    images = arrays("eye")
    with warnings.catch_warnings(action="error"):
        model.predict(images)
    images["eye"][:, :20] += 200
    for share, told in (("50%", images["eye"]), ("100%", images["eye"] + 200)):
        with pytest.warns(UserWarning, match=rf"eye: values of band \d .* {share} lie beyond those that the model knows"):
            model.predict({"eye": told})


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"model\.json: cannot be read"):
        dis2.load(tmp_path)


def test_the_package_itself_imports_nothing_heavy_and_hangs_on_no_stage():
    code = "import sys, dis2; assert not {m for m in sys.modules if m.startswith(('torch', 'numpy', 'dis2.'))}"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [path.name for path in closure("dis2")] == ["__init__.py"]
