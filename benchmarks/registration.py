"""Known shifts in, known shifts out: second sensors of eight kinds, ours and scikit-image's phase correlation on the same pairs.

    python benchmarks/registration.py [--pairs 20] [--source zion] [--source built-in]

Landsat and SRTM over Zion National Park are read from $DIS2_DATA/zion (default: ../shared/data/zion beside the repository); the
built-in images and heights are the simulator's, without clouds. Errors are in pixels, that of an affine at the worst corner; a
rival that never refuses is scored on all pairs and on those that ours accepted. The radar is the simulator's, too, with its own
pixels of two metres, layover and shadows: there errors of a quarter of its own pixel, half a pixel here, are what can be had.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from scipy import ndimage

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.config.registration import Registration
from dis2.config.simulate import Simulate
from dis2.files import read_json
from dis2.raster.consensus import Match
from dis2.raster.grid import Shift, Window
from dis2.raster.landscape import CLASSES, Landscape, draw_landscape
from dis2.raster.match import Kind, View, lattice, match
from dis2.raster.scene import open_sensor, scene_grid
from dis2.raster.simulate import generator, look_multispectral, simulate

SIZE, MARGIN, LARGEST = 512, 64, 8.0
DATA = Path(os.environ.get("DIS2_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


class Pair(NamedTuple):
    """Two sensors' views of one place, and by how much the second one is truly misregistered."""

    reference: View
    second: View
    kinds: tuple[Kind, Kind]
    shift: Shift


def shifted(image: NDArray, shift: Shift) -> NDArray:
    """What is at (x, y) comes to (x + dx, y + dy): by the phases of its Fourier transform."""
    ends = [np.minimum(np.arange(side), np.arange(side)[::-1]) / (MARGIN / 2) for side in image.shape]
    taper = np.outer(*(np.sin(np.pi / 2 * np.clip(end, 0, 1)) ** 2 for end in ends))
    y, x = np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])
    spectrum = np.fft.fft2((image - image.mean()) * taper) * np.exp(-2j * np.pi * (x * shift.dx + y * shift.dy))
    return np.fft.ifft2(spectrum).real + image.mean()


def grown(image: NDArray, shift: Shift) -> NDArray:
    """The same by an affine, interpolated."""
    height, width = image.shape
    y, x = np.mgrid[:height, :width] + 0.5
    columns, rows = ~shift.around(width / 2, height / 2) @ (x, y)
    return ndimage.map_coordinates(image, (rows - 0.5, columns - 0.5), order=3, mode="nearest")


def inner(image: NDArray) -> NDArray:
    """Without the margin that a shift needs."""
    return image[MARGIN:-MARGIN, MARGIN:-MARGIN]


def speckled(image: NDArray, looks: float, rng: Generator) -> NDArray:
    return (0.05 + np.clip(image, 0, 1)) * rng.gamma(looks, 1 / looks, image.shape)


SECONDS: dict[str, Callable[[NDArray, Generator], NDArray]] = {
    "same, 5 % noise": lambda image, rng: image + rng.normal(0, 0.05, image.shape),
    "inverted gamma": lambda image, rng: 1 - np.clip(image, 0, 1) ** 0.5 + rng.normal(0, 0.02, image.shape),
    "non-monotone": lambda image, rng: np.abs(2 * np.clip(image, 0, 1) - 1) + rng.normal(0, 0.02, image.shape),
    "speckle, 4 looks": lambda image, rng: speckled(image, 4, rng),
    "speckle, 1 look": lambda image, rng: speckled(image, 1, rng),
}
SURFACE, AFFINE, RADAR = "DSM to DSM", "same, affine", "built-in radar"
KINDS = (*SECONDS, SURFACE, AFFINE)
SOURCES = ("zion", "built-in")
STRETCH = 0.005
"""The largest growth of an affine misregistration, pixels per pixel."""


