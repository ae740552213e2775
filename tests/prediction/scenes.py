"""The test scene of the tiny data set as rasters, with holes in each sensor."""

import numpy as np

from dis2.config.data import IGNORE
from dis2.config.grid import GridSettings
from tests.made import raster
from tests.training.tiny import CLASSES, SCENES, SENSORS, data

SIDES = 64, 96
TRUST = GridSettings.model_validate({"registration": {"enabled": False}})


def written(folder, labelled=True):
    """The data with scene `dog` in files of a folder, and its labels [H, W]."""
    rng = np.random.default_rng(5)
    labels = np.kron(rng.integers(len(CLASSES), size=[side // 8 for side in SIDES]), np.ones((8, 8), int)).astype("uint8")
    files = {}
    for number, (sensor, bands) in enumerate(SENSORS.items()):
        told = np.random.default_rng(number).normal(size=(bands, len(CLASSES)))
        values = (10 * told[:, labels] + 5 * rng.normal(size=(bands, *SIDES))).astype("float32")
        values[:, 10 * number : 10 * number + 12, 20:50] = -999
        files[sensor] = raster(folder / f"{sensor}.tif", values, nodata=-999)
    labels[rng.random(SIDES) < 0.05] = IGNORE
    truth = raster(folder / "labels.tif", labels[None])
    scenes = {name: {"split": split, "sensors": files, "labels": truth} for name, (split, _) in SCENES.items()}
    return data(scenes=scenes | {"dog": scenes["dog"] if labelled else {"sensors": files}}), labels
