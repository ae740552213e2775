"""The one warp: a source pinned to the destination grid and read in windows, scaled, with its validity beside it."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from rasterio.windows import Window as RasterWindow

from dis2.config.data import Scaling, on_network
from dis2.config.packed import missing
from dis2.errors import UserError
from dis2.files import on_disk
from dis2.raster.cube import open_cube
from dis2.raster.grid import UNMOVED, Grid, Shift, Window, blocks, intersection
from dis2.raster.scaling import common_unit, scale_of, unit_of
from dis2.raster.sources import refusal

Bands = NDArray[np.generic]
Mask = NDArray[np.bool_]

DOWNSAMPLED = 2.0
"""From this ratio of resolutions on, interpolation would skip source pixels: they are averaged."""
CELL = 512
"""GDAL's values depend on the window that it is asked for, in the last digits or by far: so it is asked for these cells alone.
The largest are half as tall and twice as wide: more than a block of GDAL's own, so that it warps most of them at once."""
CELL_BYTES = 16 * 2**20
"""Cells are smaller where a sensor has so many bands, or pixels so much finer than the grid's, that one would take more."""
TOGETHER = 8
"""Rows of cells that are asked at once which source pixels they depend on; a multiple of how much wider than tall cells are."""
OUTLINE = 21
"""Points along each side of a cell that tell what it depends on."""
EDGE = 8
"""Source pixels beside those that a cell shows, which no resampling reaches across."""
KEPT = 32 * 2**20
"""Bytes of cells that a file keeps for windows to come, which may overlap."""
CACHE = 128
"""MiB of decoded pixels that GDAL may keep unless GDAL_CACHEMAX says otherwise: its own default grows with the machine."""


class Reader(Protocol):
    """A sensor on a grid."""

    count: int
    dtype: np.dtype
    unit: str | None

    def read(self, window: Window) -> tuple[Bands, Mask]: ...


class Laid(NamedTuple):
    """A raster, the bands that hold values, the one that is alpha, and whether nothing tells of pixels without measurement."""

    dataset: rasterio.DatasetReader | WarpedVRT
    indexes: list[int]
    alpha: int | None
    whole: bool


