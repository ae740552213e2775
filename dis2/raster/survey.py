"""What rasters a folder holds: each is looked at once, and what is none, or cannot be used, is said."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import DatasetReader
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from dis2.errors import UserError, printable
from dis2.raster.cube import arrays_of
from dis2.raster.grid import blocks
from dis2.raster.warp import bands_of, laid, measured, nodata_of, open_raster

RASTERS = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".img", ".vrt", ".bil", ".asc", ".nc", ".mat"}
BESIDE = {".tfw", ".pgw", ".jgw", ".wld", ".prj", ".ovr", ".xml", ".hdr", ".aux"}
"""Files that belong to rasters and are read with them."""
OTHERS = dict.fromkeys((".zip", ".gz", ".tar", ".7z", ".rar"), "unpack it") | dict.fromkeys(
    (".gpkg", ".shp", ".geojson"), "labels as shapes: write labels: {file: ..., attribute: ...} in the config"
)
OTHERS[".csv"] = "a table: if it says which chips are of which scene or split, replace scenes by a data.listing with that table"
VALUES = 64
"""A raster with more different values, or colours, holds no classes."""
SIDE = 1024


@dataclass(frozen=True)
class Seen:
    """One raster."""

    path: str
    """from the folder on"""
    bands: int
    dtype: str
    crs: str | None
    resolution: float
    height: int
    width: int
    nodata: float | None
    alpha: bool
    low: float
    high: float
    valid: float
    """share of the pixels"""
    zeros: float
    """share of the valid pixels that are 0 in all bands"""
    bounds: tuple[float, float, float, float] | None = None
    """west, south, east and north in its own system"""
    degrees: tuple[float, float, float, float] | None = None
    untold: str = ""
    """infinity, or else NaN, if it stands where something is said to be measured"""
    values: Counter[int] = field(default_factory=Counter, compare=False)
    """How often each value, or colour as 0xrrggbb, occurs where there are few; else empty."""


def survey(folder: Path) -> tuple[list[Seen], dict[str, str]]:
    """The rasters of a folder and of all in it by name, and why each other file is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with rasters")
    seen: list[Seen] = []
    others: dict[str, str] = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            others[name] = "leads back to what is looked at already"
            continue
        if path.suffix.lower() in BESIDE:
            continue
        if path.suffix.lower() not in RASTERS and not _is_envi(path):
            others[name] = OTHERS.get(path.suffix.lower(), "no raster")
            continue
        for part in _parts(path, others, name):
            try:
                with rasterio.Env(GDAL_PAM_ENABLED="NO"), open_raster(f"{path}{part}") as source:
                    seen.append(_look(source, f"{path}{part}", f"{name}{part}"))
            except UserError as error:
                others[f"{name}{part}"] = str(error).removeprefix(printable(f"{path}{part}: "))
    return seen, others


def _files(folder: Path) -> list[Path]:
    """Its files and those of its folders, but for hidden ones; of links to what is entered already, or holds all, the links."""
    found, entered, folders = [], set(folder.resolve().parents), deque([folder])
    while folders:
        here = folders.popleft()
        if here.resolve() in entered:
            found.append(here)
            continue
        entered.add(here.resolve())
        for path in sorted(here.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                (folders.append if path.is_symlink() else folders.appendleft)(path)
            elif path.is_file() and not path.name.startswith("."):
                found.append(path)
    return sorted(found)


def _is_envi(path: Path) -> bool:
    """Whether a header tells what is in it."""
    return any(header.is_file() for header in (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr")))


def _parts(path: Path, others: dict[str, str], name: str) -> list[str]:
    """What a path goes on with to name a raster in it: an array, where a MATLAB file has several."""
    if path.suffix.lower() != ".mat":
        return [""]
    try:
        names = [key for key, shape in arrays_of(path).items() if min(shape[:2]) > 1]
    except UserError as error:
        others[name] = str(error).removeprefix(printable(f"{path}: "))
        return []
    if not names:
        others[name] = "no array of rows and columns"
    return [""] if len(names) == 1 else [f":{key}" for key in names]


def _look(source: DatasetReader, file: str, name: str) -> Seen:
    """Reads a raster once, in windows."""
    if any(kind.startswith("complex") for kind in source.dtypes):
        raise UserError(f"{file}: complex values; give their amplitude, or decibels")
    bands, nodata = bands_of(source), nodata_of(source)
    low, high, told, zeros = np.inf, -np.inf, 0, 0
    values: Counter[int] | None = Counter()
    untold: set[str] = set()
    opened = laid(source)
    for window in blocks(source.height, source.width, SIDE):
        pixels, valid = measured(file, opened, window, nodata)
        there = valid.any(0) & np.isfinite(pixels).all(0)
        untold |= {name for name, odd in (("NaN", np.isnan), ("infinity", np.isinf)) if odd(pixels[valid]).any()}
        told += int(there.sum())
        if not there.any():
            continue
        inside = pixels[:, there]
        low, high = min(low, float(inside.min())), max(high, float(inside.max()))
        zeros += int((inside == 0).all(0).sum())
        if values is not None:
            values = _counted(values, inside)
    transform, size = source.transform, source.height * source.width
    return Seen(
        name,
        len(bands),
        source.dtypes[0],
        source.crs.to_string() if source.crs else None,
        float(f"{abs(transform.determinant) ** 0.5:.3g}"),
        source.height,
        source.width,
        source.nodata,
        len(bands) < source.count or ColorInterp.alpha in source.colorinterp,
        low if told else 0.0,
        high if told else 0.0,
        told / size,
        zeros / max(1, told),
        tuple(source.bounds) if source.crs else None,
        _degrees(source),
        max(untold, default=""),
        values or Counter(),
    )


def _degrees(source: DatasetReader) -> tuple[float, float, float, float] | None:
    """Its bounds in degrees; None if it lies nowhere on Earth."""
    if source.crs is None or not (source.crs.is_projected or source.crs.is_geographic):
        return None
    try:
        return transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    except RasterioError:
        return None


def _counted(values: Counter[int], pixels: NDArray[Any]) -> Counter[int] | None:
    """The counts with those of pixels [C, n]; None if they are no classes."""
    if len(pixels) not in (1, 3) or (len(pixels) == 3 and pixels.dtype != np.uint8):
        return None
    if len(pixels) == 1 and (pixels != np.floor(pixels)).any():
        return None
    weights = 256 ** np.arange(len(pixels))[::-1]
    found, counts = np.unique(weights @ pixels.astype(np.int64), return_counts=True)
    if len(found) > VALUES or len(set(values) | set(found.tolist())) > VALUES:
        return None
    return values + Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))
