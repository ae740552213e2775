"""Zion through the whole preparation: three grids and two projections to one store, what it costs and how well it fits.

    python benchmarks/preparation.py [--data FOLDER] [--out results/preparation]

FOLDER holds the rasters as config/zion.yaml names them (default: $DIS2_DATA, else ../shared/data beside the repository). Runs the
stages one by one; prints their time and memory, what every source was and became, the pixels of every class, and an opinion on
the alignment that shares nothing with registration; draws the store's sensors and labels into `preparation.png`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from scipy import ndimage

from dis2.config.data import IGNORE, SPLITS, Data
from dis2.config.run import read_run
from dis2.files import read_json
from dis2.models.registry import METHODS
from dis2.raster.grid import Window
from dis2.raster.warp import grid_of
from dis2.tiles.split import in_split
from dis2.tiles.store import Store, open_store

ROOT = Path(__file__).parents[1]
CONFIG, SCENE = ROOT / "config" / "zion.yaml", "zion"
CROPS = {"canyon": (Window(850, 630, 128, 128), "#ffd400"), "river": (Window(1220, 340, 128, 128), "#00e5ff")}
FARTHEST = 2
"""Pixels around its place in which a layer might fit better."""

Image = NDArray[Any]


class Layers(NamedTuple):
    """All that the store holds, each on the same grid."""

    visible: Image
    infrared: Image
    elevation: Image
    measured: Image
    """where elevation is, and around"""
    labels: Image
    resolution: float


class Opinion(NamedTuple):
    """The share of another layer that one explains where it lies, the best that it does elsewhere, and where the peak is."""

    here: float
    elsewhere: float
    peak: tuple[float, float]


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(os.environ.get("DIS2_DATA", beside)), help="holds zion/")
    arguments.add_argument("--out", type=Path, default=ROOT / "results" / "preparation", help="folder for all that is made")
    given = arguments.parse_args()
    os.environ["DIS2_DATA"] = str(given.data.resolve())
    prepare(given.out)
    data = read_run([CONFIG], METHODS).data
    store, found = open_store(given.out / f"{SCENE}.zarr"), read_json(given.out / "registered.json")["sensors"]
    print_sources(data, store, found)
    print_classes(data, store)
    layers = layers_of(store)
    print_fit(layers)
    draw(data, layers, found, given.out / "preparation.png")
    print(f"picture: {given.out / 'preparation.png'}")


def prepare(folder: Path) -> None:
    """Runs the stages as the workflow does, each in a process of its own, and prints what they took."""
    config, scene, shifts = ("--config", CONFIG), ("--scene", SCENE), folder / "registered.json"
    stages: dict[str, tuple[str | Path, ...]] = {
        "check": (*scene, "--out", folder / "checked.json"),
        "register": (*scene, "--out", shifts, "--picture", folder / "registered.png"),
        "tile": (*scene, "--shifts", shifts, "--out", folder / f"{SCENE}.zarr"),
        "statistics": ("--tiles", folder, "--out", folder / "statistics.json"),
    }
    table(("stage", "s", "CPU s", "peak MiB"), [(name, *measured(name, *config, *rest)) for name, rest in stages.items()])


def measured(*words: str | Path) -> tuple[str, ...]:
    """Runs one stage: its seconds, CPU seconds and peak memory in MiB."""
    command = [sys.executable, "-m", "dis2", *map(str, words)]
    start = time.monotonic()
    _, status, used = os.wait4(os.posix_spawn(sys.executable, command, os.environ), 0)
    if status:
        raise SystemExit(os.waitstatus_to_exitcode(status))
    seconds, cpu = time.monotonic() - start, used.ru_utime + used.ru_stime
    return f"{seconds:.1f}", f"{cpu:.1f}", f"{used.ru_maxrss / 1024:.0f}"


def print_sources(data: Data, store: Store, found: dict[str, Any]) -> None:
    """What every source was, and what registration says of it."""
    whole = Window(0, 0, store.grid.height, store.grid.width)
    scene = data.scenes[SCENE]
    assert scene.labels
    rows = []
    for layer, file in [*((sensor, files[0]) for sensor, files in scene.sensors.items()), ("labels", scene.labels.file)]:
        own = grid_of(file)
        valid = store.valid(layer, whole) if layer in store.sensors else store.labels(whole) != IGNORE
        assert own.crs
        metres = own.resolution * (own.crs.units_factor[1] * 6_371_000 if own.crs.is_geographic else 1)
        size = f"{own.height} x {own.width}"
        rows.append((layer, own.crs.to_string(), f"{metres:.2f} m", size, f"{100 * valid.mean():.2f} %", told(found.get(layer))))
    table(("layer", "CRS", "pixel (north)", "size", "valid", "registration"), rows)
    grid = store.grid
    print(f"all on {grid.crs} at {grid.resolution:g} m, {grid.height} x {grid.width}\n")


def told(result: dict[str, Any] | None) -> str:
    """What registration says of a sensor, in a few words."""
    if result is None:
        return "not registered: its georeferencing is trusted"
    if result["method"] == "reference":
        return "the reference"
    if not result["accepted"]:
        return f"left as it is: {result['reason']}"
    used = sum(window["used"] for window in result["windows"])
    return f"dx {result['shift']['dx']:+.3f}, dy {result['shift']['dy']:+.3f} px ({used} of {len(result['windows'])} windows)"


def print_classes(data: Data, store: Store) -> None:
    """The pixels of every class, in all and in every split."""
    grid = store.grid
    labels = store.labels(Window(0, 0, grid.height, grid.width))
    parts = [in_split(data, SCENE, split, Window(0, 0, *labels.shape), *labels.shape) for split in SPLITS]
    counts = [np.bincount(labels[part], minlength=256) for part in (np.ones_like(labels, bool), *parts)]
    rows = [(name, *(int(count[index]) for count in counts)) for index, name in enumerate(data.classes)]
    table(("class", "pixels", *SPLITS), [*rows, ("none", *(int(count[IGNORE]) for count in counts))])


def layers_of(store: Store) -> Layers:
    whole = Window(0, 0, store.grid.height, store.grid.width)
    heights, there = store.image("elevation", whole)
    visible, infrared = (store.image(sensor, whole)[0] for sensor in ("visible", "infrared"))
    inside = ndimage.binary_erosion(there, iterations=4, border_value=1)
    return Layers(visible, infrared[0], heights[0], inside, store.labels(whole), store.grid.resolution)


def print_fit(layers: Layers) -> None:
    """How much of another layer each one explains where it lies, and where it would explain more."""
    red, near = layers.visible[2].astype(float), layers.infrared.astype(float)
    labelled = layers.labels != IGNORE
    opinions = {
        "infrared, of red": opinion(np.log(near)[None], np.log(red), labelled),
        "elevation, by its slopes, of infrared": opinion(normals(layers), np.log(near), layers.measured),
        "labels, by their means, of (infrared - red) / (infrared + red)": opinion(
            one_hot(layers.labels), (near - red) / (near + red), labelled
        ),
    }
    rows = [(name, f"{it.here:.4f}", f"{it.elsewhere:.4f}", "{:+.2f}, {:+.2f}".format(*it.peak)) for name, it in opinions.items()]
    table(("what a layer explains", "in place", "best elsewhere", "peak dx, dy in px"), rows)


def normals(layers: Layers) -> Image:
    """The three parts of the ground's normal [3, h, w]: the light on it is a sum of them, weighted by where the sun stands."""
    down, right = np.gradient(ndimage.gaussian_filter(layers.elevation.astype(float), 1), layers.resolution)
    return np.stack([right, down, np.ones_like(right)]) / np.sqrt(1 + right**2 + down**2)


