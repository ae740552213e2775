"""Map files open anywhere, in the right place, with their colours and names, and are whole or not there."""

import numpy as np
import pytest
import rasterio
import rioxarray
import torch
import xarray
from affine import Affine
from rasterio.crs import CRS
from rio_cogeo import cog_validate

from dis2.errors import UserError
from dis2.prediction.maps import NOTHING, open_map
from dis2.raster.grid import Grid, Window

PLACE = Grid(CRS.from_epsg(32633), Affine(2, 0, 500_000, 0, -2, 5_000_000), 620, 540)
CLASSES, COLORS, SENSORS = ("water", "tree", "paved"), ("#0000ff", "#00aa00", "#888888"), ("optical", "sar")


def truth(place=PLACE):
    """Probabilities [K, H, W] and validity [S, H, W]; the upper left corner is seen by nobody."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(3, place.height, place.width, generator=generator).softmax(0)
    measured = torch.rand(2, place.height, place.width, generator=generator) > 0.1
    measured[:, :40, :30] = False
    return probabilities, measured


def write(path, place=PLACE, rows=97):
    probabilities, measured = truth(place)
    with open_map(path, place, CLASSES, COLORS, SENSORS) as made:
        for y in range(0, place.height, rows):
            band = Window(y, 0, min(rows, place.height - y), place.width)
            made.write(band, probabilities[:, band.slices[0]], measured[:, band.slices[0]])
    return probabilities, measured


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps")
    write(path / "map.tif")
    return path


def test_only_the_three_files_of_a_map_are_left(folder):
    assert {path.name for path in folder.iterdir()} == {"map.tif", "map.confidence.tif", "map.sensors.tif"}


@pytest.mark.parametrize("name", ["map.tif", "map.confidence.tif", "map.sensors.tif"])
def test_a_map_is_cloud_optimised_and_in_its_place(folder, name):
    valid, errors, warnings = cog_validate(folder / name, strict=True, quiet=True)
    assert valid and not errors and not warnings
    with rasterio.open(folder / name) as file:
        assert file.crs == PLACE.crs and file.transform == PLACE.transform and file.shape == (620, 540)
        assert file.overviews(1) == [2]


def test_rioxarray_finds_the_place_and_what_is_nothing(folder):
    with rioxarray.open_rasterio(folder / "map.tif") as found:
        assert found.rio.crs == PLACE.crs and found.rio.transform() == PLACE.transform and found.rio.nodata == NOTHING
        assert found.shape == (1, 620, 540) and found.attrs["class_2"] == "paved"


def test_what_fails_at_the_last_file_leaves_none_of_the_three(tmp_path, monkeypatch):
    def copy(draft, part, **how):
        if "sensors" not in part.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("rasterio.shutil.copy", copy)
    with pytest.raises(UserError, match="cannot be written .No space left on device"):
        write(tmp_path / "map.tif")
    assert not list(tmp_path.iterdir())


def test_classes_have_their_values_colours_and_names(folder):
    probabilities, measured = truth()
    with rasterio.open(folder / "map.tif") as file:
        assert [file.colormap(1)[index][:3] for index in range(3)] == [(0, 0, 255), (0, 170, 0), (136, 136, 136)]
        assert file.nodata == NOTHING and file.tags(1) == {"class_0": "water", "class_1": "tree", "class_2": "paved"}
        assert file.tags()["sensors"] == "optical+sar"
        np.testing.assert_array_equal(file.read(1), np.where(measured.any(0), probabilities.argmax(0), NOTHING))


def test_confidence_is_the_largest_probability_in_percent_by_the_scale_of_the_file(folder):
    probabilities, measured = truth()
    with xarray.open_dataarray(folder / "map.confidence.tif", engine="rasterio", mask_and_scale=True) as confidence:
        expected = np.where(measured.any(0), probabilities.amax(0), np.nan)
        np.testing.assert_allclose(confidence[0], expected, atol=0.005 + 1e-6)


def test_it_says_by_name_where_each_sensor_was_measured(folder):
    with rasterio.open(folder / "map.sensors.tif") as file:
        assert file.descriptions == SENSORS
        np.testing.assert_array_equal(file.read(), truth()[1])


def test_overviews_of_classes_hold_classes_only(folder):
    with rasterio.open(folder / "map.tif", overview_level=0) as file:
        assert set(np.unique(file.read(1))) <= {0, 1, 2, NOTHING}


@pytest.mark.filterwarnings("error", "ignore:Use `@`:PendingDeprecationWarning")
def test_without_a_crs_it_is_a_plain_geotiff(tmp_path):
    probabilities, measured = write(tmp_path / "map.tif", Grid(None, Affine.identity(), 50, 60))
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs is None and file.transform == Affine.identity()
        np.testing.assert_array_equal(file.read(1), np.where(measured.any(0), probabilities.argmax(0), NOTHING))


def test_what_breaks_off_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_map(tmp_path / "map.tif", PLACE, CLASSES, COLORS, SENSORS):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "map.tif").mkdir()
    with pytest.raises(UserError, match=r"map\.tif: cannot be written"):
        write(tmp_path / "map.tif")
    assert not list(tmp_path.glob(".*"))
