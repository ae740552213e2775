"""Relative values are those of the whole scene or chip, however they are read, stretched or covered."""

import numpy as np
import pytest

from dis2.raster import moments as module
from dis2.raster.grid import Window
from dis2.raster.relative import Relative
from dis2.raster.scene import open_sensor, scene_grid
from tests.made import PIXELS, data_of, raster

HEIGHT, WIDTH = 60, 90
WHOLE = Window(0, 0, HEIGHT, WIDTH)


class Image:
    """Two bands in memory."""

    count, dtype, unit = 2, np.dtype("int16"), "dB"

    def __init__(self, bands, valid=None):
        self.bands, self.valid = bands, np.ones((HEIGHT, WIDTH), bool) if valid is None else valid

    def read(self, window):
        return self.bands[:, *window.slices], self.valid[window.slices]


@pytest.fixture
def bands():
    return np.random.default_rng(0).integers(-900, 2000, (2, HEIGHT, WIDTH)).astype("int16")


def shown(bands, valid=None, window=WHOLE):
    return Relative(Image(bands, valid), HEIGHT, WIDTH).read(window)[0]


def test_every_band_has_mean_0_and_deviation_1_over_what_was_measured(bands):
    valid = np.random.default_rng(1).random((HEIGHT, WIDTH)) > 0.3
    found = shown(np.where(valid, bands, 30_000), valid)
    assert found[:, valid].mean(1) == pytest.approx(0, abs=1e-6) and found[:, valid].std(1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(found[:, valid], shown(bands, valid)[:, valid]) and not found[:, ~valid].any()


def test_how_a_chip_was_stretched_does_not_show(bands):
    values = bands.astype(float)
    assert shown(values * 0.01 + 40) == pytest.approx(shown(values), abs=1e-5)


@pytest.mark.parametrize("window", [Window(0, 0, 1, 1), Window(37, 41, 20, 3), Window(50, 0, 10, 90)])
@pytest.mark.parametrize("side", [7, 1024])
def test_a_window_shows_what_the_whole_shows(bands, window, side, monkeypatch):
    monkeypatch.setattr(module, "SIDE", side)
    assert shown(bands, window=window) == pytest.approx(shown(bands)[:, *window.slices], abs=1e-6)


def test_a_band_without_contrast_or_measurement_is_0(bands):
    bands[1] = 7
    assert not shown(bands)[1].any() and shown(bands)[0].any()
    hole = np.full((2, HEIGHT, WIDTH), np.nan)
    assert not shown(hole, np.zeros((HEIGHT, WIDTH), bool)).any()


def test_each_chip_is_told_against_itself(tmp_path):
    dark = np.random.default_rng(2).integers(0, 50, (1, HEIGHT, WIDTH)).astype("uint8")
    files = [raster(tmp_path / f"{name}.tif", it, crs=None) for name, it in (("dark", dark), ("bright", 4 * dark + 50))]
    chips = {f"chip{i}": {"sensors": {"radar": file}} for i, file in enumerate(files)}
    data = data_of({"a": {"chips": chips}}, {"radar": {"bands": 1, "relative": True}, "lidar": {"bands": 1}})
    with open_sensor(data, PIXELS, "a", "radar", scene_grid(data, PIXELS, "a")) as reader:
        found, valid = reader.read(Window(0, 0, HEIGHT, 2 * WIDTH))
        assert reader.dtype == found.dtype == np.float32 and reader.unit is None and valid.all()
    assert found[0, :, :WIDTH] == pytest.approx(found[0, :, WIDTH:], abs=1e-5) and found.std() == pytest.approx(1, abs=1e-3)