def one_hot(labels: Image) -> Image:
    """[K, h, w]"""
    return (labels == np.unique(labels[labels != IGNORE])[:, None, None]).astype(float)


def opinion(terms: Image, values: Image, used: Image) -> Opinion:
    """What terms [t, h, w] explain of values [h, w] if they are taken from up to FARTHEST pixels beside."""
    steps = range(-FARTHEST, FARTHEST + 1)
    inner = (slice(FARTHEST, -FARTHEST),) * 2
    found = np.empty((len(steps),) * 2)
    for row, dy in enumerate(steps):
        for column, dx in enumerate(steps):
            moved, there = np.roll(terms, (-dy, -dx), (1, 2)), np.roll(used, (-dy, -dx), (0, 1))
            found[row, column] = regression(moved[:, *inner], values[inner], (used & there)[inner])[1]
    y, x = map(int, np.unravel_index(found.argmax(), found.shape))
    here, elsewhere = found[FARTHEST, FARTHEST], np.delete(found, FARTHEST * (len(steps) + 1)).max()
    return Opinion(here, elsewhere, (vertex(found[y], x) - FARTHEST, vertex(found[:, x], y) - FARTHEST))


def regression(terms: Image, values: Image, used: Image) -> tuple[Image, float]:
    """Coefficients of the terms and of a constant, and the share of the variance that they explain."""
    design = np.stack([*terms[:, used], np.ones(used.sum())])
    coefficients = np.linalg.lstsq(design @ design.T, design @ values[used])[0]
    return coefficients, float(1 - (values[used] - coefficients @ design).var() / values[used].var())


