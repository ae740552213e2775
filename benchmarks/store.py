"""The tile store measured: its format, its reader against others, what opening costs, and what training tiles cost.

    python benchmarks/store.py [format] [readers] [opening] [training]

Made-up rasters of five bands: relief from large to small, and noise of a percent as a sensor has it. All files are warm, and no
reader keeps decoded pixels. Throughput is MiB of pixels per CPU second on one core, the best of three rounds in which readers
take turns, so that a busy machine does not decide.

What the format is, and why: chunks of 256, because training tiles lie anywhere, and a chunk of 512 halves what is read of them;
LZ4, because Zstandard saves a tenth of the space and takes half as long again to read and thrice as long to write. Bits
are shuffled up to 16 bit, those of two values at once where they are of 8 bit (a third faster than one at a time, for a
twentieth of the space); from 32 bit on bytes, which are read up to twice as fast as bits and take up to a tenth more space.
The reader is our own (`dis2/tiles/shards.py`): faster than tensorstore, which so does not earn a place as a dependency.

Comparing a store with its manifest takes the CPU of reading it some two to four times: seconds for ten gigabytes, and nothing
beside a training, which reads tens of times as much. So every opening compares, in threads, and a process compares once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterWindow
from scipy.ndimage import zoom
from zarr.codecs import BloscCodec, Crc32cCodec

from dis2.config.data import Data
from dis2.raster.grid import Grid, Window, blocks
from dis2.tiles.dataset import Sampler, Scenes, stacked
from dis2.tiles.loader import reading
from dis2.tiles.manifest import digests, files_of
from dis2.tiles.shards import Layout, Shards
from dis2.tiles.store import Header, new_store, open_store

SIDE, BANDS, WINDOW = 3072, 5, 512
DTYPES = ("uint8", "uint16", "float32")
SHUFFLES = {"uint8": (("bits", 1), ("bits", 2), ("bytes", 1)), "uint16": (("bits", 2), ("bytes", 2), ("none", 2))}
SHUFFLES["float32"] = (("bits", 4), ("bytes", 4), ("none", 4))
NAMES = {"bits": "bitshuffle", "bytes": "shuffle", "none": "noshuffle"}
MIB = 2**20
Read = Callable[[Window], NDArray[Any]]


def raster(dtype: str, side: int = SIDE) -> NDArray[Any]:
    """Bands [C, h, w]."""
    rng = np.random.default_rng(2026)
    bands = np.zeros((BANDS, side, side), np.float32)
    for cells in (8, 32, 128, 512):
        for band in bands:
            band += (8 / cells) ** 0.7 * zoom(rng.normal(size=(cells, cells)).astype(np.float32), side / cells, order=1)
    bands = (bands - bands.min()) / np.ptp(bands) + rng.normal(0, 0.01, bands.shape).astype(np.float32)
    if dtype == "float32":
        return bands
    return np.clip(bands * {"uint8": 255, "uint16": 4000}[dtype], 0, np.iinfo(dtype).max).astype(dtype)


def aligned(side: int = SIDE, window: int = WINDOW) -> list[Window]:
    """Windows on multiples of their side."""
    return list(blocks(side, side, window))


def anywhere(count: int, side: int = SIDE, window: int = WINDOW, lattice: int = 1) -> list[Window]:
    """Windows anywhere, or on multiples of a lattice."""
    corners = np.random.default_rng(1).integers(0, (side - window) // lattice + 1, (count, 2)) * lattice
    return [Window(int(y), int(x), window, window) for y, x in corners]


def throughput(reads: dict[str, Read], windows: Sequence[Window], rounds: int = 3) -> dict[str, float]:
    """MiB of pixels per CPU second of each reader."""
    best = dict.fromkeys(reads, float("inf"))
    for _ in range(rounds):
        for name, read in reads.items():
            started = time.process_time()
            size = sum(read(window).nbytes for window in windows)
            best[name] = min(best[name], (time.process_time() - started) / size)
    return {name: 1 / MIB / seconds for name, seconds in best.items()}


def formats(folder: Path) -> None:
    """Every format by the same writer (zarr-python, so compare writing only within the table) and by our reader."""
    rows, side = [], SIDE * 2 // 3
    for dtype in DTYPES:
        data = raster(dtype, side)
        for chunk, codec, (shuffle, unit) in product((256, 512), ("lz4", "zstd"), SHUFFLES[dtype]):
            path = folder / "format.zarr"
            started = time.process_time()
            it = by_zarr(path, data, chunk, BloscCodec(cname=codec, clevel=5, shuffle=NAMES[shuffle], typesize=unit))  # type: ignore[arg-type]
            writing = data.nbytes / MIB / (time.process_time() - started)
            files = {file.relative_to(path).as_posix(): file.stat().st_size for file in path.rglob("*") if file.is_file()}
            read = {"": Shards(path, Layout("bands", it.shape, it.dtype, 0, it.chunks, it.shards or ()), files).read}
            windows = aligned(side), anywhere(32, side), anywhere(128, side, 128), anywhere(128, side, 128, 128)
            found = [throughput(read, listed)[""] for listed in windows]
            size = f"{sum(files.values()) / data.nbytes:.3f}"
            rows.append([dtype, str(chunk), codec, f"{shuffle} of {unit}", size, *figures(writing, *found)])
    table(
        "Format: size as a share of the pixels; MiB per CPU second written, read in windows of 512, and read in tiles of 128",
        ["dtype", "chunk", "codec", "shuffled", "size", "write", "512 aligned", "512 random", "128 random", "128 aligned"],
        rows,
    )


def by_zarr(path: Path, data: NDArray[Any], chunk: int, codec: BloscCodec) -> zarr.Array:
    """A sharded array of the data."""
    made = zarr.create_group(path, overwrite=True).create_array(
        "bands",
        shape=data.shape,
        dtype=data.dtype,
        chunks=(len(data), chunk, chunk),
        shards=(len(data), 1024, 1024),
        compressors=[codec, Crc32cCodec()],
        fill_value=0,
    )
    for window in blocks(*data.shape[1:], 1024):
        made[:, *window.slices] = data[:, *window.slices]
    return made


def readers(folder: Path) -> None:
    rows = []
    for dtype in DTYPES:
        data, sizes = raster(dtype), dict[str, float]()
        reads = dict(opened(folder, data, sizes))
        rivals = list(reads)[1:]
        rows.append([dtype, "size", *(f"{sizes[name]:.3f}" for name in reads), *[""] * len(rivals)])
        for name, windows in (("aligned", aligned()), ("random", anywhere(36))):
            for read in reads.values():
                assert all(np.array_equal(read(window), data[:, *window.slices]) for window in windows[:3])
            found = throughput(reads, windows)
            rows.append([dtype, name, *figures(*found.values()), *(f"{found['dis2'] / found[rival]:.2f}" for rival in rivals)])
    table(
        "Readers: size as a share of the pixels; MiB per CPU second in windows of 512 x 512 x 5; ours as a multiple of each",
        ["dtype", "windows", "dis2", *rivals, *(f"/ {rival}" for rival in rivals)],
        rows,
    )


def opened(folder: Path, data: NDArray[Any], sizes: dict[str, float]) -> Iterator[tuple[str, Read]]:
    """The same pixels for each reader. zarr-python and tensorstore read our store; GeoTIFF is tiled, with Zstandard."""
    import tensorstore

    path = folder / "readers.zarr"
    layout = written(path, {"s": data})
    size = sum(file.stat().st_size for file in (path / "s").rglob("*")) / data.nbytes
    sizes |= {"dis2": size, "zarr": size, "tensorstore": size, "memmap": 1}
    yield "dis2", Shards(path, layout, files_of(path)).read
    bands = open_store(path).group["s"]
    yield "zarr", lambda window: np.asarray(bands[:, *window.slices])
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "s")}, "recheck_cached_metadata": False}
    pixels = tensorstore.open(spec, open=True, read=True).result()
    yield "tensorstore", lambda window: pixels[:, *window.slices].read().result()
    for name, predictor in (("geotiff", 3 if data.dtype.kind == "f" else 2), ("unpredicted", 1)):
        sizes[name], read = geotiff(folder / f"{name}.tif", data, predictor)
        yield name, read
    np.save(folder / "readers.npy", data)
    mapped = np.load(folder / "readers.npy", mmap_mode="r")
    yield "memmap", lambda window: np.array(mapped[:, *window.slices])


def written(path: Path, sensors: dict[str, NDArray[Any]], labels: NDArray[np.uint8] | None = None) -> Layout:
    """A store as `dis2 tile` writes it; the layout of its first sensor."""
    told = {sensor: (len(bands), bands.dtype.name) for sensor, bands in sensors.items()}
    grid, everything = Grid(None, Affine.identity(), SIDE, SIDE), {"": Window(0, 0, SIDE, SIDE)}
    header = Header(path.stem, grid, told, next(iter(told)), ("land", "water"), {}, everything, labels is not None)
    with new_store(path, header) as writer:
        for sensor, bands in sensors.items():
            for window in writer.shards(writer.arrays[sensor]):
                writer.write(sensor, window, bands[:, *window.slices], np.ones(window[2:], bool))
        if labels is not None and writer.label is not None:
            for window in writer.shards(writer.label):
                writer.write_labels(window, labels[window.slices])
    return next(iter(writer.arrays.values()))


def geotiff(path: Path, data: NDArray[Any], predictor: int) -> tuple[float, Read]:
    """The size of a GeoTIFF of the same pixels, and how rasterio reads it."""
    size = {"count": BANDS, "height": SIDE, "width": SIDE, "dtype": data.dtype, "predictor": predictor}
    with rasterio.open(path, "w", "GTiff", tiled=True, blockxsize=512, blockysize=512, compress="zstd", **size) as file:
        file.write(data)
    source = rasterio.open(path)
    read = lambda window: source.read(window=RasterWindow(window.x, window.y, window.width, window.height))  # noqa: E731
    return path.stat().st_size / data.nbytes, read


def opening(folder: Path) -> None:
    """Is it a burden that a store is read whole, and compared with its manifest, before anything is read from it?"""
    rows = []
    for dtype in DTYPES:
        path = folder / "opening.zarr"
        read = Shards(path, written(path, {"s": raster(dtype)}), files_of(path)).read
        size = sum(file.stat().st_size for file in path.rglob("*"))
        comparing, reading_all = cpu(partial(digests, path)), cpu(partial(every_window, read))
        rest = cpu(partial(open_store, path, verify=False))
        rates = figures(size / MIB / comparing, size / MIB / reading_all)
        rows.append([dtype, *rates, f"{comparing / reading_all:.2f}", f"{1000 * rest:.0f}"])
    table(
        "Opening: MiB of files per CPU second, and what comparing takes of reading every pixel once",
        ["dtype", "compare", "read", "share", "else ms"],
        rows,
    )


def every_window(read: Read) -> None:
    for window in aligned():
        read(window)


def cpu(work: Callable[[], object], rounds: int = 3) -> float:
    """The least CPU seconds of some rounds."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def training(folder: Path) -> None:
    """Batches of eight tiles of two sensors: what of it is left for the process that trains."""
    labels = np.random.default_rng(0).integers(0, 2, (SIDE, SIDE), dtype=np.uint8)
    written(folder / "one.zarr", {"optical": raster("uint16"), "radar": raster("float32")}, labels)
    sensors = {sensor: {"bands": BANDS} for sensor in ("optical", "radar")}
    scene = {"split": "train", "sensors": {"optical": "o.tif", "radar": "r.tif"}, "labels": "l.tif"}
    data = Data.model_validate({"name": "x", "sensors": sensors, "classes": ["land", "water"], "scenes": {"one": scene}})
    rows = []
    for size, (cache, workers, lattice) in product((128, 256), (*product(("none",), (0, 1, 2), (False, True)), *CACHED)):
        place = folder / "cache" if cache == "disk" else None
        scenes = Scenes(data, folder, "train", 0 if cache == "none" else 10**10, place)
        sampler = Sampler(scenes, size, whole_only=True, aligned=lattice)
        groups = [[sampler.place(np.random.default_rng([step, tile])) for tile in range(8)] for step in range(42)]
        with reading(scenes, groups, size, workers) as tiles:
            stacked(next(tiles)), stacked(next(tiles))
            started, used = time.perf_counter(), time.process_time()
            count = sum(len(stacked(samples)[2]) for samples in tiles)
            wall, own = time.perf_counter() - started, time.process_time() - used
        rows.append(
            [str(size), cache, "aligned" if lattice else "free", str(workers), f"{count / wall:.0f}", f"{1000 * own / count:.2f}"]
        )
    table(
        "Training: tiles of ten bands per second (by the clock, so of an idle machine only), and the trainer's own CPU for one",
        ["tile", "cache", "place", "workers", "tiles/s", "own ms"],
        rows,
    )


CACHED = (("memory", 0, False), ("disk", 0, False), ("disk", 1, False))


def figures(*values: float) -> list[str]:
    return [f"{value:.0f}" for value in values]


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A title and columns that line up."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}\n")
    for line in lines:
        print("  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)), flush=True)


PARTS = {"format": formats, "readers": readers, "opening": opening, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    wanted = parser.parse_args().parts
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    cores = os.sched_getaffinity(0)
    with rasterio.Env(GDAL_CACHEMAX=8):
        for part in wanted or PARTS:
            os.sched_setaffinity(0, cores if part == "training" else {max(cores)})
            with tempfile.TemporaryDirectory() as folder:
                PARTS[part](Path(folder))


if __name__ == "__main__":
    main()
