"""Tiny rasters, scenes and stores made on the spot; no sensor of theirs has a name that the code could know."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.raster.grid import Grid, Window
from dis2.tiles.store import Header, new_store, store_path

UTM = CRS.from_epsg(32633)
NEXT_UTM = CRS.from_epsg(32632)
PLACE = Affine(1, 0, 300_000, 0, -1, 5_300_000)
SENSORS = {"thermal": {"bands": 2}, "lidar": {"bands": 1}}
CLASSES = ["mud", "reed", "sand"]
PIXELS = GridSettings(pixels=True)


def raster(path, values, transform=PLACE, crs=UTM, nodata=None, alpha=None, mask=None, **creation):
    """Writes bands [C, h, w] as a GeoTIFF, with an alpha band or an internal mask [h, w] where given; its path."""
    values = np.asarray(values)
    count, (height, width) = len(values) + (alpha is not None), values.shape[1:]
    size = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, nodata=nodata, **size, **creation) as file:
        if alpha is not None:
            file.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * (count - 2), ColorInterp.alpha]
        file.write(values, list(range(1, len(values) + 1)))
        if alpha is not None:
            file.write(np.where(alpha, 255, 0).astype(values.dtype), count)
        if mask is not None:
            file.write_mask(mask)
    return str(path)


def damage(path):
    """Writes into the last tile of a compressed GeoTIFF what nothing is compressed to; its path."""
    with rasterio.open(path) as file:
        rows, columns = (-(-side // block) for side, block in zip(file.shape, file.block_shapes[0], strict=True))
        start = int(file.get_tag_item(f"BLOCK_OFFSET_{columns - 1}_{rows - 1}", "TIFF", bidx=1))
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 32)
    return str(path)


def data_of(scenes, sensors=SENSORS, **more):
    return Data.model_validate({"name": "marsh", "sensors": sensors, "classes": CLASSES, "scenes": scenes} | more)


def scene(folder, side=32, seed=0, split="train", **changes):
    """A scene of the config whose rasters are written into a folder."""
    rng = np.random.default_rng(seed)
    made = {
        "thermal": (raster(folder / "thermal.tif", rng.integers(1, 1000, (2, side, side), dtype="uint16")),),
        "lidar": (raster(folder / "lidar.tif", rng.normal(size=(1, side, side)).astype("float32")),),
    }
    labels = raster(folder / "labels.tif", rng.integers(0, 3, (1, side, side), dtype="uint8"))
    return {"split": split, "sensors": made, "labels": labels} | changes


def store(tiles: Path, name, sensors, labels=None, chips=None, valid=None, crs=UTM, transform=PLACE):
    """Writes a tile store of sensors {name: [C, h, w]}, valid wherever nothing else is said; its path."""
    height, width = next(iter(sensors.values())).shape[1:]
    header = Header(
        scene=name,
        grid=Grid(crs, transform, height, width),
        sensors={sensor: (len(bands), bands.dtype.name) for sensor, bands in sensors.items()},
        reference=next(iter(sensors)),
        classes=tuple(CLASSES),
        shifts={},
        chips=chips or {"": Window(0, 0, height, width)},
        labelled=labels is not None,
    )
    path = store_path(tiles, name)
    with new_store(path, header) as writer:
        for sensor, bands in sensors.items():
            there = (valid or {}).get(sensor, np.ones((height, width), bool))
            for window in writer.shards(writer.arrays[sensor]):
                writer.write(sensor, window, bands[:, *window.slices], there[window.slices])
        if labels is not None:
            for window in writer.shards(writer.label):
                writer.write_labels(window, labels[window.slices])
    return path