class Warped:
    """One file on a grid. The same pixels whatever the windows: each cell of the grid is warped whole, always in the same way."""

    def __init__(
        self,
        stack: ExitStack,
        source: rasterio.DatasetReader,
        grid: Grid,
        resampling: str,
        adapted: bool,
        shift: Shift,
        nodata: float | None,
        unmeasured: str,
        scaling: Scaling | None,
    ):
        indexes = bands_of(source)
        self.source, self.count = source, len(indexes)
        self.nodata = nodata_of(source, nodata)
        self.reduce = np.all if unmeasured == "any" else np.any
        self.scale = scale_of(source, indexes, scaling) if scaling else None
        self.unit = unit_of(source, indexes, scaling) if scaling else None
        self.dtype = np.dtype(np.float32 if self.scale else source.dtypes[0])
        self.grid = grid.shifted(shift)  # where the sensor shows these pixels
        if grid.crs is not None:
            finer = _finer(source, grid)
            pixel = self.count * max(self.dtype.itemsize, np.dtype(source.dtypes[0]).itemsize)
            self.tall, self.wide = _cell(pixel, finer)
            self.cell = lru_cache(max(4, KEPT // (self.tall * self.wide * (pixel + 1))))(self._warped)
            scale = str(min(1.0, 1 / finer) if finer else 1.0)  # given, since GDAL would guess one for each window
            how = Resampling[_effective(resampling, finer) if adapted else resampling]
            self.how = {"crs": grid.crs, "resampling": how, "XSCALE": scale, "YSCALE": scale}
            self.pinned = cache(lambda *how: laid(stack.enter_context(WarpedVRT(source, **dict(how) | _place(self.grid)))))
            self.seen = cache(self._seen_by_cell)
            self.alike = self.nodata is None or unmeasured == "all" or self.count == 1
            self.told = self.nodata is not None or MaskFlags.all_valid not in source.mask_flag_enums[0]

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w], and where any, or all, of them are measured [h, w]."""
        if self.grid.crs is None:
            return self._unplaced(window)
        bands = np.empty((self.count, window.height, window.width), self.dtype)
        valid = np.empty((window.height, window.width), bool)
        for cell in blocks(self.grid.height, self.grid.width, self.tall, under=window, wide=self.wide):
            if common := intersection(window, cell):
                there, here = common[0].slices, common[1].slices
                at_once = self.wide > self.tall and common[0][2:] == cell[2:] and not self.scale
                whole, measured_there = self._warped(cell, bands[:, *here]) if at_once else self.cell(cell)
                if whole.base is not bands:
                    bands[:, *here] = whole[:, *there]
                valid[here] = measured_there[there]
        return bands, valid

    def _unplaced(self, window: Window) -> tuple[Bands, Mask]:
        """Pixels as they lie in the file; beyond its edge nothing is measured."""
        common = intersection(window, Window(0, 0, self.source.height, self.source.width))
        if common and common[1][2:] == window[2:]:
            return self._told(laid(self.source), window)
        bands = np.zeros((self.count, window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), bool)
        if common:
            there, here = common[0], common[1].slices
            bands[:, *here], valid[here] = self._told(laid(self.source), there)
        return bands, valid

    def _warped(self, cell: Window, out: Bands | None = None) -> tuple[Bands, Mask]:
        """A cell, if possible in its place among others."""
        how = self.how | self._telling(cell)
        if self.wide > self.tall:
            return self._told(self.pinned(*how.items()), cell, out)
        part = self.grid.part(cell)
        with WarpedVRT(self.source, **how | _place(part)) as alone:  # GDAL's own blocks would take too much
            return self._told(laid(alone), Window(0, 0, part.height, part.width))

    def _telling(self, cell: Window) -> dict[str, Any]:
        """How the warp of a cell tells what is measured: by nodata of each band, which takes GDAL twice as long, only where
        bands differ in it; else by alpha, or by nothing where all is."""
        seen = self.seen(next(blocks(self.grid.height, self.grid.width, TOGETHER * self.tall, under=cell)))[cell]
        there = intersection(seen, Window(0, 0, self.source.height, self.source.width)) if seen else None
        if not self.alike and not (there and _alike(self.source, there[0], self.nodata)):
            return {"src_nodata": self.nodata, "nodata": self.nodata, "UNIFIED_SRC_NODATA": "PARTIAL"}
        edge = there is None or there[0] != seen
        alpha = (edge or self.told) and self.count == self.source.count
        return {"src_nodata": self.nodata, "nodata": None, "add_alpha": alpha, "UNIFIED_SRC_NODATA": "YES"}

    def _seen_by_cell(self, block: Window) -> dict[Window, Window | None]:
        """For all cells of a block at once, since GDAL takes its time to get ready to transform."""
        cells = [*blocks(self.grid.height, self.grid.width, self.tall, under=block, wide=self.wide)]
        return dict(zip(cells, _seen(self.source, self.grid, cells), strict=True))

    def _told(self, opened: Laid, window: Window, out: Bands | None = None) -> tuple[Bands, Mask]:
        bands, valid = measured(self.source.name, opened, window, self.nodata, out)
        one = not valid.strides[0]  # the same for every band
        return self.scale(bands) if self.scale else bands, valid[0] if one else self.reduce(valid, axis=0)


class Stacked:
    """The files of a sensor as one: their bands follow each other; a pixel is valid where any, or all, of them are."""

    def __init__(self, parts: Sequence[Warped], unmeasured: str):
        self.parts = parts
        self.count = sum(part.count for part in parts)
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.unit = common_unit([part.unit for part in parts])
        self.reduce = np.all if unmeasured == "any" else np.any

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        parts, valid = zip(*(part.read(window) for part in self.parts), strict=True)
        bands = parts[0] if len(parts) == 1 else np.concatenate(parts, dtype=self.dtype)
        return bands, self.reduce(valid, axis=0) & _numbers(bands)


@contextmanager
def warped(
    files: Sequence[str],
    grid: Grid,
    resampling: str = "bilinear",
    shift: Shift = UNMOVED,
    nodata: float | None = None,
    unmeasured: str = "any",
    scaling: Scaling | None = None,
    adapted: bool = True,
) -> Iterator[Stacked]:
    """A sensor's files on a grid, its misregistration folded into the one resampling, which is adapted to much finer pixels."""
    with ExitStack() as stack:
        sources = [stack.enter_context(open_raster(file)) for file in files]
        how = (resampling, adapted, shift, nodata, unmeasured, scaling)
        yield Stacked([Warped(stack, source, grid, *how) for source in sources], unmeasured)


def open_raster(file: str | Path) -> rasterio.DatasetReader:
    """An open raster, or the one line that says why not."""
    if why := refusal(str(file)):
        raise UserError(f"{file}: {why}")
    if not os.path.exists(on_disk(str(file))) and not on_network(str(file)):
        raise UserError(f"{file}: {missing(on_disk(str(file)))}")
    os.environ.setdefault("GDAL_CACHEMAX", str(CACHE))  # GDAL asks once in a process, before the first pixel
    try:
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
            source = open_cube(str(file)) if on_disk(str(file)).lower().endswith(".mat") else rasterio.open(file)
    except RasterioError as error:
        raise UserError(f"{file}: not a readable raster ({_first_line(error)}); give a file that GDAL can open") from None
    if why := refusal(str(file), source.driver):
        source.close()
        raise UserError(f"{file}: {why}")
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


def laid(dataset: rasterio.DatasetReader | WarpedVRT) -> Laid:
    """Looked at once, and not for each window."""
    indexes = bands_of(dataset)
    alpha = next((i for i in dataset.indexes if i not in indexes), None)
    return Laid(dataset, indexes, alpha, all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums))