def pairs(kind: str, count: int, source: str) -> Iterator[Pair]:
    """As many pairs of a kind, each at another place with another shift; the same ones every time."""
    if kind == RADAR:
        yield from radar_pairs(count)
        return
    rng = np.random.default_rng(2026)
    for place in places(kind, count, source, rng):
        shift = Shift(*rng.uniform(-LARGEST, LARGEST, 2))
        if kind == AFFINE:
            shift = Shift(shift.dx / 2, shift.dy / 2, tuple(rng.uniform(-STRETCH, STRETCH, 4)))
            yield Pair(whole(inner(place)), whole(SECONDS["same, 5 % noise"](inner(grown(place, shift)), rng)), IMAGES, shift)
        elif kind == SURFACE:
            noise = HEIGHT_NOISE[source]
            first, second = (x + rng.normal(0, noise, x.shape) for x in (inner(place), inner(shifted(place, shift)) + 7))
            yield Pair(whole(first), whole(second), ("surface", "surface"), shift)
        else:
            yield Pair(whole(inner(place)), whole(SECONDS[kind](inner(shifted(place, shift)), rng)), IMAGES, shift)


IMAGES: tuple[Kind, Kind] = ("image", "image")
HEIGHT_NOISE = {"zion": 1.5, "built-in": 0.15}
"""Metres: of a space mission, and of a flight."""


def places(kind: str, count: int, source: str, rng: Generator) -> Iterator[NDArray]:
    """Reflectance, most of it between 0 and 1, or heights: parts of one real scene, or a drawn landscape each."""
    if source == "zion":
        folder = data_folder()
        assert folder is not None
        scene = heights(folder) if kind == SURFACE else red(folder)
        for _ in range(count):
            yield somewhere(scene, rng)
        return
    settings = Simulate.model_validate({"size": SIZE + 2 * MARGIN, "sensors": {"a": "multispectral"}, "scenes": {}, "clouds": 0})
    for number in range(count):
        landscape = landscape_of(number, settings.size)
        seen = landscape.surface if kind == SURFACE else look_multispectral(landscape, settings, rng)[2]
        yield stretched(landscape.scene(seen)) if kind != SURFACE else landscape.scene(seen)


@cache
def landscape_of(number: int, size: int) -> Landscape:
    """Drawn once, however many kinds of pairs are made of it."""
    return draw_landscape(generator(2026, number), size)


def whole(image: NDArray) -> View:
    return image[None].astype(np.float32), np.ones(image.shape, bool)


def somewhere(scene: NDArray, rng: Generator) -> NDArray:
    """A part of the scene without holes, and its margin."""
    side = SIZE + 2 * MARGIN
    while True:
        y, x = (int(rng.integers(0, length - side + 1)) for length in scene.shape)
        part = scene[y : y + side, x : x + side]
        if np.isfinite(part).all():
            return part


def red(folder: Path) -> NDArray:
    """Landsat's red band."""
    with rasterio.open(folder / "landsat8_b4.tif") as source:
        band = source.read(1).astype(float)
        return stretched(np.where(band == source.nodata, np.nan, band))


def stretched(band: NDArray) -> NDArray:
    """Most of it between 0 and 1."""
    low, high = np.nanpercentile(band, (1, 99))
    return (band - low) / (high - low)


def heights(folder: Path) -> NDArray:
    """SRTM on Landsat's grid, in metres."""
    with rasterio.open(folder / "landsat8_b4.tif") as grid, rasterio.open(folder / "srtm_elevation.tif") as source:
        place = {"crs": grid.crs, "transform": grid.transform, "width": grid.width, "height": grid.height}
        with WarpedVRT(source, resampling=Resampling.cubic_spline, **place) as warped:
            return np.where(warped.dataset_mask() > 0, warped.read(1).astype(float), np.nan)


