"""Looks at every raster of a scene before anything is computed, and says in one line each what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dis2.config.data import IGNORE, Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.files import write_json
from dis2.progress import track
from dis2.raster.grid import Grid, blocks
from dis2.raster.scene import open_scene_labels, scene_grid
from dis2.raster.warp import bands_of, grid_of, measured, nodata_of, open_raster

SIDE = 1024
"""Rasters are read in windows of this side, so that memory does not grow with them."""


def check(data: Data, settings: GridSettings, scene: str, out: Path) -> None:
    """Checks all rasters and labels of a scene and writes what was seen; all faults of rasters are told at once."""
    found: list[str] = []
    seen: dict[str, Any] = {}
    chips = data.scenes[scene].footprints.values()
    rasters = [(sensor, files) for chip in chips for sensor, files in chip.sensors.items()]
    for sensor, files in track(rasters, f"check {scene}", unit="raster"):
        found += _sensor_faults(data, settings, sensor, files, seen)
    found += [] if found else _scene_faults(data, settings, scene)
    if found:
        raise UserError("\n".join(f"scene {scene}: {fault}" for fault in found))
    write_json(out, {"scene": scene, "rasters": seen})


def _sensor_faults(data: Data, settings: GridSettings, sensor: str, files: tuple[str, ...], seen: dict[str, Any]) -> list[str]:
    faults: list[str] = []
    for file in files:
        try:
            seen[file] = _look(file, data.sensors[sensor].nodata)
            faults += _value_faults(file, sensor, seen[file], settings)
        except UserError as error:
            faults.append(str(error))
    if faults:
        return faults
    wanted, bands, listed = data.sensors[sensor].bands, sum(seen[file]["bands"] for file in files), " + ".join(files)
    if bands != wanted:
        faults.append(f"sensors.{sensor}.bands: {wanted} expected, {listed} has {bands}. Give bands: {bands}, or the right files")
    if not any(sum(seen[file]["valid"]) for file in files):
        faults.append(f"{listed}: no valid pixel, all is nodata; remove {sensor} from the scene, or check nodata")
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
        bands = len(bands_of(source))
        own = nodata_of(source, nodata)
        valid, infinite, nan = np.zeros(bands, int), 0, 0
        for window in blocks(source.height, source.width, SIDE):
            values, told = measured(file, source, window, own)
            if values.dtype.kind == "c":
                raise UserError(f"{file}: complex values; give their amplitude, or decibels")
            valid += (told & np.isfinite(values)).sum((1, 2))
            infinite += int((told & np.isinf(values)).sum())
            nan += int((told & np.isnan(values)).sum())
        return {
            "bands": bands,
            "crs": source.crs.to_string() if source.crs else None,
            "size": [source.height, source.width],
            "dtype": source.dtypes[0],
            "valid": valid.tolist(),
            "infinite": infinite,
            "undeclared_nan": 0 if nodata is not None and np.isnan(nodata) else nan,
        }


def _scene_faults(data: Data, settings: GridSettings, scene: str) -> list[str]:
    """What is wrong between rasters that are right by themselves."""
    try:
        grid = scene_grid(data, settings, scene)
        faults = [] if settings.pixels else _places_faults(data, scene, grid)
        with open_scene_labels(data, settings, scene, grid) as labels:
            known = [(labels.read(window) != IGNORE).any() for window in blocks(grid.height, grid.width, SIDE)]
    except UserError as error:
        return [str(error)]
    files = [chip.labels.file for chip in data.scenes[scene].footprints.values() if chip.labels]
    if files and not any(known):
        more = f" (and {len(files) - 1} more)" if len(files) > 1 else ""
        faults.append(f"{files[0]}{more}: no pixel of the scene has a class; check their place, their nodata and data.ignore")
    return faults


def _places_faults(data: Data, scene: str, grid: Grid) -> list[str]:
    files = [(sensor, file) for sensor, files in data.scenes[scene].sensors.items() for file in files]
    told = "does not overlap the scene's grid; check the CRS of the file and sensors"
    return [f"{file}: {told}.{sensor}" for sensor, file in files if not grid.overlaps(grid_of(file))]
