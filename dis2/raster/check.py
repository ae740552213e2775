"""Looks at every raster of a scene before anything is computed, and says in one line each what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.files import write_json
from dis2.progress import track
from dis2.raster.grid import Window, windows
from dis2.raster.scene import open_scene_labels, scene_grid
from dis2.raster.warp import grid_of, open_raster

STRIPE = 1024
"""Rasters are read in windows of this side, so that memory does not grow with them."""


def check(data: Data, settings: GridSettings, scene: str, out: Path) -> None:
    """Checks all rasters and labels of a scene and writes what was seen; all faults are told at once."""
    found: list[str] = []
    seen: dict[str, Any] = {}
    chips = data.scenes[scene].footprints.values()
    rasters = [(sensor, files) for chip in chips for sensor, files in chip.sensors.items()]
    for sensor, files in track(rasters, f"check {scene}", unit="raster"):
        for finding in (_sensor_faults(data, settings, sensor, files, seen),):
            found += finding
    found += [] if found else _scene_faults(data, settings, scene)
    if found:
        raise UserError("\n".join(f"scene {scene}: {fault}" for fault in found))
    write_json(out, {"scene": scene, "rasters": seen})


def _sensor_faults(data: Data, settings: GridSettings, sensor: str, files: tuple[str, ...], seen: dict[str, Any]) -> list[str]:
    faults, bands, empty = [], 0, []
    for file in files:
        try:
            seen[file] = _look(file, data.sensors[sensor].nodata)
        except UserError as error:
            faults.append(str(error))
            continue
        bands += seen[file]["bands"]
        faults += _value_faults(file, sensor, seen[file], settings)
        empty.append(not any(seen[file]["valid"]))
    if not faults and bands != data.sensors[sensor].bands:
        listed = " + ".join(files)
        faults.append(f"sensors.{sensor}.bands: {data.sensors[sensor].bands} expected, {listed} has {bands}. Give bands: {bands}, or the right files")
    if not faults and all(empty):
        faults.append(f"{' + '.join(files)}: no valid pixel, all is nodata; remove {sensor} from the scene, or check nodata")
    return faults


def _value_faults(file: str, sensor: str, seen: dict[str, Any], settings: GridSettings) -> Iterator[str]:
    if seen["crs"] is None and not settings.pixels:
        yield f"{file}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid"
    if seen["infinite"]:
        yield f"{file}: {seen['infinite']} infinite values; replace them by nodata"
    if seen["undeclared_nan"]:
        yield (
            f"{file}: {seen['undeclared_nan']} values are NaN and NaN is not declared as nodata; "
            f"if they mean no measurement, set sensors.{sensor}.nodata: .nan"
        )


def _look(file: str, nodata: float | None) -> dict[str, Any]:
    """Reads a raster once, whole, in windows."""
    with open_raster(file) as source:
        bands = [i for i in source.indexes if source.colorinterp[i - 1] is not ColorInterp.alpha]
        own = source.nodata if source.nodata is not None else nodata
        count = {"valid": np.zeros(len(bands), int), "infinite": 0, "nan": 0}
        for window in windows(source.height, source.width, STRIPE):
            place = (window.slices[0].start, window.slices[0].stop), (window.slices[1].start, window.slices[1].stop)
            try:
                values = source.read(bands, window=place)
            except RasterioError as error:
                reason = " ".join(str(error.__cause__ or error).split())[:200]
                raise UserError(f"{file}: cannot be read at row {window.y} ({reason}); the file is damaged: replace it") from None
            count["valid"] += _valid(values, own).sum((1, 2))
            if values.dtype.kind == "f":
                count["infinite"] += int(np.isinf(values).sum())
                count["nan"] += int(np.isnan(values).sum())
        declared = nodata is not None and np.isnan(nodata) or own is not None and np.isnan(own)
        return {
            "bands": len(bands),
            "crs": source.crs.to_string() if source.crs else None,
            "size": [source.height, source.width],
            "dtype": source.dtypes[0],
            "valid": [int(v) for v in count["valid"]],
            "infinite": count["infinite"],
            "undeclared_nan": 0 if declared else count["nan"],
        }


def _valid(values: np.ndarray, nodata: float | None) -> np.ndarray:
    valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    return valid if nodata is None or np.isnan(nodata) else valid & (values != nodata)


def _scene_faults(data: Data, settings: GridSettings, scene: str) -> list[str]:
    """What is wrong between rasters that are right by themselves."""
    faults = []
    try:
        grid = scene_grid(data, settings, scene)
        if not settings.pixels:
            for sensor, files in data.scenes[scene].sensors.items():
                faults += [
                    f"{file}: does not overlap the scene's grid; check sensors.{sensor} and the CRS of the file"
                    for file in files
                    if not grid.overlaps(grid_of(file))
                ]
        with open_scene_labels(data, settings, scene, grid) as labels:
            for window in windows(grid.height, grid.width, STRIPE):
                labels.read(Window(*window))
    except UserError as error:
        faults.append(str(error))
    return faults


def read_check(path: Path) -> dict[str, Any]:
    """What a check has seen."""
    return json.loads(path.read_text())