def vertex(values: Image, at: int) -> float:
    """Where the parabola through a maximum and its neighbours has its top."""
    if not 0 < at < len(values) - 1:
        return float(at)
    left, middle, right = values[at - 1 : at + 2]
    return float(at + 0.5 * (left - right) / (left - 2 * middle + right))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints columns as wide as they must be."""
    lines = [list(map(str, line)) for line in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(flush=True)


def draw(data: Data, layers: Layers, found: dict[str, Any], out: Path) -> None:
    """The scene, and two places at full resolution: every layer, and how its edges lie over the visible image."""
    light = sunlit(layers)
    colors = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in (*data.colors, *["#ffffff"] * 256)]) / 255
    pictures = {"visible": layers.visible[::-1], "infrared": layers.infrared, "elevation": light}
    titles = {name: f"{name}\n{fill(told(found[name]), 45)}" for name in pictures} | {"labels": "labels\nwhite: none (water)"}
    figure = Figure(figsize=(14, 19.5), layout="constrained")
    axes = figure.subplots(1 + 2 * len(CROPS), len(titles), height_ratios=[1.3, *[1] * 2 * len(CROPS)])
    whole = [*map(stretched, pictures.values()), colors[layers.labels]]
    for axis, picture, title in zip(axes[0], whole, titles.values(), strict=True):
        show(axis, picture, title)
        for window, color in CROPS.values():
            axis.add_patch(Rectangle((window.x, window.y), window.width, window.height, fill=False, edgecolor=color, linewidth=2))
    lines = {"infrared": edges(np.log(layers.infrared)), "elevation": edges(light)}
    for (place, (window, color)), above, below in zip(CROPS.items(), axes[1::2], axes[2::2], strict=True):
        seen = [stretched(picture[..., *window.slices]) for picture in pictures.values()]
        classes = colors[layers.labels[window.slices]]
        for axis, picture, name in zip(above, [*seen, classes], titles, strict=True):
            show(axis, picture, f"{place}: {name}" + (", lit as infrared is" if name == "elevation" else ""), color)
        base = grey(seen[0])
        show(below[0], strips([base, *seen[1:]]), "visible, infrared, elevation in strips", color)
        for axis, (name, line) in zip(below[1:], lines.items(), strict=False):
            show(axis, np.where(line[window.slices][..., None], (1, 0.1, 0.1), base), f"edges of {name} over visible", color)
        show(below[-1], 0.55 * base + 0.45 * classes, "labels over visible", color)
    handles = [Patch(color=color, label=name) for name, color in zip(data.classes, data.colors, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.savefig(out, dpi=90)


def sunlit(layers: Layers) -> Image:
    """The ground [h, w] in the light that explains infrared best."""
    terms = normals(layers)
    weights, _ = regression(terms, np.log(layers.infrared), layers.measured)
    return np.where(layers.measured, np.tensordot(weights[:-1], terms, 1), np.nan)


def stretched(image: Image) -> Image:
    """From 0 to 1 between the 2nd and 98th percentile [h, w, 3]; white where nothing is."""
    bands = np.broadcast_to(image, (3, *image.shape[-2:])).astype(float)
    low, high = (np.nanpercentile(bands, q, axis=(1, 2), keepdims=True) for q in (2, 98))
    return np.moveaxis(np.nan_to_num(np.clip((bands - low) / (high - low), 0, 1), nan=1.0), 0, -1)


def grey(picture: Image) -> Image:
    return np.repeat(picture.mean(2, keepdims=True), 3, 2)


def edges(image: Image) -> Image:
    """Thin lines where an image changes most: where it bends from rising more to rising less."""
    filled = np.nan_to_num(image, nan=float(np.nanmean(image)))
    steep = ndimage.gaussian_gradient_magnitude(filled, 1)
    bent = ndimage.gaussian_laplace(filled, 1) > 0
    return (bent & ~ndimage.binary_erosion(bent)) & (steep > np.quantile(steep, 0.85))


def strips(pictures: Sequence[Image], wide: int = 10) -> Image:
    """Strips of the pictures in turn: what runs across runs on where they fit."""
    turn = np.arange(pictures[0].shape[0])[:, None, None] // wide % len(pictures)
    return np.choose(turn, pictures)


def show(axis: Axes, picture: Image, title: str, color: str = "#000000") -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set(xticks=[], yticks=[])
    for side in axis.spines.values():
        side.set(color=color, linewidth=2)


if __name__ == "__main__":
    main()
