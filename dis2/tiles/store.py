"""The tile store: one Zarr group per scene, written whole and read in windows. Only this module knows zarr."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from dis2.config.data import IGNORE, Data
from dis2.errors import UserError
from dis2.files import unwritable
from dis2.raster.grid import Grid, Shift, Window
from dis2.tiles.manifest import FORMAT, MEND, files_of, fit, seal
from dis2.tiles.shards import CODEC, LEVEL, Damaged, Layout, Shards, write_shard

if TYPE_CHECKING:
    import zarr  # it is imported where it is needed: a process that only writes shards starts without it

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
    units: dict[str, str] = field(default_factory=dict)
    """Of the sensors whose values have one."""
    cut: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What of the config it was cut by."""


class Writer:
    """A store that is being written, by this process or (pickled) by several: one call writes whole shards of an array."""

    def __init__(self, path: Path, header: Header):
        self.path, self.header = path, header
        self.arrays, self.valid = {}, {}
        for sensor, (bands, dtype) in header.sensors.items():
            side = shard_side(header.grid, bands, np.dtype(dtype).itemsize)
            self.arrays[sensor] = layout_of(sensor, bands, dtype, header.grid, side)
            self.valid[sensor] = layout_of(f"valid/{sensor}", 0, "bool", header.grid, side)
        side = shard_side(header.grid, 1, 1)
        self.label = layout_of("labels", 0, "uint8", header.grid, side, IGNORE) if header.labelled else None

    def shards(self, layout: Layout) -> list[Window]:
        """The windows that one task writes, so that writers never meet."""
        return list(layout.places())

    def write(self, sensor: str, window: Window, bands: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """A sensor's bands [C, h, w] and validity [h, w] in a shard."""
        write_shard(self.path, self.arrays[sensor], window, bands, valid)
        write_shard(self.path, self.valid[sensor], window, valid)

    def write_labels(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """Class indices [h, w] in a shard."""
        assert self.label is not None
        write_shard(self.path, self.label, window, labels)


@contextmanager
def new_store(path: Path, header: Header) -> Iterator[Writer]:
    """A store that takes its name only when it is whole; its manifest is written last, and no store counts without one."""
    aside = path.with_name(f".{path.name}.part")
    part = aside / uuid4().hex  # a writer that outlives its run, on a cluster, does not meet those of the next run
    shutil.rmtree(aside, ignore_errors=True)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        writer = Writer(part, header)
        _describe(writer)
        yield writer
        seal(part, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class Store:
    """A whole store, open for reading, in this process or, when it is pickled, in another."""

    def __init__(self, path: Path):
        import zarr

        self._files = files_of(path)
        self.path, self.group = path, zarr.open_group(path, mode="r")
        said: dict[str, Any] = dict(self.group.attrs)["dis2"]  # type: ignore[assignment]
        grid = said["grid"]
        self.scene: str = said["scene"]
        crs = CRS.from_wkt(grid["crs"]) if grid["crs"] else None
        self.grid = Grid(crs, Affine(*grid["transform"]), grid["height"], grid["width"])
        self.reference: str = said["reference"]
        self.classes: tuple[str, ...] = tuple(said["classes"])
        self.bands: dict[str, int] = said["sensors"]
        self.chips = {name: Window(*place) for name, place in said["chips"].items()}
        self.labelled: bool = said["labelled"]
        self.cut: dict[str, dict[str, Any]] = said.get("cut", {})
        self._arrays: dict[str, Shards] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(self.bands)

    def unit(self, sensor: str) -> str | None:
        """The unit of a sensor's values, as far as the config or its files tell."""
        return cast("str | None", self.group[sensor].attrs.get("units"))

    def dtype(self, sensor: str) -> np.dtype:
        """The type of a sensor's values."""
        return self._array(sensor).layout.dtype

    def image(self, sensor: str, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A sensor's bands [C, h, w] and validity [h, w] in a window."""
        return self._read(sensor, window), self.valid(sensor, window)

    def valid(self, sensor: str, window: Window) -> NDArray[np.bool_]:
        """Where the sensor has measurements [h, w]."""
        return self._read(f"valid/{sensor}", window)

    def labels(self, window: Window) -> NDArray[np.uint8]:
        """Class indices [h, w]."""
        if not self.labelled:
            return np.full((window.height, window.width), IGNORE, np.uint8)
        return self._read("labels", window)

    def _array(self, name: str) -> Shards:
        if name not in self._arrays:
            it: zarr.Array = self.group[name]  # type: ignore[assignment]
            layout = Layout(name, it.shape, it.dtype, it.fill_value, it.chunks, it.shards or it.chunks)
            self._arrays[name] = Shards(self.path, layout, self._files)
        return self._arrays[name]

    def _read(self, name: str, window: Window) -> NDArray[Any]:
        if min(window.y, window.x, self.grid.height - window.y - window.height, self.grid.width - window.x - window.width) < 0:
            raise ValueError(f"{window} reaches beyond the {self.grid.height} x {self.grid.width} pixels of {self.path}")
        try:
            return self._array(name).read(window)
        except Damaged as error:
            raise UserError(f"{self.path}: {error}; {MEND}") from None


def check_cut(store: Store, data: Data) -> None:
    """Refuses a store whose pixels would be others by this config: of the sensors that both have, and of labels."""
    for sensor, bands in store.bands.items():
        if (spec := data.sensors.get(sensor)) and bands != spec.bands:
            raise UserError(f"{store.path}: {sensor} has {bands} bands, the config says {spec.bands}; run tile again")
    if store.classes != tuple(data.classes):
        classes, wanted = ", ".join(store.classes), ", ".join(data.classes)
        raise UserError(f"{store.path}: classes {classes} are not the config's {wanted}; run tile again")
    now = data.cut
    for section, was in ((section, was) for section, was in store.cut.items() if section in now):
        for key in sorted(was.keys() | now[section].keys()):
            if was.get(key) != now[section].get(key):
                told, wanted = (json.dumps(it[key]) if key in it else "nothing" for it in (was, now[section]))
                raise UserError(f"{store.path}: cut with {section}.{key}: {told}, the config says {wanted}; run tile again")


def open_store(path: Path) -> Store:
    """A store whose files are those of its manifest; any other is refused, naming the file."""
    fit(path)
    return Store(path)


def store_path(tiles: Path, scene: str) -> Path:
    """Where the store of a scene lies."""
    return tiles / f"{scene}.zarr"


def layout_of(name: str, bands: int, dtype: str, grid: Grid, side: int, fill: int = 0) -> Layout:
    """An array (band, y, x), or (y, x) where bands is 0, in shards of a side."""
    depth = min(bands, CHUNK_BANDS)
    return Layout(
        name,
        shape=(*((bands,) if bands else ()), grid.height, grid.width),
        dtype=np.dtype(dtype),
        fill=fill,
        chunks=(*((depth,) if bands else ()), CHUNK, CHUNK),
        shards=(*((-(-bands // depth) * depth,) if bands else ()), side, side),
    )


def shard_side(grid: Grid, bands: int, itemsize: int) -> int:
    """The largest side of a shard that stays within its bytes and is not larger than the scene needs."""
    fitting = [side for side in SHARD_SIDES if side * side * bands * itemsize <= SHARD_BYTES] or [SHARD_SIDES[0]]
    needed = max(grid.height, grid.width)
    return next((side for side in fitting if side >= needed), fitting[-1])


def _describe(writer: Writer) -> None:
    """All of a store but its shards: what Zarr, CF and dis2 itself say about it."""
    import zarr

    header = writer.header
    group = zarr.create_group(writer.path, zarr_format=3, attributes={"dis2": _described(header)})
    for part in (group, group.create_group("valid")):
        _georeference(part, header.grid)
    for sensor, layout in writer.arrays.items():
        _create(group, layout, header.grid, header.units.get(sensor))
    for layout in (*writer.valid.values(), *([writer.label] if writer.label else [])):
        _create(group, layout, header.grid)


def _create(group: zarr.Group, layout: Layout, grid: Grid, unit: str | None = None) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec

    shuffle, size = layout.shuffle
    codec = BloscCodec(cname=CODEC, clevel=LEVEL, shuffle=shuffle, typesize=size)  # type: ignore[arg-type]
    place = {"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"} if grid.crs else {}
    told: dict[str, Any] = {**place, **({"units": unit} if unit else {})}
    group.create_array(
        layout.name,
        shape=layout.shape,
        dtype=layout.dtype,
        chunks=layout.chunks,
        shards=layout.shards,
        compressors=[codec, Crc32cCodec()],
        fill_value=layout.fill,
        dimension_names=(*((f"{layout.name}_band",) if len(layout.shape) == 3 else ()), "y", "x"),
        attributes=told,
    )


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
        "cut": header.cut,
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
