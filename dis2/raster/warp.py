"""The one warp: a source pinned to the whole destination grid and read in windows, with its validity beside it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterWindow

from dis2.errors import UserError
from dis2.raster.grid import UNMOVED, Grid, Shift, Window, blocks, intersection

Bands = NDArray[np.generic]
Mask = NDArray[np.bool_]

DOWNSAMPLED = 2.0
"""From this ratio of resolutions on, interpolation would skip source pixels: they are averaged."""
CELL = 256
"""GDAL's values depend on the window that it is asked for, in the last digits or by far: so it is asked for these cells alone."""
KEPT = 32 * 2**20
"""Bytes of cells that a file keeps for windows to come, which may overlap."""


class Reader(Protocol):
    """A sensor on a grid."""

    count: int
    dtype: np.dtype

    def read(self, window: Window) -> tuple[Bands, Mask]: ...


class Warped:
    """One file on a grid. The same pixels whatever the windows: the warp is pinned to the whole grid and made in fixed cells."""

    def __init__(self, file: str, grid: Grid, resampling: str, shift: Shift, nodata: float | None, stack: ExitStack):
        self.file = file
        source = stack.enter_context(open_raster(file))
        self.dtype = np.dtype(source.dtypes[0])
        self.count = len(bands_of(source))
        self.nodata = nodata_of(source, nodata)
        self.grid = grid
        self.dataset = source if grid.crs is None else stack.enter_context(_pinned(source, grid, resampling, shift, self.nodata))
        self.cell = lru_cache(max(4, KEPT // (CELL**2 * self.count * (self.dtype.itemsize + 1))))(self._measured)

    def _measured(self, window: Window) -> tuple[Bands, Mask]:
        return measured(self.file, self.dataset, window, self.nodata)

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and, per band, where they are measurements [C, h, w]."""
        if self.grid.crs is None:
            return self._measured(window)
        bands = np.empty((self.count, window.height, window.width), self.dtype)
        valid = np.empty(bands.shape, bool)
        for cell in blocks(self.grid.height, self.grid.width, CELL, under=window):
            if common := intersection(window, cell):
                (rows, columns), here = common[0].slices, common[1].slices
                whole = self.cell(cell)
                bands[:, *here], valid[:, *here] = (part[:, rows, columns] for part in whole)
        return bands, valid


class Stacked:
    """The files of a sensor as one: their bands follow each other; a pixel is valid where any, or all, of them are."""

    def __init__(self, parts: Sequence[Warped], unmeasured: str = "any"):
        self.parts = parts
        self.count = sum(part.count for part in parts)
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.reduce = np.all if unmeasured == "any" else np.any

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        bands, valid = zip(*(part.read(window) for part in self.parts), strict=True)
        joined = np.concatenate(bands).astype(self.dtype, copy=False)
        return joined, self.reduce(np.concatenate(valid), axis=0) & np.isfinite(joined).all(0)


@contextmanager
def warped(
    files: Sequence[str],
    grid: Grid,
    resampling: str = "bilinear",
    shift: Shift = UNMOVED,
    nodata: float | None = None,
    unmeasured: str = "any",
) -> Iterator[Stacked]:
    """A sensor's files on a grid, its misregistration folded into the one resampling."""
    with ExitStack() as stack:
        yield Stacked([Warped(file, grid, resampling, shift, nodata, stack) for file in files], unmeasured)


def open_raster(file: str | Path) -> rasterio.DatasetReader:
    """An open raster, or the one line that says why not."""
    if not os.path.exists(file) and "://" not in str(file) and not str(file).startswith("/vsi"):
        raise UserError(f"{file}: no such file; check the path (and data_root) in the config")
    try:
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
            source = rasterio.open(file)
    except RasterioError as error:
        raise UserError(f"{file}: not a readable raster ({_first_line(error)}); give a file that GDAL can open") from None
    if not source.count:
        source.close()
        raise UserError(f"{file}: has no bands of its own; name one of the rasters in it")
    return source


def grid_of(file: str) -> Grid:
    """The grid of a raster file."""
    with open_raster(file) as source:
        return Grid(source.crs, source.transform, source.height, source.width)


def bands_of(source: rasterio.DatasetReader | WarpedVRT) -> list[int]:
    """The bands that hold values."""
    return [i for i in source.indexes if source.colorinterp[i - 1] is not ColorInterp.alpha]


def nodata_of(source: rasterio.DatasetReader, nodata: float | None = None) -> float | None:
    """The value of no measurement, the file's own before the config's; None if alpha or a mask tells, or no pixel can have it."""
    if len(bands_of(source)) < source.count or MaskFlags.per_dataset in source.mask_flag_enums[0]:
        return None
    nodata = source.nodata if source.nodata is not None else nodata
    dtype = np.dtype(source.dtypes[0])
    if nodata is None or dtype.kind in "fc":
        return nodata
    return nodata if float(nodata).is_integer() and np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max else None


def measured(file: str, dataset: rasterio.DatasetReader | WarpedVRT, window: Window, nodata: float | None) -> tuple[Bands, Mask]:
    """A window's bands [C, h, w], and which values are told to be measurements by alpha, mask, nodata and footprint [C, h, w]."""
    place, indexes = RasterWindow(window.x, window.y, window.width, window.height), bands_of(dataset)
    alpha = next((i for i in dataset.indexes if i not in indexes), None)
    try:
        bands = dataset.read(indexes, window=place)
        if alpha is not None:
            return bands, np.broadcast_to(dataset.read(alpha, window=place) > 0, bands.shape)
        if nodata is not None:
            return bands, ~np.isnan(bands) if np.isnan(nodata) else bands != nodata
        return bands, dataset.read_masks(indexes, window=place) > 0
    except RasterioError as error:
        reason = f"cannot be read from row {window.y} on ({_first_line(error)})"
        raise UserError(f"{file}: {reason}; the file is damaged: replace it") from None


def _pinned(source: rasterio.DatasetReader, grid: Grid, resampling: str, shift: Shift, nodata: float | None) -> WarpedVRT:
    """A source on the whole grid where it shows it, with alpha where no value tells that there is no measurement."""
    if source.crs is None:
        raise UserError(f"{source.name}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid")
    finer = grid.resolution / Grid(source.crs, source.transform, source.height, source.width).resolution_in(grid.crs)
    scale = min(1.0, 1 / finer) if finer else 1.0  # given, since GDAL would guess one for each window
    return WarpedVRT(
        source,
        crs=grid.crs,
        transform=grid.shifted(shift).transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling[_effective(resampling, finer)],
        src_nodata=nodata,
        nodata=nodata,
        add_alpha=nodata is None and len(bands_of(source)) == source.count,
        XSCALE=str(scale),
        YSCALE=str(scale),
    )


def _effective(resampling: str, finer: float) -> str:
    """Averages (or takes the mode of) a source whose pixels are that much finer than the grid's."""
    if finer < DOWNSAMPLED:
        return resampling
    return {"nearest": "mode"}.get(resampling, "average")


def _first_line(error: Exception) -> str:
    """What GDAL says, on one line."""
    return " ".join(str(error.__cause__ or error).split())[:200]
