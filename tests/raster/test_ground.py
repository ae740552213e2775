"""The ground below a surface: slopes are ground, buildings and trees are not, and windows change nothing."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, grey_opening

from dis2.raster.grid import Window
from dis2.raster.ground import AboveGround, opened
from dis2.raster.scene import open_sensor, scene_grid
from tests.made import PIXELS, data_of, raster

HEIGHT, WIDTH, WIDEST = 150, 190, 60
DOWN, RIGHT = np.mgrid[:HEIGHT, :WIDTH]
WHOLE = Window(0, 0, HEIGHT, WIDTH)
SLOPE = 300 + 0.05 * DOWN - 0.1 * RIGHT


class Surface:
    """A surface in memory."""

    count, dtype, unit = 1, np.dtype("float32"), "m"

    def __init__(self, heights, valid=None):
        self.heights, self.valid = heights, np.ones(heights.shape, bool) if valid is None else valid

    def read(self, window):
        return self.heights[None, *window.slices].astype(np.float32), self.valid[window.slices]


def above(heights, valid=None, window=WHOLE):
    bands, there = AboveGround(Surface(heights, valid), HEIGHT, WIDTH, WIDEST).read(window)
    return bands[0], there


def built():
    """A house of 8 m and 40 pixels, one of 5 m at the edge, trees of 12 m."""
    objects = np.zeros((HEIGHT, WIDTH))
    objects[40:80, 60:100], objects[:20, 150:], objects[100:108, 20:28] = 8, 5, 12
    return objects


def test_what_stands_on_a_slope_is_as_high_as_it_is():
    heights, _ = above(SLOPE + built())
    assert np.abs(heights - built()).max() < 0.3  # a cell's lowest pixel lies below its middle
    assert np.abs(above(SLOPE)[0]).max() < 0.3


def test_a_hill_that_is_wider_than_the_opening_is_ground():
    hill = 10 * np.cos(np.pi * RIGHT / WIDTH)
    assert above(200 + hill)[0].max() < 0.2 * np.ptp(hill)


def test_pixels_without_measurement_neither_are_ground_nor_stay():
    valid = (DOWN > 30) | (RIGHT > 50)
    heights, there = above(np.where(valid, SLOPE + built(), -9999), valid)
    assert np.array_equal(there, valid) and not heights[~valid].any()
    assert np.abs(heights - built())[valid].max() < 0.6
    assert not above(SLOPE, np.zeros_like(valid))[0].any()


def by_all_pixels(low, size):
    """The ground by a plane that is fitted to a list of all pixels."""
    there = np.isfinite(low)
    design = np.stack([np.ones(there.shape), *np.indices(there.shape)], -1)
    plane = design @ np.linalg.lstsq(design[there], low[there])[0]
    nearest = distance_transform_edt(~there, return_distances=False, return_indices=True)
    return plane + grey_opening((low - plane)[tuple(nearest)], (size, size))


@pytest.mark.parametrize(("below", "beside"), [(HEIGHT, 0), (110, 30), (5, 3), (60, 0)])
def test_the_ground_is_that_of_a_plane_through_all_pixels(below, beside):
    low = np.stack([4000 + built() + 30 * np.sin(DOWN / 9), 7.3 * RIGHT - 2.1 * DOWN + built()]).astype("float32")
    low[:, below:, beside:] = np.inf
    assert np.abs(opened(low.copy(), 31) - [by_all_pixels(band.astype(float), 31) for band in low]).max() < 1e-3


def test_the_ground_takes_a_few_times_the_memory_of_the_heights():
    low = np.random.default_rng(0).normal(500, 3, (1, 700, 700)).astype("float32")
    low[:, :90] = np.inf
    tracemalloc.start()
    opened(low, 9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * low.nbytes


@pytest.mark.parametrize("window", [Window(0, 0, 1, 1), Window(37, 41, 64, 3), Window(100, 0, 50, 190)])
def test_a_window_shows_what_the_whole_shows(window):
    whole = above(SLOPE + built())[0]
    assert np.array_equal(above(SLOPE + built(), window=window)[0], whole[window.slices])


def test_a_surface_of_the_config_comes_above_its_ground_in_its_own_unit(tmp_path):
    surface = raster(tmp_path / "surface.tif", (100 * (SLOPE + built())).astype("int32")[None], crs=None)
    spec = {"bands": 1, "kind": "surface", "ground": WIDEST, "scaling": {"factor": 0.01, "unit": "m"}}
    data = data_of({"a": {"sensors": {"lidar": surface}}}, {"lidar": spec, "thermal": {"bands": 1}})
    with open_sensor(data, PIXELS, "a", "lidar", scene_grid(data, PIXELS, "a")) as reader:
        heights, valid = reader.read(Window(0, 0, HEIGHT, WIDTH))
        assert reader.unit == "m" and reader.dtype == heights.dtype == np.float32 and valid.all()
    assert np.abs(heights[0] - built()).max() < 0.3
