"""A scene as the config describes it, on its grid: sensors and labels that are read in windows."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError

from dis2.config.data import IGNORE, Chip, Data, Sensor
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.raster.grid import UNMOVED, Grid, Shift, Window, intersection
from dis2.raster.labels import LabelReader, open_labels
from dis2.raster.relative import Relative
from dis2.raster.scaling import common_unit
from dis2.raster.warp import Bands, Mask, Reader, Stacked, grid_of, warped

SLACK = 1e-6
"""Pixels by which rounding may miss a multiple of the resolution."""
R = TypeVar("R")
LOST = 1 / 1000
"""Of a side: so little may a raster be smaller than others of its chip; there it measured nothing."""
OPEN = 64
"""Chips of a sensor that are kept open."""


@dataclass(frozen=True)
class Place:
    """Where a chip lies in its scene's grid."""

    name: str
    window: Window


def reference_sensor(data: Data, settings: GridSettings, scene: str) -> str:
    """The sensor whose grid is the scene's and to which others are registered: the configured one, or the first that is there."""
    has = data.in_order(data.scenes[scene].has)
    wanted = settings.reference or next(iter(data.sensors))
    return wanted if wanted in has else has[0]


def scene_grid(data: Data, settings: GridSettings, scene: str) -> Grid:
    """The common grid: of the chips side by side, of the explicit CRS and resolution, or of the reference sensor."""
    if settings.pixels:
        cells = [place.window for place in places(data, settings, scene)]
        return Grid(None, Affine.identity(), max(w.y + w.height for w in cells), max(w.x + w.width for w in cells))
    reference = reference_sensor(data, settings, scene)
    own = grid_of(data.scenes[scene].sensors[reference][0])
    if own.crs is None:
        file = data.scenes[scene].sensors[reference][0]
        raise UserError(f"{file}: has no CRS; georeference it, or use `grid: pixels` for chips that share a pixel grid")
    if settings.crs or settings.resolution:
        try:
            crs = CRS.from_user_input(settings.crs) if settings.crs else own.crs
            return covering(own, crs, settings.resolution or own.resolution)
        except CRSError:
            raise UserError(f"grid.crs: {settings.crs!r} is no CRS; give one such as EPSG:32633") from None
        except OverflowError:
            raise UserError(f"scene {scene}: grid.crs {settings.crs} does not reach it; give a CRS of its place") from None
    if reference != (settings.reference or next(iter(data.sensors))):
        wanted = settings.reference or next(iter(data.sensors))
        raise UserError(f"scene {scene}: lacks the reference sensor {wanted}; give grid.resolution so that its grid is known")
    return own


def covering(own: Grid, crs: CRS, resolution: float) -> Grid:
    """The north-up grid of a CRS and resolution, on multiples of the resolution, that covers another grid."""
    left, bottom, right, top = (side / resolution for side in own.bounds_in(crs))
    x, y = math.floor(left + SLACK), math.ceil(top - SLACK)
    width, height = math.ceil(right - SLACK) - x, y - math.floor(bottom + SLACK)
    return Grid(crs, Affine(resolution, 0, x * resolution, 0, -resolution, y * resolution), height, width)


