"""The built-in scenes: made-up places, seen by sensors that each know something no other does, with a known truth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds
from scipy import ndimage

from dis2.config.simulate import Simulate
from dis2.errors import UserError
from dis2.files import whole, write_json
from dis2.raster.grid import Grid, Shift
from dis2.raster.landscape import BUILDING, CLASSES, MATERIALS, TREE, WATER, Array, Landscape, draw_landscape, noise

REFERENCE = CRS.from_epsg(32633)
IGNORE = 255
BANDS = ("blue", "green", "red", "near_infrared")
SPECTRA = np.array([material.reflectance for material in MATERIALS.values()], np.float32)
BACKSCATTER = np.array([material.backscatter for material in MATERIALS.values()], np.float32)


class Kind(NamedTuple):
    """A kind of sensor: its files, its pixels, and how it sees a place."""

    bands: tuple[str, ...]
    dtype: str
    nodata: float
    crs: CRS
    resolution: float
    phase: float  # where its pixels begin, in metres
    error: float  # its misregistration as a share of the setting
    look: Callable[[Landscape, Simulate, Generator], Array]  # [bands, y, x] on the landscape's pixels, NaN in holes
    measure: Callable[[Array, Simulate, Generator], Array]  # from that, resampled to the sensor's pixels, to its numbers


def simulate(settings: Simulate, classes: Sequence[str], scene: str, folder: Path) -> None:
    """Write the rasters of one scene, its labels and its truth; the same settings give the same bytes."""
    if sorted(classes) != sorted(CLASSES):
        raise UserError(
            f"data.classes: {', '.join(classes)}: the built-in scenes need exactly {', '.join(CLASSES)}, in any order"
        )
    if scene not in settings.scenes:
        raise UserError(f"simulate.scenes: there is no scene {scene!r}. Use one of: {', '.join(settings.scenes)}")
    grid = place_grid(settings, scene)
    landscape = draw_landscape(generator(settings.seed, scene), settings.size)
    shifts = {}
    for sensor, kind_name in settings.sensors.items():
        if sensor in settings.scenes[scene].lacks:
            continue
        kind, rng = KINDS[kind_name], generator(settings.seed, scene, sensor)
        shifts[sensor] = draw_shift(settings.misregistration * kind.error, rng)
        observe(landscape, grid, kind, shifts[sensor], settings, rng, folder / f"{sensor}.tif")
    write_raster(folder / "labels.tif", labels(landscape, classes)[None], grid, IGNORE, ("class",))
    truth = {
        "scene": scene,
        "grid": {"crs": grid.crs.to_string() if grid.crs else None, "resolution": grid.resolution},
        "shifts": {sensor: {"dx": shift.dx, "dy": shift.dy} for sensor, shift in shifts.items()},
    }
    write_json(folder / "truth.json", truth)


def generator(*key: object) -> Generator:
    """Random numbers that depend on nothing but the key, on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big"))


def place_grid(settings: Simulate, scene: str) -> Grid:
    """The reference grid of a scene: 1 m pixels somewhere at the seam of two UTM zones."""
    east, north = generator(settings.seed, scene, "where").integers(0, 20, 2) * 1000
    return Grid(REFERENCE, Affine(1, 0, 286_000 + east, 0, -1, 5_560_000 - north), settings.size, settings.size)


def draw_shift(largest: float, rng: Generator) -> Shift:
    """A misregistration in any direction, between a third and the whole of the largest one."""
    angle, length = rng.uniform(0, 2 * np.pi), largest * rng.uniform(0.33, 1)
    return Shift(round(length * math.cos(angle), 3) + 0.0, round(length * math.sin(angle), 3) + 0.0)  # no -0.0


