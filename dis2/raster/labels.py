"""Labels on a grid: from a raster or from polygons with an attribute, as class indices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import IGNORE, Data, Labels
from dis2.errors import UserError
from dis2.raster.grid import Grid, Window
from dis2.raster.sources import refusal
from dis2.raster.warp import Stacked, warped

Indices = NDArray[np.uint8]


class LabelReader(Protocol):
    def read(self, window: Window) -> Indices: ...


class RasterLabels:
    """A raster of label values, brought to the grid by the nearest pixel or by the mode, as asked for or as it is fine."""

    def __init__(self, file: str, source: Stacked, data: Data):
        self.file, self.source = file, source
        self.index = {int(v): i for i, values in enumerate(data.values.values()) for v in values if _is_number(v)}
        self.index |= {int(v): IGNORE for v in data.ignore if _is_number(v)}

    def read(self, window: Window) -> Indices:
        bands, valid = self.source.read(window)
        return self.indices(bands[0], valid)

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
    with warped((labels.file,), grid, labels.resampling or "nearest", adapted=labels.resampling is None) as source:
        if source.count != 1:
            raise UserError(f"{labels.file}: {source.count} bands; labels have one band of class values; convert it")
        yield RasterLabels(labels.file, source, data)


def _polygons(labels: Labels, data: Data, grid: Grid) -> list[tuple[Any, int]]:
    """Shapes in the grid's CRS (without one: in columns and rows) with their class index."""
    import pyogrio.raw
    import shapely
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyproj import Transformer

    if why := refusal(labels.file):
        raise UserError(f"{labels.file}: {why}")
    if not Path(labels.file).exists():
        raise UserError(f"{labels.file}: no such file; check labels.file (and data_root) in the config")
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
