"""Labels on a grid: from a raster or from polygons with an attribute, as class indices."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterWindow

from dis2.config.data import IGNORE, Data, Labels, color_of
from dis2.config.packed import missing
from dis2.errors import UserError
from dis2.raster.grid import Grid, Window, blocks
from dis2.raster.sources import held, refusal
from dis2.raster.warp import Stacked, bands_of, laid, measured, nodata_of, open_raster, warped

Indices = NDArray[np.uint8]

STRIP = 1024
"""Colours are looked up in windows of this side."""
FAR, MOST = 64, 0.3
"""Packing with loss, or resampling, changes colours by more than this, but not of more pixels than this share."""


class LabelReader(Protocol):
    def read(self, window: Window) -> Indices: ...


class RasterLabels:
    """A raster of label values, brought to the grid by the nearest pixel or by the mode, as asked for or as it is fine."""

    def __init__(self, file: str, source: Stacked, data: Data, band: int):
        self.file, self.source, self.band = file, source, band - 1
        self.index = {int(v): i for i, values in enumerate(data.values.values()) for v in values if _is_number(v)}
        self.index |= {int(v): IGNORE for v in data.ignore if _is_number(v)}

    def read(self, window: Window) -> Indices:
        bands, valid = self.source.read(window)
        return self.indices(bands[self.band], valid)

    def indices(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> Indices:
        """Class indices of label values; a value that means nothing is an error."""
        found, inverse = np.unique(values, return_inverse=True)
        table = np.array([self.index.get(int(v), -1) if float(v).is_integer() else -1 for v in np.nan_to_num(found, nan=0.5)])
        indices = table[inverse].reshape(values.shape)
        if (valid & (indices < 0)).any():
            value = values[valid & (indices < 0)][0]
            known = ", ".join(str(v) for v in sorted(self.index))
            raise UserError(f"{self.file}: label value {value:g} is no class; known: {known}. Add it to a class or to ignore")
        return np.where(valid, indices, IGNORE).astype(np.uint8)


class VectorLabels:
    """Polygons burnt into the grid; where they overlap the later one wins, where there is none no class is."""

    def __init__(self, shapes: list[tuple[Any, int]], grid: Grid):
        self.shapes, self.grid = shapes, grid

    def read(self, window: Window) -> Indices:
        from rasterio.features import rasterize

        part = self.grid.part(window)
        if not self.shapes:
            return np.full((part.height, part.width), IGNORE, np.uint8)
        return rasterize(self.shapes, (part.height, part.width), fill=IGNORE, transform=part.transform, dtype="uint8")


@contextmanager
def open_labels(labels: Labels, data: Data, grid: Grid) -> Iterator[LabelReader]:
    """The labels of one footprint on its grid."""
    if labels.attribute is not None:
        yield VectorLabels(_polygons(labels, data, grid), grid)
        return
    _check_nodata(labels.file, data)
    how = (grid, labels.resampling or "nearest")
    if data.label_colors:
        with uncoloured(labels.file, data) as file, warped((file,), *how, adapted=labels.resampling is None) as source:
            yield IndexLabels(source)
        return
    with warped((labels.file,), *how, adapted=labels.resampling is None) as source:
        if labels.band is not None and labels.band > source.count:
            raise UserError(f"{labels.file}: {source.count} bands, but labels.band is {labels.band}; 1 is the first")
        if source.count != 1 and labels.band is None:
            told = f"{source.count} bands; labels have one band of class values, or three of colours"
            raise UserError(f"{labels.file}: {told}; name the band (labels.band), or the classes' colours (values: ['#ffffff'])")
        yield RasterLabels(labels.file, source, data, labels.band or 1)


def _check_nodata(file: str, data: Data) -> None:
    """Refuses labels whose nodata is what means a class: that class would be lost."""
    with open_raster(file) as source:
        nodata = nodata_of(source)
    if nodata is None or not float(nodata).is_integer():
        return

    def meant(value: int | str) -> bool:
        color = color_of(value)
        if color is not None:
            return max(abs(channel - int(nodata)) for channel in color.to_bytes(3)) <= data.tolerance
        return not data.label_colors and _is_number(value) and int(value) == nodata

    for name, values in data.values.items():
        if lost := [value for value in values if meant(value)]:
            remedy = (
                f"remove it from the file (`gdal_edit.py -unsetnodata`), or the value from data.classes.{name}.values "
                f"(the whole class: data.ignore: [{name}])"
            )
            raise UserError(f"{file}: nodata {nodata:g}, no measurement, is also what means class {name} ({lost[0]}); {remedy}")


@contextmanager
def uncoloured(file: str, data: Data) -> Iterator[str]:
    """Labels in colour as a raster in memory of class indices: colours cannot be resampled, indices can."""
    with open_raster(file) as source, MemoryFile(ext=".tif") as memory:
        if len(bands_of(source)) != 3 or source.dtypes[0] != "uint8":
            told = f"{len(bands_of(source))} bands of {source.dtypes[0]}; labels in colour have red, green and blue in uint8"
            raise UserError(f"{file}: {told}; convert it, or give the classes values instead of colours")
        form = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": IGNORE, "compress": "lzw", "tiled": True}
        size = {"height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform}
        colors = Colors(file, data)
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), memory.open(**form, **size) as out:
            opened, nodata = laid(source), nodata_of(source)
            for window in blocks(source.height, source.width, STRIP):
                bands, valid = measured(file, opened, window, nodata)
                indices = colors.indices(bands, np.any(valid, axis=0), window)
                out.write(indices, 1, window=RasterWindow(window.x, window.y, window.width, window.height))
            colors.check()
        with held(memory.name) as name:
            yield name


class Colors:
    """Which class a colour means: exactly, or as near as the config allows."""

    def __init__(self, file: str, data: Data):
        self.file, self.tolerance = file, data.tolerance
        self.seen = self.far = 0
        known = dict(sorted(data.label_colors.items()))
        self.known, self.classes = np.array(list(known), np.int64), np.array(list(known.values()), np.int64)

    def indices(self, bands: NDArray[Any], valid: NDArray[np.bool_], window: Window) -> Indices:
        """Class indices of bands [3, h, w] where they are valid [h, w]; there a colour that means nothing is an error."""
        packed = (bands.astype(np.int64) << np.array([16, 8, 0])[:, None, None]).sum(0)
        place = np.searchsorted(self.known, packed).clip(max=len(self.known) - 1)
        strange = valid & (self.known[place] != packed)
        if strange.any():
            found, inverse = np.unique(packed[strange], return_inverse=True)
            off = np.abs(_channels(found)[:, None] - _channels(self.known)[None]).max(-1)  # [found, known]
            if (off.min(1) > self.tolerance).any():
                color = int(found[off.min(1) > self.tolerance][0])
                self._refuse(color, int(off.min(1).max()), np.argwhere(strange & (packed == color))[0], window)
            place[strange] = off.argmin(1)[inverse]
            self.far += int((off.min(1)[inverse] > FAR).sum())
        self.seen += int(valid.sum())
        return np.where(valid, self.classes[place], IGNORE).astype(np.uint8)

    def check(self) -> None:
        """Refuses colours of which many are far from all that mean something, though none is too far."""
        if self.far > MOST * self.seen:
            told = f"{self.far / self.seen:.0%} of its pixels are more than {FAR} from every colour of a class"
            raise UserError(f"{self.file}: {told}; give the right file, or the colours that these classes have in it")

    def _refuse(self, color: int, off: int, place: NDArray[np.int64], window: Window) -> None:
        y, x = place
        where = f"colour #{color:06x} at row {window.y + y}, column {window.x + x} is no class"
        known = ", ".join(f"#{value:06x}" for value in self.known)
        remedy = f"add it to a class or to ignore, or allow for colours that are off (here by up to {off}) with data.tolerance"
        raise UserError(f"{self.file}: {where}; known: {known}; {remedy}")


def _channels(colors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Red, green and blue [n, 3]."""
    return np.stack([colors >> 16, colors >> 8 & 255, colors & 255], -1)


