"""Looks at every raster of a scene before anything is computed, and says in one line each what is wrong."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio import DatasetReader
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from dis2.config.data import IGNORE, Data, Sensor, on_network
from dis2.config.grid import GridSettings
from dis2.errors import UserError, first_of, printable
from dis2.files import on_disk, write_json
from dis2.progress import track
from dis2.raster.grid import Grid, Window, blocks, metres_of
from dis2.raster.scaling import scale_of
from dis2.raster.scene import open_scene_labels, reference_sensor, scene_grid
from dis2.raster.warp import CACHE, bands_of, grid_of, laid, measured, nodata_of, open_raster

SIDE = 1024
"""Labels are read in windows of this side."""
BYTES = 32 * 2**20
"""Rasters are read in windows of about this size, so that memory grows neither with them nor with their bands."""
LOWEST, HIGHEST = -9_990.0, 9_000.0
"""Metres: only trenches are deeper, and nothing is higher; -9999 is nodata."""
STEEP = 500.0
"""Metres: by no more than this and the way across a raster do its heights differ."""
LARGEST = 1e30
"""Nothing that is measured is larger: such values are nodata that nobody has declared."""
UNTOLD = (-9999.0, -32768.0, -32767.0, 65535.0)
"""Extremes that are seldom measurements."""
LISTED = 4
"""So many bands can be listed in a line."""


def check(data: Data, settings: GridSettings, scene: str, out: Path, skip: bool = False) -> None:
    """Checks all rasters and labels of a scene and writes what was seen; all faults of rasters are told at once.

    They are an error, or (`skip`) written down too, for those who can do without the scene.
    """
    seen: dict[str, Any] = {}
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        found = [*_raster_faults(data, settings, scene, seen)] or _scene_faults(data, settings, scene)
    told = first_of(found, "faults")
    if told and not skip:
        told += [f"the data: {source}" for source in _sources(data, scene)]
        raise UserError(*(f"scene {scene}: {fault}" for fault in told))
    sys.stderr.write("".join(f"dis2 check: scene {scene}: {printable(fault)} (the scene is skipped)\n" for fault in told))
    write_json(out, {"scene": scene, "faults": found, "rasters": seen})


def _sources(data: Data, scene: str) -> list[str]:
    """Where the data can be had, if a file of the scene is not there."""
    files = [file for file in data.scenes[scene].files if not on_network(file)]
    return [data.source] if data.source and not all(Path(on_disk(file)).exists() for file in files) else []


def _raster_faults(data: Data, settings: GridSettings, scene: str, seen: dict[str, Any]) -> Iterator[str]:
    """What is wrong with sensors and labels by themselves."""
    chips = data.scenes[scene].footprints.values()
    rasters = [(sensor, files) for chip in chips for sensor, files in chip.sensors.items()]
    for sensor, files in track(rasters, f"check {scene}", unit="raster"):
        yield from _sensor_faults(data, settings, sensor, files, seen)
    for chip in chips:
        if chip.labels and not chip.labels.attribute:
            yield from _label_faults(chip.labels.file, settings)


def _sensor_faults(data: Data, settings: GridSettings, sensor: str, files: tuple[str, ...], seen: dict[str, Any]) -> list[str]:
    faults: list[str] = []
    spec, listed = data.sensors[sensor], " + ".join(files)
    for file in files:
        try:
            with open_raster(file) as source:
                broken = [*kind_faults(file, source)]
                if not broken:
                    seen[file] = _look(file, source, spec.nodata)
                    broken = [*_value_faults(file, sensor, source, seen[file])]
                faults += [*_georeference_faults(file, source, settings), *broken]
        except UserError as error:
            faults.append(str(error))
    if faults:
        return faults
    each = [seen[file]["bands"] for file in files]
    bands = sum(each)
    alpha = _alpha_told(files)
    if not spec.take and bands != spec.bands:
        expected = f"data.sensors.{sensor}.bands: {spec.bands} expected"
        faults.append(f"{expected}, {listed} has {bands}. Give bands: {bands},{_firsts(spec, each)} or the right files{alpha}")
    if spec.take and max(spec.take) > bands:
        faults.append(f"data.sensors.{sensor}.take: band {max(spec.take)} of {bands} in {listed}; the first is 1{alpha}")
    faults += _height_faults(sensor, spec, files, seen)
    if not any(sum(seen[file]["valid"]) for file in files):
        faults.append(f"{listed}: no valid pixel, all is nodata; remove {sensor} from the scene, or check nodata")
    return faults


def _alpha_told(files: tuple[str, ...]) -> str:
    """What is to be known where a band is marked as alpha, which an infrared one may be by mistake."""
    for file in files:
        with open_raster(file) as source:
            if alpha := set(source.indexes) - set(bands_of(source)):
                remedy = f"if it was measured, `gdal_edit.py -colorinterp_{min(alpha)} undefined {file}`"
                return f"; a band marked as alpha is none, it tells where there are measurements ({remedy})"
    return ""


def _firsts(spec: Sensor, bands: list[int]) -> str:
    """What to take of files of which each has more bands than are meant, where that can be guessed."""
    each, rest = divmod(spec.bands, len(bands))
    if rest or each > min(bands) or spec.bands > LISTED:
        return ""
    starts = accumulate(bands[:-1], initial=0)
    take = [start + band for start in starts for band in range(1, each + 1)]
    return f" take: {take} if the others tell nothing more (alpha that is not marked so, grey as three colours),"


def in_metres(low: float, high: float, across: float) -> bool:
    """Whether some place on Earth has such heights within so many metres."""
    return low >= LOWEST and high <= HIGHEST and high - low <= across + STEEP


def across(bounds: tuple[float, float, float, float] | None, crs: CRS | None) -> float:
    """Metres from corner to corner; infinite where they are not known."""
    if bounds is None or crs is None:
        return math.inf
    left, bottom, right, top = bounds
    return math.hypot(right - left, top - bottom) * metres_of(crs)


def _height_faults(sensor: str, spec: Sensor, files: tuple[str, ...], seen: dict[str, Any]) -> Iterator[str]:
    """Heights that no place on Earth has in metres; those in a unit that the config tells are believed."""
    if spec.kind != "surface" or spec.scaling.unit not in (None, "m"):
        return
    for file in files:
        with open_raster(file) as source:
            scale, own = scale_of(source, bands_of(source), spec.scaling.without("clip")), source.nodata
            size = STEEP if source.crs is None and spec.ground else across(source.bounds, source.crs)  # buildings are of a town
        raw = np.array(seen[file]["range"], np.float64)
        low, high = sorted(scale(raw[None, None, :].repeat(seen[file]["bands"], 0))[0, 0]) if scale else raw
        if not in_metres(low, high, size):
            over = f" over {size:.0f} metres" if in_metres(low, high, math.inf) and not math.isinf(size) else ""
            told = f"heights from {low:g} to {high:g}{over} are not in metres, or nodata that is not declared"
            untold = next((value for value in UNTOLD if value in raw), None)
            yield f"{file}: {told}; {_remedy(sensor, untold, own)}"


def _remedy(sensor: str, untold: float | None, nodata: float | None) -> str:
    """What makes right heights that cannot be right."""
    if untold is None:
        return f"tell their unit by data.sensors.{sensor}.scaling, such as {{factor: 0.01, unit: m}} if they are centimetres"
    return f"set data.sensors.{sensor}.nodata: {untold:g}" if nodata is None else f"replace {untold:g} by the file's nodata"


def _label_faults(file: str, settings: GridSettings) -> list[str]:
    try:
        with open_raster(file) as source:
            return [*_georeference_faults(file, source, settings), *_type_faults(file, source)]
    except UserError as error:
        return [str(error)]


def _georeference_faults(file: str, source: DatasetReader, settings: GridSettings) -> Iterator[str]:
    if settings.pixels:
        return
    if source.crs is None:
        yield f"{file}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid"
    elif source.transform == Affine.identity() or not source.transform.determinant or not math.isfinite(sum(source.transform)):
        yield f"{file}: has a CRS, but no place (geotransform {source.transform.to_gdal()}); georeference it"


def kind_faults(file: str, source: DatasetReader) -> Iterator[str]:
    """Why its numbers are no measurements."""
    yield from _type_faults(file, source)
    yield from _palette_faults(file, source)


def _type_faults(file: str, source: DatasetReader) -> Iterator[str]:
    bands = bands_of(source)
    types = sorted({source.dtypes[i - 1] for i in bands})
    if any(name.startswith("complex") for name in types):
        yield f"{file}: complex values; give their amplitude, or decibels"
    for what, told in (("types", types), ("nodata values", sorted({str(source.nodatavals[i - 1]) for i in bands}))):
        if len(told) > 1:
            yield f"{file}: its bands have different {what} ({', '.join(told)}); split it into a file for each, and list these"


def _palette_faults(file: str, source: DatasetReader) -> Iterator[str]:
    if ColorInterp.palette in source.colorinterp:
        yield (
            f"{file}: its values are numbers of colours in a palette; give the colours as bands "
            "(`gdal_translate -expand rgb`), or remove the palette if the values are measurements"
        )


def _value_faults(file: str, sensor: str, source: DatasetReader, seen: dict[str, Any]) -> Iterator[str]:
    if seen["infinite"]:
        yield f"{file}: {seen['infinite']} infinite values; replace them by nodata"
    if seen["undeclared_nan"]:
        yield (
            f"{file}: {seen['undeclared_nan']} values are NaN and NaN is not declared as nodata; "
            f"if they mean no measurement, set data.sensors.{sensor}.nodata: .nan"
        )
    extreme = max(seen["range"], key=abs)
    if abs(extreme) > LARGEST:
        known = source.nodata is not None
        remedy = "replace them by the file's nodata" if known else f"set data.sensors.{sensor}.nodata: {extreme!r}"
        yield f"{file}: values such as {extreme!r} measure nothing, and are not declared as nodata; {remedy}"


def _look(file: str, source: DatasetReader, nodata: float | None) -> dict[str, Any]:
    """Reads a raster once, whole, in windows."""
    bands = len(bands_of(source))
    own = nodata_of(source, nodata)
    valid, infinite, nan, low, high = np.zeros(bands, int), 0, 0, math.inf, -math.inf
    opened = laid(source)
    for window in _windows(source):
        values, told = measured(file, opened, window, own)
        finite = told & np.isfinite(values)
        valid += finite.sum((1, 2))
        strange = values[told & ~finite]
        infinite, nan = infinite + int(np.isinf(strange).sum()), nan + int(np.isnan(strange).sum())
        if finite.any():
            low, high = min(low, float(values[finite].min())), max(high, float(values[finite].max()))
    return {
        "bands": bands,
        "crs": source.crs.to_string() if source.crs else None,
        "size": [source.height, source.width],
        "dtype": source.dtypes[0],
        "valid": valid.tolist(),
        "range": [low, high] if low <= high else [0.0, 0.0],
        "infinite": infinite,
        "undeclared_nan": 0 if nodata is not None and np.isnan(nodata) else nan,
    }


def _windows(source: DatasetReader) -> Iterator[Window]:
    """Windows of whole strips or tiles where these are small enough: each is decoded once."""
    tall, wide = source.block_shapes[0]
    pixels = max(1, BYTES // (source.count * np.dtype(source.dtypes[0]).itemsize))
    width = source.width if wide >= source.width else max(wide, math.isqrt(pixels) // wide * wide)
    height = max(1, pixels // width)
    height = height // tall * tall or height
    for y in range(0, source.height, height):
        for x in range(0, source.width, width):
            yield Window(y, x, min(height, source.height - y), min(width, source.width - x))


def _scene_faults(data: Data, settings: GridSettings, scene: str) -> list[str]:
    """What is wrong between rasters that are right by themselves."""
    try:
        grid = scene_grid(data, settings, scene)
        if not settings.pixels and (faults := list(_place_faults(data, settings, scene, grid))):
            return faults
        with open_scene_labels(data, settings, scene, grid) as labels:
            known = [(labels.read(window) != IGNORE).any() for window in blocks(grid.height, grid.width, SIDE)]
    except UserError as error:
        return [str(error).removeprefix(f"scene {scene}: ")]
    files = [chip.labels.file for chip in data.scenes[scene].footprints.values() if chip.labels]
    if not files or any(known):
        return []
    more = f" (and {len(files) - 1} more)" if len(files) > 1 else ""
    return [f"{files[0]}{more}: no pixel of the scene has a class; check their place, their nodata and data.ignore"]


def _place_faults(data: Data, settings: GridSettings, scene: str, grid: Grid) -> Iterator[str]:
    """Rasters that lie apart; where all of them do, the one that gives the grid is to blame."""
    it = data.scenes[scene]
    anchor = it.sensors[reference_sensor(data, settings, scene)][0]
    labels = [it.labels.file] if it.labels and not it.labels.attribute else []
    others = [file for file in (*(file for files in it.sensors.values() for file in files), *labels) if file != anchor]
    apart = [file for file in others if not grid.overlaps(grid_of(file))]
    if len(apart) == len(others) > 1:
        yield f"{_placed(anchor)}: overlaps no other raster of the scene; check its CRS and its place"
        return
    for file in apart:
        yield f"{_placed(file)}: does not overlap the scene's grid, that of {_placed(anchor)}; check the CRS and place of both"


def _placed(file: str) -> str:
    """A file with its CRS: the name of one that has no code."""
    crs = grid_of(file).crs
    text = crs.to_string() if crs else "no CRS"
    return f"{file} ({next(iter(text.split(chr(34))[1:]), text)})"
