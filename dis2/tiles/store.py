"""The tile store: one Zarr group per scene, written whole and read in windows. Only this module knows zarr."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from zarr.codecs import BloscCodec, Crc32cCodec

from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.files import read_json, unwritable, write_json
from dis2.raster.grid import Grid, Shift, Window, blocks

FORMAT = 1
CHUNK = 256
CHUNK_BANDS = 32
SHARD_SIDES = (256, 512, 1024, 2048)
SHARD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Header:
    """What a store says about itself besides its pixels."""

    scene: str
    grid: Grid
    sensors: dict[str, tuple[int, str]]
    """Bands and dtype of each sensor that the scene has."""
    reference: str
    classes: tuple[str, ...]
    shifts: dict[str, Shift]
    chips: dict[str, Window]
    """Where each chip lies; a georeferenced scene is one chip without a name."""
    labelled: bool


class Writer:
    """A store that is being written: one call writes one shard of an array."""

    def __init__(self, group: zarr.Group, header: Header):
        self.group, self.header = group, header
        self.arrays, self.valid = {}, {}
        for sensor, (bands, dtype) in header.sensors.items():
            side = shard_side(header.grid, bands, np.dtype(dtype).itemsize)
            self.arrays[sensor] = _create(group, sensor, bands, dtype, header.grid, side)
            self.valid[sensor] = _create(group, f"valid/{sensor}", 0, "bool", header.grid, side)
        side = shard_side(header.grid, 1, 1)
        self.label = _create(group, "labels", 0, "uint8", header.grid, side, IGNORE) if header.labelled else None

    def shards(self, array: zarr.Array) -> list[Window]:
        """The windows that one task writes, so that writers never meet."""
        return list(blocks(self.header.grid.height, self.header.grid.width, (array.shards or array.chunks)[-1]))

    def write(self, sensor: str, window: Window, bands: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        self.arrays[sensor][:, *window.slices] = np.where(valid, bands, np.zeros((), bands.dtype))
        self.valid[sensor][window.slices] = valid

    def write_labels(self, window: Window, labels: NDArray[np.uint8]) -> None:
        assert self.label is not None
        self.label[window.slices] = labels


@contextmanager
def new_store(path: Path, header: Header) -> Iterator[Writer]:
    """A store that takes its name only when it is whole; its manifest is written last, and no store counts without one."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(part, zarr_format=3, attributes={"dis2": _described(header)})
        for part_of in (group, group.create_group("valid")):
            _georeference(part_of, header.grid)
        yield Writer(group, header)
        manifest_of(path).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
        write_json(manifest_of(path), {"store": path.name, "format": FORMAT, "files": digests(path)})
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def manifest_of(path: Path) -> Path:
    """The manifest beside a store."""
    return path.with_name(f"{path.stem}.manifest.json")


