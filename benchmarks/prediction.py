"""Maps of large scenes: what stitching costs beside the network, what memory it takes, and the same by others' ways.

    python benchmarks/prediction.py [--part overhead ring memory rivals] [--wide 20000] [--rounds 1]

Four sensors of 4, 2, 1 and 2 bands that are measured everywhere, 6 classes, windows that overlap by a quarter. Every measure in a
process of its own, on one thread: CPU seconds without imports (the least of all rounds), and the process's largest memory.

- overhead: of a strip of windows, the network's CPU seconds, and those that blending takes on top.
- ring: blending alone, in a ring of rows and in a whole map, of the same made-up probabilities.
- memory: `dis2 predict` from files to files, of a scene of 2,000 rows and of one twice as high.
- rivals: the same files, windows and weights to the same files, by `predict`, by MONAI's `sliding_window_inference`, which takes
  the whole scene, and by a plain loop that adds up in a whole map. A third as wide, since the others' memory grows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window as RasterWindow
from torch import Tensor

from dis2.config.data import ClassLabel, Data, Scene, Sensor
from dis2.config.grid import GridSettings
from dis2.config.model import ModelSettings
from dis2.config.prediction import PredictionSettings
from dis2.evaluation.printed import aligned
from dis2.models.files import Card, Model, build, load, save
from dis2.prediction.mapper import Mapper, inputs_of
from dis2.prediction.maps import open_map
from dis2.prediction.predict import write_maps
from dis2.prediction.rasters import Rasters, map_grid
from dis2.prediction.stitch import stitch
from dis2.raster.grid import Window, blocks, windows

SENSORS, CLASSES, WIDTH, ROWS = {"camera": 4, "radar": 2, "lidar": 1, "thermal": 2}, tuple("abcdef"), 4, 2000
EVERY, COLORS = tuple(SENSORS), tuple(f"#{40 * i:02x}8080" for i in range(len(CLASSES)))
HOW = PredictionSettings()
OVERLAP = round(HOW.tile * HOW.overlap)
PLACE = Affine(1, 0, 500_000, 0, -1, 5_400_000)


def model(folder: Path, width: int = WIDTH) -> Model:
    """A network of fresh weights, saved as a trained one is."""
    seen = {"mean": 2000.0, "std": 700.0, "low": 0.0, "high": 4000.0}
    settings = ModelSettings(width=width)
    torch.manual_seed(0)
    card = Card(
        method="dis2",
        sensors=SENSORS,
        rasters={sensor: Sensor(bands=bands) for sensor, bands in SENSORS.items()},
        reference="camera",
        resolution=1.0,
        classes=CLASSES,
        colors=COLORS,
        settings=settings,
        statistics={s: {key: [value] * bands for key, value in seen.items()} | {"relief": [0]} for s, bands in SENSORS.items()},
        seed=0,
        parameters=0,
        validation={},
        training={},
        provenance={},
    )
    save(folder, build("dis2", SENSORS, len(CLASSES), settings), card)
    return load(folder)


def scene(folder: Path, height: int, width: int) -> dict[str, Path]:
    """A raster of waves with noise for each sensor, without a hole."""
    rng = np.random.default_rng(0)
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "height": height, "width": width}
    files = {sensor: folder / f"{sensor}.tif" for sensor in SENSORS}
    for phase, (sensor, bands) in enumerate(SENSORS.items()):
        place = {"crs": "EPSG:32632", "transform": PLACE, "count": bands, "dtype": "uint16"}
        with rasterio.open(files[sensor], "w", driver="GTiff", **place, **tiles) as target:
            for window in blocks(height, width, 512):
                y, x = np.ogrid[window.slices]
                waves = 2000 + 900 * np.sin(x / 37 + phase) * np.cos(y / 53 - phase)
                values = rng.normal(waves, 90, (bands, window.height, window.width)).astype("uint16")
                target.write(values, window=RasterWindow(window.x, window.y, window.width, window.height))
    return files


def rasters_of(folder: Path, trained: Model) -> Rasters:
    """The scene as `predict` takes it; nothing is registered."""
    classes = {name: ClassLabel(color=color) for name, color in zip(CLASSES, COLORS, strict=True)}
    here = Scene(sensors={sensor: (str(folder / f"{sensor}.tif"),) for sensor in SENSORS})
    data = Data.model_construct(name="map", sensors=trained.card.rasters, classes=classes, scenes={"map": here})
    grid = GridSettings.model_validate({"reference": "camera", "registration": {"enabled": False}})
    return Rasters(data, grid, "map", map_grid(data, grid, "map", trained))


def in_whole(
    predictions: Iterable[tuple[Window, Tensor]], height: int, width: int, tile: int, overlap: int
) -> Iterator[tuple[Window, Tensor]]:
    """What `stitch` does, the plain way: sums of weighted values and of weights for the whole map, then divided."""
    bell = {size: torch.hann_window(size + 2, periodic=False)[1:-1] for size in {min(tile, height), min(tile, width)}}
    values, weights = torch.zeros(0), torch.zeros(height, width)
    for window, said in predictions:
        values = values if len(values) else torch.zeros(len(said), height, width)
        weight = bell[window.height][:, None] * bell[window.width]
        values[:, *window.slices] += weight * said
        weights[window.slices] += weight
    yield Window(0, 0, height, width), values.div_(weights)


BLENDS = {"ring": stitch, "whole": in_whole}


def blending(kind: str, height: int, width: int) -> None:
    """Made-up probabilities of all windows, from a few tiles that are made before."""
    said = cycle(torch.rand(8, len(SENSORS) + len(CLASSES), HOW.tile, HOW.tile))
    every = zip(windows(height, width, HOW.tile, OVERLAP), said, strict=False)
    for _ in BLENDS[kind](every, height, width, HOW.tile, OVERLAP):
        pass


def disagreement(side: int = 1500) -> float:
    """The most by which a value of the ring differs from one of the whole map."""
    generator = torch.Generator().manual_seed(0)
    said = [(w, torch.rand(2, w.height, w.width, generator=generator)) for w in windows(side, side, HOW.tile, OVERLAP)]
    ring, plain = (torch.cat([x.clone() for _, x in way(said, side, side, HOW.tile, OVERLAP)], 1) for way in BLENDS.values())
    return float((ring - plain).abs().max())


def ours(trained: Model, rasters: Rasters, out: Path) -> None:
    write_maps(trained, rasters, {}, HOW, {EVERY: out})


def monai(trained: Model, rasters: Rasters, out: Path) -> None:
    """The whole scene as one tensor: every sensor's bands, then where each is measured."""
    from monai.inferers import sliding_window_inference

    place = rasters.place
    with ExitStack() as stack:
        readers = {sensor: stack.enter_context(rasters.open(sensor)) for sensor in SENSORS}
        images, valid = inputs_of(trained, readers, [Window(0, 0, place.height, place.width)])
    given = torch.cat([*images.values(), *(mask.float() for mask in valid.values())], 1)
    del images, valid

    def probabilities(x: Tensor) -> Tensor:
        *bands, masks = x.split([*SENSORS.values(), len(SENSORS)], 1)
        seen = (masks > 0.5).split(1, 1)
        logits: Tensor = trained.network(*(dict(zip(SENSORS, parts, strict=True)) for parts in (bands, seen))).logits
        return logits.softmax(1)

    with torch.inference_mode():
        found = sliding_window_inference(given, HOW.tile, HOW.batch, probabilities, HOW.overlap, "gaussian")
    assert isinstance(found, Tensor)
    write(trained, rasters, out, found[0], given[0, -len(SENSORS) :] > 0.5)