class IndexLabels:
    """A raster that holds class indices already."""

    def __init__(self, source: Stacked):
        self.source = source

    def read(self, window: Window) -> Indices:
        bands, valid = self.source.read(window)
        return np.where(valid, bands[0], IGNORE).astype(np.uint8)


def _polygons(labels: Labels, data: Data, grid: Grid) -> list[tuple[Any, int]]:
    """Shapes in the grid's CRS (without one: in columns and rows) with their class index."""
    import pyogrio.raw
    import shapely
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyproj import Transformer

    if why := refusal(labels.file):
        raise UserError(f"{labels.file}: {why}")
    if not Path(labels.file).exists():
        raise UserError(f"{labels.file}: {missing(labels.file)}")
    try:
        meta, _, geometry, fields = pyogrio.raw.read(labels.file)
    except (DataSourceError, DataLayerError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{labels.file}: no readable vector file ({reason}); give one, or a raster without attribute") from None
    names = list(meta["fields"])
    if labels.attribute not in names:
        there = ", ".join(names) or "none"
        raise UserError(f"{labels.file}: no attribute {labels.attribute!r}; name one of those that there are: {there}")
    if grid.crs and not meta["crs"]:
        raise UserError(f"{labels.file}: has no CRS; georeference the vector file")
    shapes = shapely.from_wkb(geometry)
    if grid.crs:
        to_grid = Transformer.from_crs(meta["crs"], grid.crs.to_wkt(), always_xy=True)
        shapes = shapely.transform(shapes, lambda xy: np.column_stack(to_grid.transform(xy[:, 0], xy[:, 1])))
    classes = [_class_of(value, labels, data) for value in fields[names.index(labels.attribute)]]
    return [(shape, index) for shape, index in zip(shapes, classes, strict=True) if shape is not None and not shape.is_empty]


def _class_of(value: Any, labels: Labels, data: Data) -> int:
    known = {str(v): i for i, (name, values) in enumerate(data.values.items()) for v in (*values, name)}
    known |= {str(v): IGNORE for v in data.ignore}
    text = str(int(value)) if isinstance(value, (float, np.floating)) and value.is_integer() else str(value)
    if text not in known:
        raise UserError(
            f"{labels.file}: {labels.attribute} = {text} is no class; known: {', '.join(known)}. Add it to a class or to ignore"
        )
    return known[text]


def _is_number(value: int | str) -> bool:
    return isinstance(value, int) or value.lstrip("-").isdigit()