def digests(path: Path) -> dict[str, str]:
    """The digest of every file of a store; hidden ones (a workflow's timestamp) are none of its."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(path).as_posix(): _digest(file) for file in files}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


class Store:
    """A whole store, open for reading."""

    def __init__(self, path: Path, group: zarr.Group):
        said: dict[str, Any] = dict(group.attrs)["dis2"]  # type: ignore[assignment]
        grid = said["grid"]
        self.path, self.group = path, group
        self.scene: str = said["scene"]
        crs = CRS.from_wkt(grid["crs"]) if grid["crs"] else None
        self.grid = Grid(crs, Affine(*grid["transform"]), grid["height"], grid["width"])
        self.reference: str = said["reference"]
        self.classes: tuple[str, ...] = tuple(said["classes"])
        self.bands: dict[str, int] = said["sensors"]
        self.chips = {name: Window(*place) for name, place in said["chips"].items()}
        self.labelled: bool = said["labelled"]
        self._arrays: dict[str, zarr.Array] = {}

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(self.bands)

    def image(self, sensor: str, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A sensor's bands [C, h, w] and validity [h, w] in a window."""
        return self._read(sensor, window), self._read(f"valid/{sensor}", window)

    def valid(self, sensor: str, window: Window) -> NDArray[np.bool_]:
        """Where the sensor has measurements [h, w]."""
        return self._read(f"valid/{sensor}", window)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Class indices [h, w]."""
        if not self.labelled:
            return np.full((window.height, window.width), IGNORE, np.uint8)
        return self._read("labels", window)

    def _read(self, name: str, window: Window) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = self.group[name]  # type: ignore[assignment]
        try:
            return np.asarray(self._arrays[name][..., *window.slices])
        except Exception as error:
            told = f"{self.path}: {name} cannot be read ({error})"
            raise UserError(f"{told}; the store is damaged: delete it and run tile again") from None


def open_store(path: Path, verify: bool = True) -> Store:
    """A store whose files are those of its manifest; any other is refused, naming the file."""
    if not path.is_dir():
        raise UserError(f"{path}: no such store; run `dis2 tile`")
    if not manifest_of(path).is_file():
        raise UserError(f"{path}: not whole, for {manifest_of(path).name} is not beside it; run `dis2 tile` again")
    manifest = read_json(manifest_of(path))
    written = manifest.get("format") if isinstance(manifest, dict) else None
    if written != FORMAT:
        raise UserError(f"{path}: written in format {written}, this version reads {FORMAT}; run `dis2 tile` again")
    if verify and (wrong := _misfits(manifest["files"], digests(path))):
        raise UserError(f"{path}: {wrong[0]} does not fit the manifest; the store is damaged: delete it and run tile again")
    return Store(path, zarr.open_group(path, mode="r"))


def store_path(tiles: Path, scene: str) -> Path:
    """Where the store of a scene lies."""
    return tiles / f"{scene}.zarr"


def digest_of(path: Path) -> str:
    """A store in one word, from its manifest."""
    return hashlib.sha256(json.dumps(read_json(manifest_of(path))["files"], sort_keys=True).encode()).hexdigest()[:16]


def _misfits(told: dict[str, str], found: dict[str, str]) -> list[str]:
    return sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))


def _create(group: zarr.Group, name: str, bands: int, dtype: str, grid: Grid, side: int, fill: int = 0) -> zarr.Array:
    """An array (band, y, x), or (y, x) where bands is 0, in shards of a side."""
    depth = min(bands, CHUNK_BANDS)
    chunk = (depth,) if bands else ()
    shard = (-(-bands // depth) * depth,) if bands else ()
    small = np.dtype(dtype).itemsize == 1
    codec = BloscCodec(cname="zstd" if small else "lz4", clevel=5, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize)
    return group.create_array(
        name,
        shape=(*((bands,) if bands else ()), grid.height, grid.width),
        dtype=dtype,
        chunks=(*chunk, CHUNK, CHUNK),
        shards=(*shard, side, side),
        compressors=[codec, Crc32cCodec()],
        fill_value=fill,
        dimension_names=(*((f"{name}_band",) if bands else ()), "y", "x"),
        attributes={"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"} if grid.crs else {},
    )


def shard_side(grid: Grid, bands: int, itemsize: int) -> int:
    """The largest side of a shard that stays within its bytes and is not larger than the scene needs."""
    fitting = [side for side in SHARD_SIDES if side * side * bands * itemsize <= SHARD_BYTES] or [SHARD_SIDES[0]]
    needed = max(grid.height, grid.width)
    return next((side for side in fitting if side >= needed), fitting[-1])


def _described(header: Header) -> dict[str, Any]:
    grid = header.grid
    return {
        "format": FORMAT,
        "scene": header.scene,
        "grid": {
            "crs": grid.crs.to_wkt() if grid.crs else None,
            "transform": list(grid.transform)[:6],
            "height": grid.height,
            "width": grid.width,
        },
        "sensors": {sensor: bands for sensor, (bands, _) in header.sensors.items()},
        "reference": header.reference,
        "classes": list(header.classes),
        "shifts": {sensor: asdict(shift) for sensor, shift in header.shifts.items()},
        "chips": {name: list(place) for name, place in header.chips.items()},
        "labelled": header.labelled,
    }


def _georeference(group: zarr.Group, grid: Grid) -> None:
    """Coordinates of pixel centres and the CRS by the CF conventions, so that xarray and rioxarray place the arrays."""
    if grid.crs is None:
        return
    transform = grid.transform
    if transform.b == transform.d == 0:
        xs = transform.c + transform.a * (np.arange(grid.width) + 0.5)
        ys = transform.f + transform.e * (np.arange(grid.height) + 0.5)
        for name, values in (("x", xs), ("y", ys)):
            attributes: dict[str, Any] = {"axis": name.upper(), "standard_name": f"projection_{name}_coordinate"}
            array = group.create_array(name, shape=values.shape, dtype="float64", dimension_names=(name,), attributes=attributes)
            array[:] = values
    geotransform = " ".join(str(v) for v in transform.to_gdal())
    attributes = {"crs_wkt": grid.crs.to_wkt(), "spatial_ref": grid.crs.to_wkt(), "GeoTransform": geotransform}
    group.create_array("spatial_ref", shape=(), dtype="int64", attributes=attributes)
