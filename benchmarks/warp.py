"""The one warp against a plain WarpedVRT and odc-geo with dask: CPU seconds, peak memory, and whether the windows show.

    python benchmarks/warp.py [--side 8000] [--rounds 2] [--whole]

A raster of four uint16 bands, side x side pixels with nodata beside a swath (--whole: without nodata), comes to the next UTM
zone, bilinear, in blocks of 2048 as the tile stage reads them. Every reader runs in a process of its own; CPU seconds (the least
of all rounds, all threads) are those of reading, without imports. Then a part in the middle is read in blocks of 2048 and of 700:
pixels that differ depend on the blocks. odc-geo is the usual way from a raster to a chosen grid in xarray and dask. "GDAL alone"
warps the same cells as ours, and nothing is done with them: less than that, whoever uses GDAL's kernel cannot take.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterWindow

from dis2.raster.grid import Grid, Window, blocks
from dis2.raster.scene import covering
from dis2.raster.warp import CELL, grid_of, warped

BANDS, TILE, SHARD, ODD = 4, 512, 2048, 700
TO = CRS.from_epsg(32633)
TARGETS = {"WarpedVRT": 1.1, "odc-geo": 0.55}
"""Ours may take this share of another's CPU seconds at most."""

Put = Callable[[Window, NDArray[Any]], None]


def made(file: Path, side: int, whole: bool) -> None:
    """Waves with noise in UTM 32, towards its eastern edge, in tiles without compression; nothing is left of the swath."""
    place = Affine(10, 0, 650_000, 0, -10, 5_400_000)
    size = {"height": side, "width": side, "count": BANDS, "dtype": "uint16", "nodata": None if whole else 0}
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    rng = np.random.default_rng(0)
    with rasterio.open(file, "w", driver="GTiff", crs="EPSG:32632", transform=place, **size, **tiles) as target:
        for window in blocks(side, side, TILE):
            y, x = np.ogrid[window.slices]
            waves = [2000 + 1000 * np.sin(x / (9 + band)) * np.cos(y / (13 - band)) for band in range(BANDS)]
            values = rng.normal(waves, 20).astype("uint16")
            target.write(values if whole else np.where(x < y // 8, 0, values), window=on_disk(window))


def on_disk(window: Window) -> RasterWindow:
    return RasterWindow(window.x, window.y, window.width, window.height)


def ours(file: Path, grid: Grid, side: int, part: Window, put: Put) -> None:
    with warped([str(file)], grid) as reader:
        for window in blocks(grid.height, grid.width, side, under=part):
            put(window, reader.read(window)[0])


def plain(file: Path, grid: Grid, side: int, part: Window, put: Put) -> None:
    place = {"crs": grid.crs, "transform": grid.transform, "height": grid.height, "width": grid.width}
    with rasterio.open(file) as source, WarpedVRT(source, resampling=Resampling.bilinear, **place) as reader:
        for window in blocks(grid.height, grid.width, side, under=part):
            put(window, reader.read(window=on_disk(window)))


def odc(file: Path, grid: Grid, side: int, part: Window, put: Put) -> None:
    import dask.array
    import odc.geo.xr  # noqa: F401
    import rioxarray
    from odc.geo.geobox import GeoBox

    class Sink:
        def __setitem__(self, place: tuple[slice, slice, slice], bands: NDArray[Any]) -> None:
            put(Window(part.y + place[1].start, part.x + place[2].start, *bands.shape[1:]), bands)

    source = rioxarray.open_rasterio(file, chunks={"x": SHARD, "y": SHARD})
    geobox = GeoBox((grid.height, grid.width), grid.transform, str(grid.crs))
    brought = source.odc.reproject(geobox, resampling="bilinear", chunks=(side, side))  # type: ignore[union-attr]
    dask.array.store(brought.data[:, *part.slices], Sink(), lock=False)  # type: ignore[arg-type]


def gdal_alone(file: Path, grid: Grid, side: int, part: Window, put: Put) -> None:
    place = {"crs": grid.crs, "transform": grid.transform, "height": grid.height, "width": grid.width}
    how = {"resampling": Resampling.bilinear, "XSCALE": "1", "YSCALE": "1", "UNIFIED_SRC_NODATA": "YES"}
    with rasterio.open(file) as source, WarpedVRT(source, nodata=None, **place, **how) as reader:
        for window in blocks(grid.height, grid.width, CELL // 2, under=part, wide=2 * CELL):
            put(window, reader.read(window=on_disk(window)))


READERS = {"ours": ours, "WarpedVRT": plain, "odc-geo": odc, "GDAL alone": gdal_alone}


def timed(read: Callable[..., None], file: Path, grid: Grid) -> dict[str, float]:
    """CPU seconds of reading the whole grid, and the peak memory of this process in MiB."""
    whole = Window(0, 0, grid.height, grid.width)
    read(file, grid, SHARD, Window(0, 0, 1, 1), lambda *_: None)  # imports
    start = time.process_time()
    read(file, grid, SHARD, whole, lambda *_: None)
    return {"cpu": time.process_time() - start, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def seams(read: Callable[..., None], file: Path, grid: Grid) -> dict[str, float]:
    """The share of pixels in the middle of the grid that differ if they are read in other blocks."""
    middle = Window(grid.height // 2 - ODD, grid.width // 2 - ODD, 2 * ODD, 2 * ODD)
    whole = np.zeros((2, BANDS, grid.height, grid.width), "uint16")
    for values, side in zip(whole, (SHARD, ODD), strict=True):

        def put(window: Window, bands: NDArray[Any], values: NDArray[Any] = values) -> None:
            values[:, *window.slices] = bands

        read(file, grid, side, middle, put)
    first, second = whole[:, :, *middle.slices]
    return {"differ": float((first != second).any(0).mean())}


MEASURES = {"timed": timed, "seams": seams}


def alone(measure: str, reader: str, file: Path) -> dict[str, float]:
    """A measure of a reader in a process of its own."""
    command = [sys.executable, __file__, "--alone", measure, reader, str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--side", type=int, default=8000)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--whole", action="store_true", help="every pixel is measured")
    arguments.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.alone:
        measure, reader, file = given.alone
        grid = covering(grid_of(file), TO, 10)
        print(json.dumps(MEASURES[measure](READERS[reader], Path(file), grid)))
        return
    with tempfile.TemporaryDirectory() as folder:
        made(file := Path(folder, "source.tif"), given.side, given.whole)
        rounds = [{reader: alone("timed", reader, file) for reader in READERS} for _ in range(given.rounds)]
        cpu = {reader: min(found[reader]["cpu"] for found in rounds) for reader in READERS}
        print(f"{'reader':<12}{'CPU s':>8}{'ours takes':>12}{'at most':>9}{'peak MiB':>10}{'pixels that differ':>20}")
        for reader in READERS:
            peak, differ = max(found[reader]["peak"] for found in rounds), alone("seams", reader, file)["differ"]
            share, target = "" if reader == "ours" else f"{cpu['ours'] / cpu[reader]:.2f}", TARGETS.get(reader, "")
            print(f"{reader:<12}{cpu[reader]:>8.1f}{share:>12}{target:>9}{peak:>10.0f}{100 * differ:>18.2f} %")
        print(f"GDAL alone takes {cpu['GDAL alone'] / cpu['odc-geo']:.2f} of what odc-geo does")


if __name__ == "__main__":
    main()