def plain_loop(trained: Model, rasters: Rasters, out: Path) -> None:
    """As `predict`, but what all windows say is added up in a whole map."""
    height, width = rasters.place.height, rasters.place.width
    with ExitStack() as stack:
        mapper = Mapper(trained, {s: stack.enter_context(rasters.open(s)) for s in SENSORS}, [EVERY])
        every = list(windows(height, width, HOW.tile, OVERLAP))
        predictions = mapper.predictions(every, Window(0, 0, height, width), HOW.batch, lambda count: None)
        for _, values in in_whole(predictions, height, width, HOW.tile, OVERLAP):
            write(trained, rasters, out, values[len(SENSORS) :], values[: len(SENSORS)] > 0.5)


def write(trained: Model, rasters: Rasters, out: Path, probabilities: Tensor, measured: Tensor) -> None:
    """A whole map, in bands of rows."""
    place = rasters.place
    with open_map(out, place, CLASSES, COLORS, EVERY) as made:
        for band in blocks(place.height, place.width, HOW.tile, wide=place.width):
            made.write(band, probabilities[:, band.slices[0]], measured[:, band.slices[0]])


RIVALS = {"predict": ours, "MONAI": monai, "plain loop": plain_loop}


def mapping(rival: str, folder: Path) -> dict[str, float]:
    trained = load(folder / "model")
    if rival == "MONAI":
        importlib.import_module("monai.inferers")
    return timed(RIVALS[rival], trained, rasters_of(folder, trained), folder / f"{rival}.tif")


def overhead(width: int, tile: int) -> dict[str, float]:
    """CPU seconds of the network on two rows of windows, and of all that happens besides until rows are finished."""
    with tempfile.TemporaryDirectory() as folder:
        network = model(Path(folder), width).network
    overlap, within = tile // 4, [0.0]
    images = {sensor: torch.randn(HOW.batch, bands, tile, tile) for sensor, bands in SENSORS.items()}
    valid = {sensor: torch.ones(HOW.batch, 1, tile, tile, dtype=torch.bool) for sensor in SENSORS}
    every = list(windows(2 * tile - overlap, 10 * tile, tile, overlap))

    def predictions() -> Iterator[tuple[Window, Tensor]]:
        for first in range(0, len(every), HOW.batch):
            start = time.process_time()
            with torch.inference_mode():
                said = torch.cat([*valid.values(), network(images, valid).logits.softmax(1)], 1)
            within[0] += time.process_time() - start
            yield from zip(every[first : first + HOW.batch], said, strict=False)

    start = time.process_time()
    for _ in stitch(predictions(), 2 * tile - overlap, 10 * tile, tile, overlap):
        pass
    return {"windows": len(every), "cpu": within[0], "stitching": time.process_time() - start - within[0]}


