"""Pictures show what the rasters hold, small, and clear where nothing is known."""

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from dis2.raster.grid import Grid
from dis2.report.pictures import class_png, confidence_png, error_png, hillshade, sensor_png, thinned
from dis2.report.viewer import read_bytes


def test_a_raster_read_in_bands_of_rows_is_the_thinned_raster():
    whole = np.arange(3 * 1300 * 70).reshape(3, 1300, 70)
    for step in (1, 2, 7, 600):
        assert np.array_equal(thinned(lambda window: whole[:, *window.slices], 1300, 70, step), whole[:, ::step, ::step])


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_a_sensor_without_any_valid_pixel_is_drawn_clear(bands: int):
    image = np.full((bands, 20, 30), np.nan, np.float32)
    drawn = np.asarray(Image.open(io.BytesIO(sensor_png(image, np.zeros((20, 30), bool), bands == 1))).convert("RGBA"))
    assert drawn.shape == (20, 30, 4)
    assert not drawn[..., 3].any()


def test_slopes_to_the_north_west_are_lit():
    y, x = np.mgrid[:60, :60].astype(np.float32)
    pyramid = 30 - np.maximum(abs(x - 30), abs(y - 30))
    light = hillshade(pyramid, np.ones((60, 60), bool))
    assert light[30, 10] > light[30, 50]
    assert light[10, 30] > light[50, 30]


def test_errors_are_known_only_where_truth_and_map_are():
    truth, predicted = np.array([[0, 1, 255, 1]], np.uint8), np.array([[0, 0, 0, 255]], np.uint8)
    alpha = np.asarray(Image.open(io.BytesIO(error_png(predicted, truth))).convert("RGBA"))[0]
    assert alpha[:, 3].tolist() == [255, 255, 0, 0]
    assert tuple(alpha[0, :3]) != tuple(alpha[1, :3])


def test_many_classes_and_all_confidences_fit_a_palette():
    colors = tuple(f"#{index:02x}0000" for index in range(250))
    drawn = np.asarray(Image.open(io.BytesIO(class_png(np.arange(250, dtype=np.uint8)[None], colors))).convert("RGB"))
    assert drawn[0, :, 0].tolist() == list(range(250))
    ramp = np.asarray(Image.open(io.BytesIO(confidence_png(np.linspace(0, 1, 50, dtype=np.float32)[None]))).convert("L"))[0]
    assert (np.diff(ramp.astype(int)) >= 0).all()


@pytest.mark.parametrize("crs", [None, CRS.from_epsg(32633)])
def test_a_map_file_is_read_as_it_is(tmp_path: Path, crs: CRS | None):
    grid = Grid(crs, Affine.identity() if crs is None else Affine(2, 0, 500000, 0, -2, 5500000), 40, 1700)
    classes = np.random.default_rng(0).integers(0, 7, (40, 1700)).astype(np.uint8)
    classes[3:9] = 255
    profile = {"driver": "GTiff", "height": 40, "width": 1700, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(tmp_path / "map.tif", "w", **profile, crs=crs, transform=grid.transform) as raster:
        raster.write(classes, 1)
    assert np.array_equal(read_bytes(tmp_path / "map.tif", grid, 3), classes[::3, ::3])