def radar_pairs(count: int) -> Iterator[Pair]:
    """The built-in scenes: a multispectral sensor at 1 m, and a radar at 2 m in another UTM zone."""
    names = [f"scene-{number}" for number in range(count)]
    sensors = {"optical": "multispectral", "sar": "radar"}
    settings = Simulate.model_validate(
        {"seed": 2026, "size": SIZE, "sensors": sensors, "scenes": {name: {"split": "train"} for name in names}}
    )
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            place = Path(made) / name
            simulate(settings, list(CLASSES), name, place)
            scene = {"sensors": {sensor: str(place / f"{sensor}.tif") for sensor in sensors}}
            bands = {"optical": {"bands": 4}, "sar": {"bands": 2}}
            data = Data.model_validate({"name": "radar", "sensors": bands, "classes": list(CLASSES), "scenes": {name: scene}})
            grid = scene_grid(data, GridSettings(), name)
            views = []
            for sensor in sensors:
                with open_sensor(data, GridSettings(), name, sensor, grid) as reader:
                    views.append(reader.read(Window(0, 0, SIZE, SIZE)))
            yield Pair(views[0], views[1], ("image", "image"), Shift(**read_json(place / "truth.json")["shifts"]["sar"]))


def ours(pair: Pair) -> Match:
    """Our answer to a pair."""
    settings = Registration()
    height, width = pair.reference[1].shape

    def read(window: Window) -> tuple[View, View]:
        first, second = ((bands[:, *window.slices], valid[window.slices]) for bands, valid in (pair.reference, pair.second))
        return first, second

    return match(lattice(height, width, settings), read, settings, pair.kinds)


def phase_correlation(pair: Pair) -> Shift:
    """scikit-image's answer to the same pair: bands averaged, holes filled by the mean."""
    from skimage.registration import phase_cross_correlation

    filled = [np.where(valid, bands.mean(0), bands.mean(0)[valid].mean()) for bands, valid in (pair.reference, pair.second)]
    dy, dx = phase_cross_correlation(*filled, upsample_factor=100)[0]
    return Shift(-float(dx), -float(dy))


def error(found: Shift, true: Shift) -> float:
    """Pixels between two shifts where they differ most: at a corner, if one grows."""
    x, y = np.array([-1, 1, -1, 1]) * SIZE / 2, np.array([-1, -1, 1, 1]) * SIZE / 2
    (mine, across), (theirs, down) = found.around(0, 0) @ (x, y), true.around(0, 0) @ (x, y)
    return float(np.hypot(mine - theirs, across - down).max())


def summary(errors: NDArray) -> str:
    """Median, worst, and how many are within half a pixel."""
    if not len(errors):
        return "-"
    return f"{np.median(errors):7.3f} {errors.max():8.3f} {(errors <= 0.5).sum():3d}/{len(errors)}"


def data_folder() -> Path | None:
    """Where Zion's rasters are, if they are."""
    folder = DATA / "zion"
    return folder if (folder / "landsat8_b4.tif").exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="pairs of every kind")
    parser.add_argument("--source", action="append", choices=SOURCES, help="whose images (default: both)")
    arguments = parser.parse_args()
    sources = arguments.source or SOURCES
    if "zion" in sources and data_folder() is None:
        raise SystemExit("Zion's rasters are not there: set DIS2_DATA to the folder that holds zion/, or give --source built-in")
    head = "median    worst  < 0.5 px"
    print(f"{'':8s} {'second sensor':17s} | accepted | ours: {head} | phase correlation: {head} | where ours accepts: {head}")
    cells = [(kind, source) for source in sources for kind in (*KINDS, *([RADAR] if source == "built-in" else []))]
    for kind, source in cells:
        results = [(ours(pair), phase_correlation(pair), pair.shift) for pair in pairs(kind, arguments.pairs, source)]
        accepted = np.array([found.accepted for found, _, _ in results])
        mine = np.array([error(found.shift, true) for found, _, true in results])[accepted]
        rival = np.array([error(shift, true) for _, shift, true in results])
        columns = f"{summary(mine):>31s} | {summary(rival):>44s} | {summary(rival[accepted]):>44s}"
        print(f"{source:8s} {kind:17s} | {accepted.sum():2d} / {len(results):2d}  | {columns}", flush=True)


if __name__ == "__main__":
    main()
