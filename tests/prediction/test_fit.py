"""Rasters that do not fit a model are told of in one line that names both sides, and nothing is written."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.prediction.predict import predict_files, predict_scene
from dis2.raster.grid import Grid
from tests.prediction.voting import TRUST, UTM, data_of, raster

FAR = Grid(UTM, Affine(1, 0, 700_000, 0, -1, 5_000_000), 20, 20)
NOWHERE = Grid(None, Affine.identity(), 90, 110)


def rescaled(path, file, factor, offset=0.0):
    """The same raster in another unit."""
    with rasterio.open(file) as source, rasterio.open(path, "w", **source.profile) as made:
        values = source.read()
        made.write(np.where(values == source.nodata, values, values * factor + offset))
    return str(path)


def said_of(model, given, folder, capsys):
    """What is said on the way to a map."""
    model()
    predict_files(folder, given, folder / "map.tif")
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]


def test_rasters_like_those_of_training_raise_no_warning(model, files, tmp_path, capsys):
    assert said_of(model, files, tmp_path, capsys) == []


@pytest.mark.parametrize(("factor", "offset"), [(1000, 200), (1, -150), (-1, -1e-3)])
def test_values_that_training_never_saw_make_no_map(model, files, tmp_path, factor, offset):
    model()
    other = rescaled(tmp_path / "other.tif", files["eye"][0], factor, offset)
    both = r"other\.tif: eye: values of band \d \(.* to .*\) 100% lie beyond those that .* knows \(0 to 100\); the same unit\?"
    with pytest.raises(UserError, match=both) as error:
        predict_files(tmp_path, {"eye": [other]}, tmp_path / "out" / "map.tif")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_numbers_that_are_no_measurements_make_no_map(model, files, tmp_path):
    model()
    with (
        rasterio.open(files["echo"][0]) as source,
        rasterio.open(tmp_path / "c.tif", "w", **source.profile | {"dtype": "complex64"}) as made,
    ):
        made.write(source.read().astype(np.complex64))
    with pytest.raises(UserError, match=r"c\.tif: complex values; give their amplitude, or decibels \(echo\)$"):
        predict_files(tmp_path, {"echo": [str(tmp_path / "c.tif")]}, tmp_path / "map.tif")


def test_a_teacher_s_map_without_a_sensor_is_told_of(model, files, tmp_path, capsys):
    model(method="teacher")
    predict_files(tmp_path, {"eye": files["eye"]}, tmp_path / "map.tif")
    assert "a teacher, which learned with every sensor; without echo, relief" in capsys.readouterr().err
    predict_files(tmp_path, files, tmp_path / "map.tif")
    assert "teacher" not in capsys.readouterr().err


def test_some_values_that_training_never_saw_are_told_of(model, files, tmp_path, capsys):
    other = rescaled(tmp_path / "other.tif", files["echo"][0], 2)
    (line,) = said_of(model, files | {"echo": [other]}, tmp_path, capsys)
    assert "other.tif: echo: values of band 1" in line and "lie beyond those" in line and "(0 to 100)" in line


def test_values_that_hardly_vary_are_told_of(model, files, tmp_path, capsys):
    """As reflectances from 0 to 1 are to a model that knows them from 0 to 100."""
    other = rescaled(tmp_path / "other.tif", files["eye"][0], 1e-3, 0.01)
    (line,) = said_of(model, {"eye": [other]}, tmp_path, capsys)
    assert "other.tif: eye: values of band 1 (0.0" in line and "hardly vary beside those" in line and "(0 to 100)" in line


def test_values_are_judged_as_the_network_takes_them(model, files, tmp_path, capsys):
    """Heights a thousand metres above those of training are the same to a model that takes their relief."""
    made = model()
    made.card.statistics["relief"] |= {"relief": [8], "low": [-100.0], "high": [100.0], "mean": [0.0]}
    higher = rescaled(tmp_path / "higher.tif", files["relief"][0], 1, 1000)
    predict_files(tmp_path, {"relief": [higher]}, tmp_path / "map.tif")
    assert "warning" not in capsys.readouterr().err


def test_pixels_far_from_those_of_training_are_told_of(model, tmp_path, capsys):
    model(resolution=10.0)
    degrees = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 15, 0, -1e-4, 45), 40, 50)
    predict_files(tmp_path, {"echo": [raster(tmp_path / "echo.tif", degrees, 1, 0)]}, tmp_path / "map.tif")
    assert "the map's pixels are 0.0001 wide (EPSG:4326), but" in capsys.readouterr().err


def test_classes_of_another_config_are_one_clear_line(model, files, tmp_path):
    model(classes=("water", "tree", "paved", "sand"))
    with pytest.raises(UserError, match="classes: the model has water, tree, paved, sand, the config water, tree, paved, soil"):
        predict_scene(data_of({"sensors": files}), TRUST, PredictionSettings(), tmp_path, "here", None, None, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ecko": ["eye.tif"]}, r"--ecko: not a sensor of .*, which knows eye, echo, relief; did you mean echo"),
        ({"echo": ["eye.tif"]}, r"eye\.tif: bands: 3 given, but the model .* expects echo to have 1"),
        ({"eye": ["echo.tif", "echo.tif"]}, r"echo\.tif \+ .*echo\.tif: bands: 2 given, but the model .* expects eye to have 3"),
        ({"eye": ["eye.tif"], "echo": ["far.tif"]}, r"far\.tif \(echo\): does not overlap .*eye\.tif \(eye\)"),
        ({"relief": ["relief.tif"], "echo": ["far.tif"]}, r"relief\.tif \(relief\): does not overlap .*far\.tif \(echo\)"),
        ({"eye": ["gone.tif"]}, r"gone\.tif: no such file"),
        ({"eye": ["text.tif"]}, r"text\.tif: not a readable raster"),
        ({"eye": ["eye.tif"], "echo": ["nowhere.tif"]}, r"nowhere\.tif: has no CRS"),
        ({"relief": ["nowhere.tif"], "echo": ["echo.tif"]}, r"nowhere\.tif: has no CRS"),
    ],
)
def test_rasters_that_do_not_fit_are_one_clear_line_and_no_file(model, files, tmp_path, given, said):
    model()
    raster(tmp_path / "far.tif", FAR, 1, 0)
    raster(tmp_path / "nowhere.tif", NOWHERE, 1, 0)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(UserError, match=said) as error:
        predict_files(
            tmp_path, {s: [str(tmp_path / name) for name in names] for s, names in given.items()}, tmp_path / "out" / "map.tif"
        )
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
