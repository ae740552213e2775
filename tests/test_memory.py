"""No stage of the preparation, and no map, needs more memory because a raster is large or a sensor has many bands."""

import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from dis2.config.model import ModelSettings
from dis2.models.files import build, save
from dis2.raster.grid import blocks
from tests.made import NEXT_UTM, PLACE, UTM, raster
from tests.models.test_files import card

BOUND = 700
"""MiB that a process may take at its peak."""
RUN = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "dis2", *sys.argv[1:]], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""In a process between this one and the stage, since a new process counts what the one that starts it had taken."""


def peak(*words):
    """The largest memory of a stage in MiB."""
    done = subprocess.run([sys.executable, "-c", RUN, *map(str, words)], stdout=subprocess.PIPE, check=True, text=True)
    return int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)


def vast(path, side, bands=1, dtype="uint8", transform=PLACE, crs=UTM, height=None, nodata=None):
    """A raster whose tiles take no room on the disk but for the first ones and those on the diagonal, which hold noise."""
    rng, height = np.random.default_rng(0), height or side
    size = {"height": height, "width": side, "count": bands, "dtype": dtype, "nodata": nodata}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1, "SPARSE_OK": True}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **tiles) as file:
        every = list(blocks(height, side, 256))
        for tile in [*every[1:8], *every[:: -(-side // 256) + 1]]:
            noise = rng.integers(1, 200, (bands, tile.height, tile.width)).astype(dtype)
            file.write(noise, window=Window(tile.x, tile.y, tile.width, tile.height))
    return str(path)


def peaks(folder, sensors, bands, relative=False):
    """The memory of every stage that reads rasters or tiles."""
    labels = raster(folder / "labels.tif", np.indices((100, 100)).sum(0)[None].astype("uint8") % 2, PLACE @ Affine.scale(10))
    scene = {"split": "train", "sensors": sensors, "labels": labels}
    specs = {sensor: {"bands": count, "relative": relative} for sensor, count in bands.items()}
    data = {"name": "vast", "sensors": specs, "classes": ["rock", "sand"], "scenes": {"a": scene}}
    (folder / "settings.json").write_text(json.dumps({"data": data, "grid": {}}))
    how, of = ("--settings", f"@{folder / 'settings.json'}"), ("--scene", "a")
    shifts = folder / "shifts.json"
    return {
        "check": peak("check", *how, *of, "--out", folder / "checked.json"),
        "register": peak("register", *how, *of, "--out", shifts),
        "tile": peak("tile", *how, *of, "--shifts", shifts, "--out", folder / "a.zarr"),
        "statistics": peak("statistics", *how, "--tiles", folder, "--out", folder / "statistics.json"),
    }


@pytest.mark.slow
def test_rasters_of_20000_by_20000_pixels_are_prepared_within_the_bound(tmp_path):
    beside = Affine(1, 0, 748_400, 0, -1, 5_304_000)
    sensors = {
        "lidar": vast(tmp_path / "l.tif", 20_000),
        "thermal": vast(tmp_path / "t.tif", 20_000, 1, "uint16", beside, NEXT_UTM),
    }
    taken = peaks(tmp_path, sensors, {"lidar": 1, "thermal": 1})
    assert max(taken.values()) < BOUND, taken


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "relative"), [("uint16", True), ("float32", False)])
def test_a_sensor_of_224_bands_is_prepared_within_the_bound(tmp_path, dtype, relative):
    turned = PLACE @ Affine.translation(-3, 5) @ Affine.rotation(1)
    sensors = {"lidar": vast(tmp_path / "l.tif", 1024), "thermal": vast(tmp_path / "t.tif", 1100, 224, dtype, turned)}
    taken = peaks(tmp_path, sensors, {"lidar": 1, "thermal": 224}, relative)
    assert max(taken.values()) < BOUND, taken


def mapped(folder, height):
    """The memory of a map of four sensors, 20,000 pixels wide: what is nodata is not given to the network, but kept in memory."""
    bands = {"thermal": 2, "lidar": 1, "radar": 2, "camera": 4}
    size = ModelSettings(width=4, depth=1, heads=2)
    statistics = {
        s: {"mean": [100] * b, "std": [60] * b, "low": [1] * b, "high": [200] * b, "relief": [0]} for s, b in bands.items()
    }
    rasters = {sensor: {"bands": count} for sensor, count in bands.items()}
    told = {"sensors": bands, "rasters": rasters, "reference": "camera", "settings": size, "statistics": statistics}
    save(folder / "model", build("dis2", bands, 3, size), card("dis2", **told))
    files = {s: vast(folder / f"{s}.tif", 20_000, b, "uint16", height=height, nodata=0) for s, b in bands.items()}
    words = [word for sensor, file in files.items() for word in (f"--{sensor}", file)]
    return peak("predict", folder / "model", *words, "--out", folder / "map.tif")


@pytest.mark.slow
def test_a_map_20000_pixels_wide_and_2000_high_takes_under_2_gib_and_one_twice_as_high_hardly_more(tmp_path):
    """Peaks vary by 3 % from run to run, and the higher map takes 8 % more; its rasters alone would take 700 MiB more."""
    low, high = mapped(tmp_path, 2000), mapped(tmp_path, 4000)
    assert low < 2048 and high < 1.2 * low, (low, high)
