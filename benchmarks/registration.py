"""Known shifts in, known shifts out: seven kinds of second sensor, ours and scikit-image's phase correlation on the same pairs.

    python benchmarks/registration.py [--pairs 20]

Landsat and SRTM over Zion National Park are read from $DIS2_DATA/zion (default: ../shared/data/zion beside the repository);
the radar is the built-in simulator's. Errors are in pixels; a rival that never refuses is scored on all pairs and on those
that ours accepted.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from dis2.config.registration import Registration
from dis2.raster.consensus import Match
from dis2.raster.grid import Shift, Window
from dis2.raster.match import Kind, View, lattice, match

SIZE, MARGIN, LARGEST = 512, 64, 8.0


class Pair(NamedTuple):
    """Two sensors' views of one place, and by how much the second one is truly shifted."""

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
SURFACE, RADAR = "DSM to DSM", "built-in radar"
KINDS = (*SECONDS, SURFACE, RADAR)


def pairs(kind: str, count: int, folder: Path) -> Iterator[Pair]:
    """As many pairs of a kind, each at another place with another shift; the same ones every time."""
    if kind == RADAR:
        yield from radar_pairs(count)
        return
    rng = np.random.default_rng(2026)
    scene = heights(folder) if kind == SURFACE else red(folder)
    for _ in range(count):
        place = somewhere(scene, rng)
        shift = Shift(*rng.uniform(-LARGEST, LARGEST, 2))
        moved = inner(shifted(place, shift))
        if kind == SURFACE:
            first, second = (image + rng.normal(0, 1.5, image.shape) for image in (inner(place), moved + 7))
        else:
            first, second = inner(place), SECONDS[kind](moved, rng)
        sensor: Kind = "surface" if kind == SURFACE else "image"
        yield Pair(whole(first), whole(second), (sensor, sensor), shift)


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
    """Landsat's red band, most of it between 0 and 1."""
    with rasterio.open(folder / "landsat8_b4.tif") as source:
        band = source.read(1).astype(float)
        band[band == source.nodata] = np.nan
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
    from dis2.config.data import Data
    from dis2.config.grid import GridSettings
    from dis2.config.simulate import Simulate
    from dis2.files import read_json
    from dis2.raster.landscape import CLASSES
    from dis2.raster.scene import open_sensor, scene_grid
    from dis2.raster.simulate import simulate

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
    return math.hypot(found.dx - true.dx, found.dy - true.dy)


def summary(errors: NDArray) -> str:
    """Median, worst, and how many are within half a pixel."""
    if not len(errors):
        return "-"
    return f"{np.median(errors):7.3f} {errors.max():8.3f} {(errors <= 0.5).sum():3d}/{len(errors)}"


def data_folder() -> Path | None:
    """Where Zion's rasters are, if they are."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DIS2_DATA", beside)) / "zion"
    return folder if (folder / "landsat8_b4.tif").exists() else None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=20, help="pairs of every kind")
    count = arguments.parse_args().pairs
    folder = data_folder()
    if folder is None:
        raise SystemExit("Zion's rasters are not there: set DIS2_DATA to the folder that holds zion/")
    head = "median    worst  < 0.5 px"
    print(f"{'second sensor':18s} | accepted | ours: {head} | phase correlation: {head} | where ours accepts: {head}")
    for kind in KINDS:
        results = [(ours(pair), phase_correlation(pair), pair.shift) for pair in pairs(kind, count, folder)]
        accepted = np.array([found.accepted for found, _, _ in results])
        mine = np.array([error(found.shift, true) for found, _, true in results])[accepted]
        rival = np.array([error(shift, true) for _, shift, true in results])
        columns = f"{summary(mine):>31s} | {summary(rival):>44s} | {summary(rival[accepted]):>44s}"
        print(f"{kind:18s} | {accepted.sum():3d} / {count:2d} | {columns}", flush=True)


if __name__ == "__main__":
    main()