def nodata_of(source: rasterio.DatasetReader, nodata: float | None = None) -> float | None:
    """The value of no measurement, the file's own before the config's; None if alpha or a mask tells, or no pixel can have it."""
    if len(bands_of(source)) < source.count or MaskFlags.per_dataset in source.mask_flag_enums[0]:
        return None
    nodata = source.nodata if source.nodata is not None else nodata
    dtype = np.dtype(source.dtypes[0])
    if nodata is None or dtype.kind in "fc":
        return nodata
    return nodata if float(nodata).is_integer() and np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max else None


def measured(file: str, source: Laid, window: Window, nodata: float | None, out: Bands | None = None) -> tuple[Bands, Mask]:
    """A window's bands [C, h, w], and which values are told to be measurements by alpha, mask, nodata and footprint [C, h, w]."""
    dataset, indexes, alpha, whole = source
    place = RasterWindow(window.x, window.y, window.width, window.height)
    try:
        if alpha is not None:
            everything = dataset.read([*indexes, alpha], window=place)  # at once, since a warp would be made anew for alpha alone
            return everything[:-1], np.broadcast_to(everything[-1] > 0, everything[:-1].shape)
        bands = dataset.read(indexes, window=place, out=out)
        if nodata is not None:
            return bands, ~np.isnan(bands) if np.isnan(nodata) else bands != nodata
        if whole:
            return bands, np.broadcast_to(True, bands.shape)
        return bands, dataset.read_masks(indexes, window=place) > 0
    except RasterioError as error:
        reason = f"cannot be read from row {window.y} on ({_first_line(error)})"
        raise UserError(f"{file}: {reason}; the file is damaged: replace it") from None


def _numbers(bands: Bands) -> Mask:
    """Where all bands [C, h, w] are finite [h, w]."""
    finite = np.ones(bands.shape[1:], bool)
    for band in bands if bands.dtype.kind in "fc" else ():
        finite &= np.isfinite(band)
    return finite


def _finer(source: rasterio.DatasetReader, grid: Grid) -> float:
    """How many of its pixels lie side by side in one of the grid's; 0 where the grid's CRS does not reach."""
    if source.crs is None:
        raise UserError(f"{source.name}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid")
    if not source.transform.determinant:
        raise UserError(f"{source.name}: has a CRS, but its pixels have no area; georeference it")
    return grid.resolution / Grid(source.crs, source.transform, source.height, source.width).resolution_in(grid.crs)


def _place(grid: Grid) -> dict[str, Any]:
    """To what a warp is pinned."""
    return {"transform": grid.transform, "height": grid.height, "width": grid.width}


def _seen(source: rasterio.DatasetReader, grid: Grid, cells: Sequence[Window]) -> list[Window | None]:
    """The source pixels, and more, on which each cell depends, be they there or beyond the edge; None if not known."""
    along = np.linspace(0, 1, OUTLINE)
    once = np.concatenate([along, along * 0 + 1, along[::-1], along * 0])  # around a square, starting along its top
    y, x, height, width = np.array(cells, float).T[..., None]
    xs, ys = _applied(grid.transform, x + width * once, y + height * np.roll(once, OUTLINE))  # [cells, 4 OUTLINE]
    if grid.crs != source.crs:
        try:
            xs, ys = (np.reshape(found, xs.shape) for found in transform(grid.crs, source.crs, xs.ravel(), ys.ravel()))
        except CPLE_BaseError:
            return [None] * len(cells)
    found = []
    for x, y in zip(*_applied(~source.transform, xs, ys), strict=True):
        known = np.isfinite(x).all() and np.isfinite(y).all()
        found.append(_around(x.min(), y.min(), x.max(), y.max()) if known else None)
    return found


def _applied(affine: Affine, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _around(left: float, top: float, right: float, bottom: float) -> Window:
    """The window of source pixels that holds this and its edge."""
    x, y = math.floor(left) - EDGE, math.floor(top) - EDGE
    return Window(y, x, math.ceil(bottom) + EDGE - y, math.ceil(right) + EDGE - x)


def _alike(source: rasterio.DatasetReader, window: Window, nodata: float | None) -> bool:
    """Are all bands of each pixel measured, or none? Not looked at if there are too many."""
    if window.height * window.width * source.count * np.dtype(source.dtypes[0]).itemsize > 4 * CELL_BYTES:
        return False
    _, valid = measured(source.name, laid(source), window, nodata)
    return bool((valid == valid[0]).all())


def _cell(pixel_bytes: int, finer: float) -> tuple[int, int]:
    """How tall and wide the cells are in which a file is warped: powers of two."""
    fitting = math.sqrt(CELL_BYTES / pixel_bytes) / max(1.0, finer)
    side = 1 << max(3, math.floor(math.log2(fitting)))
    return (CELL // 2, 2 * CELL) if side >= CELL else (side, side)


def _effective(resampling: str, finer: float) -> str:
    """Averages (or takes the mode of) a source whose pixels are that much finer than the grid's."""
    if finer < DOWNSAMPLED:
        return resampling
    return {"nearest": "mode"}.get(resampling, "average")


def _first_line(error: Exception) -> str:
    """What GDAL says, on one line."""
    return " ".join(str(error.__cause__ or error).split())[:200]
