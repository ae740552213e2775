"""The one warp: a source pinned to the whole destination grid and read in windows, with its validity beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow

from dis2.errors import UserError
from dis2.raster.grid import Grid, Shift, Window

Bands = NDArray[np.generic]
Mask = NDArray[np.bool_]

DOWNSAMPLED = 2.0
"""From this ratio of resolutions on, interpolation would skip source pixels: they are averaged."""


class Reader(Protocol):
    """A sensor on a grid."""

    count: int
    dtype: np.dtype

    def read(self, window: Window) -> tuple[Bands, Mask]: ...


class Warped:
    """One file on a grid. The same pixels whatever the windows, because the warp is pinned to the whole grid."""

    def __init__(self, file: str, grid: Grid, resampling: str, shift: Shift, nodata: float | None, stack: ExitStack):
        self.file = file
        source = stack.enter_context(open_raster(file))
        nodata = source.nodata if source.nodata is not None else nodata
        self.dtype = np.dtype(source.dtypes[0])
        self.bands = [i for i in source.indexes if source.colorinterp[i - 1] is not ColorInterp.alpha]
        self.count = len(self.bands)
        self.masked = nodata is None
        if grid.crs is None:
            self.dataset = source
            self.nodata = nodata
            return
        place = grid.shifted(shift)
        options = {"add_alpha": True} if self.masked and source.count == self.count else {"src_nodata": nodata, "nodata": nodata}
        self.dataset = stack.enter_context(
            WarpedVRT(
                source,
                crs=grid.crs,
                transform=place.transform,
                width=grid.width,
                height=grid.height,
                resampling=Resampling[_effective(resampling, source, grid)],
                **options,
            )
        )
        self.nodata = nodata

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and, per band, where they are measurements [C, h, w]."""
        place = RasterWindow(window.x, window.y, window.width, window.height)
        try:
            bands = self.dataset.read(self.bands, window=place)
            valid = self.dataset.dataset_mask(window=place)[None] > 0 if self.masked else _differs(bands, self.nodata)
        except RasterioError as error:
            raise UserError(f"{self.file}: cannot be read ({_first_line(error)}); the file is damaged: replace it") from None
        finite = np.isfinite(bands) if bands.dtype.kind == "f" else True
        return bands, np.broadcast_to(valid & finite, bands.shape)


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
        return joined, self.reduce(np.concatenate(valid), axis=0)


@contextmanager
def warped(
    files: Sequence[str],
    grid: Grid,
    resampling: str = "bilinear",
    shift: Shift = Shift(),
    nodata: float | None = None,
    unmeasured: str = "any",
) -> Iterator[Stacked]:
    """A sensor's files on a grid, its misregistration folded into the one resampling."""
    with ExitStack() as stack:
        yield Stacked([Warped(file, grid, resampling, shift, nodata, stack) for file in files], unmeasured)


def open_raster(file: str | Path) -> rasterio.DatasetReader:
    """An open raster, or the one line that says why not."""
    if not Path(file).exists() and "://" not in str(file) and not str(file).startswith("/vsi"):
        raise UserError(f"{file}: no such file; check the path (and data_root) in the config")
    try:
        return rasterio.open(file)
    except RasterioError as error:
        raise UserError(f"{file}: not a readable raster ({_first_line(error)}); give a file that GDAL can open") from None


def grid_of(file: str) -> Grid:
    """The grid of a raster file."""
    with open_raster(file) as source:
        return Grid(source.crs, source.transform, source.height, source.width)


def _effective(resampling: str, source: rasterio.DatasetReader, grid: Grid) -> str:
    """Averages (or takes the mode of) a source that is much finer than the grid."""
    if source.crs is None:
        raise UserError(f"{source.name}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid")
    left, bottom, right, top = transform_bounds(source.crs, grid.crs, *source.bounds)
    fine = (((right - left) * (top - bottom)) / (source.width * source.height)) ** 0.5
    if grid.resolution < DOWNSAMPLED * fine:
        return resampling
    return {"nearest": "mode"}.get(resampling, "average")


def _differs(bands: Bands, nodata: float | None) -> Mask:
    return ~np.isnan(bands) if nodata is not None and np.isnan(nodata) else bands != nodata


def _first_line(error: Exception) -> str:
    """What GDAL says, on one line."""
    return " ".join(str(error.__cause__ or error).split())[:200]
