"""The grid of a map: that of the reference, or of all that is there, in pixels such as the model knows."""

import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from dis2.prediction.predict import predict_files
from dis2.raster.grid import Grid
from tests.prediction.voting import ECHO, EYE, UTM, raster


@pytest.mark.parametrize(("trained", "shape"), [(1.01, (90, 110)), (2.0, (45, 55)), (0.5, (180, 220))])
def test_a_reference_of_another_resolution_is_mapped_at_that_of_the_model(model, files, tmp_path, trained, shape):
    model(resolution=trained)
    predict_files(tmp_path, {"eye": files["eye"]}, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.shape == shape and file.bounds == (*EYE.bounds[:2], *EYE.bounds[2:])


def test_without_the_reference_the_map_covers_all_at_the_resolution_of_the_model(model, files, tmp_path):
    model(resolution=2.5)
    east = Grid(CRS.from_epsg(32634), Affine(1, 0, 37_000, 0, -1, 5_018_000), 20, 20)
    there = rasterio.warp.transform_bounds(UTM, east.crs, *EYE.bounds)
    east = Grid(east.crs, Affine(1, 0, there[0], 0, -1, there[3]), 90, 110)
    predict_files(tmp_path, {"relief": [raster(tmp_path / "east.tif", east, 1, 3)], "echo": files["echo"]}, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs == UTM and file.res == (2.5, 2.5)
        for grid in (ECHO, east):
            left, bottom, right, top = rasterio.warp.transform_bounds(grid.crs, UTM, *grid.bounds)
            assert file.bounds.left <= left + 1e-6 and file.bounds.right >= right - 1e-6
            assert file.bounds.bottom <= bottom + 1e-6 and file.bounds.top >= top - 1e-6
        assert file.bounds.left > ECHO.bounds[0] - 2.5 and file.bounds.top < ECHO.bounds[3] + 2.5


def test_a_model_in_metres_does_not_set_the_pixels_of_a_grid_in_degrees(model, tmp_path):
    model(resolution=10.0)
    degrees = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 15, 0, -1e-4, 45), 40, 50)
    predict_files(tmp_path, {"echo": [raster(tmp_path / "echo.tif", degrees, 1, 0)]}, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.res == pytest.approx((1e-4, 1e-4)) and file.shape in ((40, 50), (41, 50), (40, 51), (41, 51))


def test_rasters_without_a_crs_share_a_pixel_grid(model, tmp_path):
    model()
    size = Grid(None, Affine.identity(), 40, 50)
    loose = {"eye": [raster(tmp_path / "eye.tif", size, 3, 1)], "relief": [raster(tmp_path / "relief.tif", size, 1, 2)]}
    predict_files(tmp_path, loose, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs is None and file.shape == (40, 50)


def test_a_model_of_chips_knows_no_resolution_and_leaves_pixels_as_they_are(model, tmp_path):
    model(resolution=None)
    coarse = Grid(UTM, Affine(30, 0, 480_000, 0, -30, 4_999_980), 40, 50)
    for sensor, bands in (("eye", 3), ("echo", 1)):
        predict_files(tmp_path, {sensor: [raster(tmp_path / f"{sensor}.tif", coarse, bands, 0)]}, tmp_path / "map.tif")
        with rasterio.open(tmp_path / "map.tif") as file:
            assert file.res == (30, 30) and file.shape == (40, 50)