def labels(landscape: Landscape, classes: Sequence[str]) -> NDArray[np.uint8]:
    """The class of every pixel by its place in `classes`; a corner that nobody mapped is ignored."""
    codes = np.array([list(classes).index(name) for name in CLASSES], np.uint8)[landscape.scene(landscape.cover)]
    y, x = np.ogrid[: len(codes), : len(codes)]
    codes[x + y < len(codes) // 8] = IGNORE
    return codes


def observe(landscape: Landscape, grid: Grid, kind: Kind, shift: Shift, settings: Simulate, rng: Generator, path: Path) -> None:
    """Write what a sensor sees: displaced by the shift against what its georeferencing claims."""
    own = sensor_grid(grid, kind)
    rows, columns = positions(own, grid)
    at = rows - shift.dy + landscape.margin, columns - shift.dx + landscape.margin
    image = kind.look(landscape, settings, rng)
    seen = np.stack([ndimage.map_coordinates(band, at, order=1, cval=np.nan) for band in image])
    values = kind.measure(seen, settings, rng)
    write_raster(path, np.where(np.isnan(values), kind.nodata, values).astype(kind.dtype), own, kind.nodata, kind.bands)


def sensor_grid(grid: Grid, kind: Kind) -> Grid:
    """The sensor's own pixels, enough to cover the scene."""
    step, bounds = kind.resolution, np.array(transform_bounds(grid.crs, kind.crs, *grid.bounds))
    left, bottom = np.floor((bounds[:2] - kind.phase) / step).astype(int)
    right, top = np.ceil((bounds[2:] - kind.phase) / step).astype(int)
    corner = Affine(step, 0, left * step + kind.phase, 0, -step, top * step + kind.phase)
    return Grid(kind.crs, corner, int(top - bottom), int(right - left))


def positions(own: Grid, grid: Grid) -> tuple[Array, Array]:
    """Where the pixels of a sensor claim to be: rows and columns of the reference grid, whole at its pixel centres."""
    rows, columns = np.mgrid[: own.height, : own.width] + 0.5
    xs, ys = own.transform @ (columns, rows)
    if own.crs != grid.crs:
        xs, ys = (np.reshape(axis, rows.shape) for axis in transform(own.crs, grid.crs, xs.ravel(), ys.ravel()))
    columns, rows = ~grid.transform @ (xs, ys)
    return rows - 0.5, columns - 0.5


def rise(surface: Array, azimuth: float, slope: float, reach: int = 40) -> Array:
    """By how many metres the surface towards an azimuth (clockwise from up) stands above a line that climbs at this slope."""
    highest, wide = np.full_like(surface, -np.inf), np.pad(surface, reach, mode="edge")
    for step in range(1, reach + 1):
        y, x = reach - round(step * math.cos(azimuth)), reach + round(step * math.sin(azimuth))
        there = wide[y : y + len(surface), x : x + surface.shape[1]]
        np.maximum(highest, there - np.float32(step * slope), out=highest)
    return highest - surface


def look_multispectral(landscape: Landscape, settings: Simulate, rng: Generator) -> Array:
    """Reflectance under a low sun: shade and cast shadows darken it, clouds leave holes, haze stays."""
    shape = landscape.tone.shape
    cover = landscape.cover[None]
    azimuth, elevation = rng.uniform(2.0, 4.0), math.radians(rng.uniform(36, 52))
    mottle = 1 + 0.07 * noise(rng, shape, 5) + 0.07 * noise(rng, shape, 40) + 0.06 * rng.standard_normal(shape, np.float32)
    image = np.moveaxis(SPECTRA[landscape.material], -1, 0) * (landscape.tone * mottle)
    vigour = np.where(cover[0] >= TREE, 1 + 0.13 * noise(rng, shape, 60), 1)
    image[3] *= vigour
    image[:3] *= 2 - vigour
    image *= sunlight(landscape.surface, azimuth, elevation)
    clouds = noise(rng, shape, settings.size / 4) + 0.35 * noise(rng, shape, 24) + 0.12 * noise(rng, shape, 7)
    hidden = min(0.9, settings.clouds * rng.uniform(0.6, 1.4))
    edge = np.quantile(clouds, 1 - hidden) if hidden else np.inf
    shadow = np.roll(clouds, (round(30 * math.cos(azimuth)), -round(30 * math.sin(azimuth))), (0, 1)) > edge + 0.1
    image *= np.where(shadow, 0.45, 1)
    haze = np.clip(1 - (edge - clouds) / 0.3, 0, 1) * 0.25
    image = image * (1 - haze) + 0.6 * haze
    image *= rng.normal(1, 0.06, (4, 1, 1)) * rng.normal(1, 0.06)
    image = np.stack([ndimage.gaussian_filter(band, 0.55) for band in image])
    return np.where(clouds > edge, np.nan, image).astype(np.float32)


def sunlight(surface: Array, azimuth: float, elevation: float) -> Array:
    """How much light each pixel gets in four bands, 1 on open flat ground: the blue sky alone in a cast shadow."""
    down, right = np.gradient(surface)
    uphill = right * math.sin(azimuth) - down * math.cos(azimuth)  # towards the sun
    direct = (math.sin(elevation) - math.cos(elevation) * uphill) / np.sqrt(1 + right**2 + down**2) / math.sin(elevation)
    lit = ndimage.gaussian_filter((rise(surface, azimuth, math.tan(elevation)) < 0).astype(np.float32), 0.6)
    sky = np.array([0.30, 0.25, 0.21, 0.17])[:, None, None]
    return (sky + (1 - sky) * np.clip(direct, 0.1, 1.5) * lit).astype(np.float32)


def measure_multispectral(image: Array, settings: Simulate, rng: Generator) -> Array:
    """Reflectance x 10000 with the noise of the detector; 0 is kept for holes."""
    return np.clip((image + rng.normal(0, 0.003, image.shape)) * 10_000, 1, 65_535).round().astype(np.float32)


def look_radar(landscape: Landscape, settings: Simulate, rng: Generator) -> Array:
    """Backscatter (power) from one side: walls lie over the ground before them and bounce, a shadow lies behind."""
    shape, surface, cover = landscape.tone.shape, landscape.surface, landscape.cover
    towards = math.radians(rng.choice([80.0, 280.0]) + rng.uniform(-8, 8))  # where the sensor flies
    incidence = math.radians(rng.uniform(34, 44))
    level = BACKSCATTER[landscape.material] + (1.2 * noise(rng, shape, 8) + 0.8 * noise(rng, shape, 50))[..., None]
    level[cover == WATER] += rng.normal(0, 1.5)  # wind
    power = np.moveaxis(10 ** (level / 10), -1, 0)
    walls = np.where(cover == BUILDING, surface, landscape.ground)
    facing = np.exp(0.6 * noise(rng, shape, 14))
    layover = rise(walls, towards + math.pi, math.tan(incidence), 30) > 0
    bounce = rise(walls, towards + math.pi, 1.0, 2) > 0
    shadow = ndimage.gaussian_filter((rise(surface, towards, 1 / math.tan(incidence)) > 0).astype(np.float32), 0.7)
    power *= 1 - 0.9 * shadow
    power += np.array([0.25, 0.02], np.float32)[:, None, None] * (facing * layover)
    power += np.array([1.6, 0.10], np.float32)[:, None, None] * (facing * bounce)
    return np.stack([ndimage.gaussian_filter(band, 0.9) for band in power]).astype(np.float32)


def measure_radar(image: Array, settings: Simulate, rng: Generator) -> Array:
    """Decibels, after speckle and the noise of the receiver."""
    speckle = rng.gamma(settings.looks, 1 / settings.looks, image.shape)
    return (10 * np.log10((image + 10**-2.7) * speckle + 1e-6)).astype(np.float32)


def look_height(landscape: Landscape, settings: Simulate, rng: Generator) -> Array:
    """A surface from image matching: edges blurred, holes where nothing matches (water, hidden ground) and now and then."""
    shape = landscape.tone.shape
    surface = ndimage.gaussian_filter(landscape.surface, 0.8) + 0.25 * noise(rng, shape, 6) + 0.25 * noise(rng, shape, 60)
    hidden = rise(landscape.surface, rng.uniform(0, 2 * np.pi), 2.2, 8) > 0
    rough = noise(rng, shape, 12)
    lost = np.where(landscape.cover == WATER, rough > -0.1, rough > 2.3) | hidden
    return np.where(lost, np.nan, surface)[None].astype(np.float32)


def measure_height(image: Array, settings: Simulate, rng: Generator) -> Array:
    """Metres, with the noise of one measurement."""
    return (image + rng.normal(0, 0.15, image.shape)).astype(np.float32)


def write_raster(path: Path, values: NDArray, grid: Grid, nodata: float, bands: Sequence[str]) -> None:
    """A GeoTIFF that is either whole or not there."""

    profile = {"crs": grid.crs, "transform": grid.transform, "height": grid.height, "width": grid.width}
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1}
    with (
        whole(path) as part,
        rasterio.open(
            part, "w", driver="GTiff", count=len(values), dtype=values.dtype, nodata=nodata, **profile, **layout
        ) as raster,
    ):
        raster.write(values)
        raster.descriptions = tuple(bands)


KINDS = {
    "multispectral": Kind(
        ("blue", "green", "red", "near infrared"),
        "uint16",
        0,
        REFERENCE,
        1.0,
        0.0,
        0.0,
        look_multispectral,
        measure_multispectral,
    ),
    "radar": Kind(("VV", "VH"), "float32", math.nan, CRS.from_epsg(32632), 2.0, 0.0, 1.0, look_radar, measure_radar),
    "height": Kind(("height",), "float32", -9999, REFERENCE, 1.0, 0.4, 0.5, look_height, measure_height),
}