def places(data: Data, settings: GridSettings, scene: str) -> list[Place]:
    """Where each chip lies: side by side in rows, about as many rows as columns; a georeferenced scene is one chip."""
    if not settings.pixels:
        grid = scene_grid(data, settings, scene)
        return [Place("", Window(0, 0, grid.height, grid.width))]
    chips = data.scenes[scene].footprints
    sizes = {name: _size(chip, f"{scene} {name}".strip()) for name, chip in chips.items()}
    columns = math.ceil(math.sqrt(len(chips)))
    tall, wide = max(h for h, _ in sizes.values()), max(w for _, w in sizes.values())
    return [Place(name, Window(i // columns * tall, i % columns * wide, *sizes[name])) for i, name in enumerate(chips)]


def _size(chip: Chip, where: str) -> tuple[int, int]:
    """The shape that all rasters of a chip share, but for a last row or column that some may have lost."""
    files = [file for files in chip.sensors.values() for file in files]
    files += [chip.labels.file] if chip.labels and not chip.labels.attribute else []
    shapes = {file: (grid.height, grid.width) for file, grid in ((file, grid_of(file)) for file in files)}
    own = shapes[files[0]]
    for file, shape in shapes.items():
        if any(abs(side - other) > LOST * other for side, other in zip(shape, own, strict=True)):
            raise UserError(
                f"{file}: {shape[0]} x {shape[1]} pixels, but {files[0]} of the same chip ({where}) has "
                f"{own[0]} x {own[1]}; with `grid: pixels` all rasters of a chip share one shape"
            )
    height, width = (max(sides) for sides in zip(*shapes.values(), strict=True))
    return height, width


class Opened(Generic[R]):
    """Things that are opened when they are asked for; the OPEN last ones stay so: chips may be more than a process may hold."""

    def __init__(self, openings: Sequence[Callable[[], AbstractContextManager[R]]]):
        self.openings = openings
        self.open: OrderedDict[int, tuple[ExitStack, R]] = OrderedDict()

    def __getitem__(self, index: int) -> R:
        if index not in self.open:
            if len(self.open) >= OPEN:
                self.open.popitem(last=False)[1][0].close()
            stack = ExitStack()
            self.open[index] = stack, stack.enter_context(self.openings[index]())
        self.open.move_to_end(index)
        return self.open[index][1]

    def close(self) -> None:
        while self.open:
            self.open.popitem()[1][0].close()


class Mosaic:
    """A sensor's chips side by side, read as one raster; where a chip lacks the sensor nothing is valid."""

    def __init__(self, windows: Sequence[Window], parts: Opened[Reader], bands: int):
        self.windows, self.parts = windows, parts
        seen = [(part.count, part.dtype, part.unit) for part in map(parts.__getitem__, range(len(windows)))]
        self.count = next((count for count, _, _ in seen if count != bands), bands)
        self.dtype = np.result_type(*{dtype for _, dtype, _ in seen}) if seen else np.dtype("uint8")
        self.unit = common_unit([unit for _, _, unit in seen])

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        bands = np.zeros((self.count, window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), bool)
        for index, place in enumerate(self.windows):
            if common := intersection(window, place):
                inside, there = common
                bands[:, *there.slices], valid[there.slices] = self.parts[index].read(inside)
        return bands, valid


class Chosen:
    """Some bands of a reader, where another sensor's files have measurements too."""

    def __init__(self, source: Reader, take: Sequence[int], within: Reader | None, files: Sequence[str]):
        if take and max(take) > source.count:
            raise UserError(f"{' + '.join(files)}: {source.count} bands, but take asks for band {max(take)}; 1 is the first")
        self.source, self.within = source, within
        self.bands = [band - 1 for band in take] or list(range(source.count))
        self.count, self.dtype, self.unit = len(self.bands), source.dtype, source.unit

    def read(self, window: Window) -> tuple[Bands, Mask]:
        """Bands [C, h, w] and validity [h, w]."""
        bands, valid = self.source.read(window)
        if self.within is not None:
            valid = valid & self.within.read(window)[1]
        return bands[self.bands], valid


@contextmanager
def open_sensor(
    data: Data, settings: GridSettings, scene: str, sensor: str, grid: Grid, shift: Shift = UNMOVED
) -> Iterator[Reader]:
    """One sensor of a scene on its grid, in the values that everything after this works with."""
    chips = data.scenes[scene].footprints
    if not settings.pixels:
        with _opened(data, chips[""], sensor, grid, Window(0, 0, grid.height, grid.width), shift) as source:
            yield source
        return
    there = [place for place in places(data, settings, scene) if sensor in chips[place.name].sensors]
    parts = Opened([partial(_opened, data, chips[place.name], sensor, grid, place.window) for place in there])
    with closing(parts):
        yield Mosaic([place.window for place in there], parts, data.sensors[sensor].bands)


@contextmanager
def _opened(data: Data, chip: Chip, sensor: str, grid: Grid, place: Window, shift: Shift = UNMOVED) -> Iterator[Reader]:
    """A sensor of a chip: the bands that are taken, where they count as measured."""
    spec = data.sensors[sensor]
    with ExitStack() as stack:
        source: Reader = stack.enter_context(_warped(data, chip, sensor, grid, shift))
        other = spec.within if spec.within in chip.sensors else None
        within = stack.enter_context(_warped(data, chip, other, grid)) if other else None
        if spec.take or within:
            source = Chosen(source, spec.take, within, chip.sensors[sensor])
        yield derived(source, spec, place.height, place.width)


def derived(source: Reader, spec: Sensor, height: int, width: int) -> Reader:
    """A sensor's values as networks are shown them: above the ground or relative, if wanted."""
    if spec.ground:
        from dis2.raster.ground import AboveGround  # its library takes as long to import as all the others together

        source = AboveGround(source, height, width, spec.ground, spec.scaling.clip)
    return Relative(source, height, width) if spec.relative else source


def _warped(data: Data, chip: Chip, sensor: str, grid: Grid, shift: Shift = UNMOVED) -> AbstractContextManager[Stacked]:
    spec = data.sensors[sensor]
    return warped(chip.sensors[sensor], grid, spec.resampling, shift, spec.nodata, spec.unmeasured, spec.scaled)


class LabelMosaic:
    """The labels of all chips side by side; pixels without labels have none."""

    def __init__(self, windows: Sequence[Window], parts: Opened[LabelReader]):
        self.windows, self.parts = windows, parts

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class indices [h, w]."""
        labels = np.full((window.height, window.width), IGNORE, np.uint8)
        for index, place in enumerate(self.windows):
            if common := intersection(window, place):
                inside, there = common
                labels[there.slices] = self.parts[index].read(inside)
        return labels


@contextmanager
def open_scene_labels(data: Data, settings: GridSettings, scene: str, grid: Grid) -> Iterator[LabelMosaic]:
    """The labels of a scene on its grid."""
    chips = data.scenes[scene].footprints
    whole = [Place("", Window(0, 0, grid.height, grid.width))]
    listed = [(it.window, chips[it.name].labels) for it in (places(data, settings, scene) if settings.pixels else whole)]
    there = [(window, labels) for window, labels in listed if labels]
    with closing(Opened([partial(open_labels, labels, data, grid) for _, labels in there])) as parts:
        yield LabelMosaic([window for window, _ in there], parts)