def timed(work: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """CPU seconds of some work, and the peak memory of this process in MiB."""
    start = time.process_time()
    work(*arguments)
    return {"cpu": time.process_time() - start, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def command(folder: Path) -> dict[str, float]:
    """`dis2 predict` as a user runs it, with registration."""
    words = [word for sensor in SENSORS for word in (f"--{sensor}", str(folder / f"{sensor}.tif"))]
    whole = [sys.executable, "-m", "dis2", "predict", str(folder / "model"), *words, "--out", str(folder / "map.tif")]
    subprocess.run(whole, check=True, stderr=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}


MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "overhead": lambda width, tile: overhead(int(width), int(tile)),
    "ring": lambda kind, height, width: timed(blending, kind, int(height), int(width)),
    "memory": lambda folder: command(Path(folder)),
    "rivals": lambda rival, folder: mapping(rival, Path(folder)),
}


def alone(rounds: int, *words: object) -> dict[str, float]:
    """A measure in a process of its own: the round that took the fewest CPU seconds."""
    run = [sys.executable, __file__, "--alone", *map(str, words)]
    said = [
        subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        for _ in range(rounds)
    ]
    found: list[dict[str, float]] = [json.loads(text) for text in said]
    return min(found, key=lambda one: one["cpu"])


Rows = list[tuple[str, ...]]


def of_overhead(wide: int, rounds: int) -> Iterator[tuple[str, ...]]:
    yield "model width", "window", "windows", "network, CPU s", "stitching, CPU s", "share"
    for width in (WIDTH, 16):
        for tile in (256, 512):
            it = alone(rounds, "overhead", width, tile)
            share = f"{it['stitching'] / it['cpu']:.2%}"
            yield str(width), str(tile), f"{it['windows']}", f"{it['cpu']:.2f}", f"{it['stitching']:.3f}", share


def of_ring(wide: int, rounds: int) -> Iterator[tuple[str, ...]]:
    yield "blended in", "rows", "columns", "CPU s", "peak MiB"
    for height in (ROWS, 2 * ROWS):
        for kind in BLENDS:
            it = alone(rounds, "ring", kind, height, wide)
            yield kind, str(height), str(wide), f"{it['cpu']:.1f}", f"{it['peak']:.0f}"
    yield f"largest difference of a value: {disagreement():.1g}", "", "", "", ""


def of_memory(wide: int, rounds: int) -> Iterator[tuple[str, ...]]:
    yield "dis2 predict", "rows", "columns", "CPU s", "peak MiB"
    for height in (ROWS, 2 * ROWS):
        with tempfile.TemporaryDirectory() as name:
            made(folder := Path(name), height, wide)
            it = alone(rounds, "memory", folder)
        yield "", str(height), str(wide), f"{it['cpu']:.0f}", f"{it['peak']:.0f}"


def of_rivals(wide: int, rounds: int) -> Iterator[tuple[str, ...]]:
    yield "way", "rows", "columns", "CPU s", "peak MiB", "pixels of our class"
    for height in (ROWS, 2 * ROWS):
        with tempfile.TemporaryDirectory() as name:
            made(folder := Path(name), height, wide // 3)
            found = {rival: alone(rounds, "rivals", rival, folder) for rival in RIVALS}
            first = rasterio.open(folder / "predict.tif").read()
            for rival, it in found.items():
                same = float((rasterio.open(folder / f"{rival}.tif").read() == first).mean())
                yield rival, str(height), str(wide // 3), f"{it['cpu']:.1f}", f"{it['peak']:.0f}", f"{same:.4%}"


def made(folder: Path, height: int, width: int) -> None:
    """Rasters and a model to map them with."""
    scene(folder, height, width)
    model(folder / "model")


PARTS = {"overhead": of_overhead, "ring": of_ring, "memory": of_memory, "rivals": of_rivals}


def main(words: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    arguments.add_argument("--wide", type=int, default=20_000, help="columns of the scene (default 20000)")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--alone", nargs="+", help=argparse.SUPPRESS)
    given = arguments.parse_args(words)
    torch.set_num_threads(1)
    if given.alone:
        print(json.dumps(MEASURES[given.alone[0]](*given.alone[1:])))
        return
    for part in given.part:
        print(f"## {part}\n\n{aligned(list(PARTS[part](given.wide, given.rounds)))}\n", flush=True)


if __name__ == "__main__":
    main()
