"""The statistics stage: what a network needs to know of the training pixels, in one pass that fits any memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from dis2.cluster import connected
from dis2.config.data import IGNORE, Data
from dis2.errors import UserError
from dis2.files import read_json, write_json
from dis2.raster.grid import Window
from dis2.raster.moments import Moments, moments, parts
from dis2.raster.relief import heights
from dis2.tiles.manifest import digest_of
from dis2.tiles.split import in_split, labels_used
from dis2.tiles.store import Store, check_cut, open_store, store_path

OF_SENSOR = {"mean", "std", "low", "high", "relief"}
"""What is told of a sensor."""
THREADS = 4
"""So many windows are in memory at once, however many cores there are."""


def statistics(data: Data, tiles: Path, out: Path, scheduler: str | None = None) -> None:
    """Over the training split: mean and standard deviation of every band, and the measured pixels of every class."""
    scenes = data.scenes_of("train")
    stores = {scene: open_store(store_path(tiles.absolute() if scheduler else tiles, scene)) for scene in scenes}
    for store in stores.values():
        check_cut(store, data)
    todo = [dask.delayed(_part)(data, store, window) for store in stores.values() for window in _windows(store)]
    with connected(scheduler) if scheduler else dask.config.set(scheduler="threads", num_workers=THREADS):
        found = dask.compute(*todo)
    total = {sensor: _sum(part[0][sensor] for part in found if sensor in part[0]) for sensor in data.sensors}
    counts = sum(part[1] for part in found)
    for sensor, moment in total.items():
        if moment is None or not moment.count:
            raise UserError(f"{tiles}: no valid training pixel of {sensor}; give it to a training scene, or remove the sensor")
    if not counts.any():
        raise UserError(f"{tiles}: no labelled training pixel that a sensor measured; check labels, nodata and data.split")
    write_json(out, _written(data, total, counts, stores))


def _windows(store: Store) -> Iterator[Window]:
    """The windows in which a store is read."""
    deepest = max(bands * store.dtype(sensor).itemsize for sensor, bands in store.bands.items())
    return parts(store.grid.height, store.grid.width, deepest)


def _part(data: Data, store: Store, window: Window) -> tuple[dict[str, Moments], NDArray[np.int64]]:
    here = in_split(data, store.scene, "train", window, store.grid.height, store.grid.width)
    found, measured = {}, np.zeros_like(here)
    for sensor in data.in_order(store.sensors):
        bands, valid = store.image(sensor, window)
        found[sensor] = moments(heights(bands, valid & here, data.sensors[sensor].relief), valid & here)
        measured |= valid
    used = labels_used(data, store.scene, "train", window, store.grid.height, store.grid.width)
    labels = store.labels(window)[used & measured]
    return found, np.bincount(labels[labels != IGNORE], minlength=len(data.classes))


def _sum(found: Iterable[Moments]) -> Moments | None:
    total = None
    for part in found:
        total = part if total is None else total + part
    return total


def _written(
    data: Data, total: Mapping[str, Moments | None], counts: NDArray[np.int64], stores: Mapping[str, Store]
) -> dict[str, Any]:
    grid = next(iter(stores.values())).grid
    return {
        "sensors": {
            sensor: {
                "pixels": int(moment.count),
                "mean": moment.mean.tolist(),
                "std": np.where(moment.std > 0, moment.std, 1.0).tolist(),
                "low": moment.low.tolist(),
                "high": moment.high.tolist(),
                "relief": list(data.sensors[sensor].relief),
            }
            for sensor, moment in total.items()
            if moment is not None
        },
        "classes": {name: int(count) for name, count in zip(data.classes, counts, strict=True)},
        "resolution": grid.resolution if grid.crs else None,
        "split": data.split.model_dump(mode="json"),
        "stores": {scene: digest_of(store.path) for scene, store in stores.items()},
    }


def read_statistics(path: Path) -> dict[str, Any]:
    """The result of this stage, or the one line that says that a file is none."""
    told = read_json(path)
    sensors = told.get("sensors") if isinstance(told, dict) else None
    if not isinstance(sensors, dict) or not all(isinstance(it, dict) and it.keys() >= OF_SENSOR for it in sensors.values()):
        raise UserError(f"{path}: no statistics of training pixels; give the file that `dis2 statistics` wrote")
    if lacking := [key for key in ("classes", "split", "resolution") if key not in told]:
        raise UserError(f"{path}: {lacking[0]}: missing; run `dis2 statistics` again")
    return told
