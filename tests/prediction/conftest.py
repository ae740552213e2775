"""A model and rasters that the tests of prediction share."""

from types import SimpleNamespace

import pytest

from dis2.config.data import Sensor
from dis2.models.files import Model
from dis2.prediction import predict
from dis2.raster.grid import Window
from tests.prediction.voting import BANDS, CLASSES, ECHO, EYE, Network, raster


@pytest.fixture
def model(monkeypatch):
    """Makes the predictor load this network, whatever folder it is given."""

    def use(kernel=1, **changes):
        told = {"mean": 50.0, "std": 20.0, "low": 0.0, "high": 100.0}
        statistics = {
            sensor: {key: [value] * bands for key, value in told.items()} | {"relief": [0]} for sensor, bands in BANDS.items()
        }
        colors = ("#0000ff", "#00ff00", "#888888", "#aa5500")
        rasters = {sensor: Sensor(bands=bands) for sensor, bands in BANDS.items()}
        card = {
            "method": "dis2",
            "sensors": BANDS,
            "channels": BANDS,
            "rasters": rasters,
            "reference": "eye",
            "resolution": 1.0,
            "temperatures": {},
        }
        card |= {"classes": CLASSES, "colors": colors, "statistics": statistics} | changes
        made = Model(Network(kernel).eval(), SimpleNamespace(**card))
        monkeypatch.setattr(predict, "load", lambda folder: made)
        return made

    return use


@pytest.fixture
def files(tmp_path):
    return {
        "eye": [raster(tmp_path / "eye.tif", EYE, 3, 1, Window(20, 30, 40, 50))],
        "echo": [raster(tmp_path / "echo.tif", ECHO, 1, 2, Window(30, 30, 10, 10))],
        "relief": [raster(tmp_path / "relief.tif", EYE, 1, 3, Window(35, 50, 30, 40))],
    }
