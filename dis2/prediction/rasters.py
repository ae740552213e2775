"""Which rasters a map is made from, and the grid on which it is made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from affine import Affine

from dis2.combinations import Combination
from dis2.config.data import ClassLabel, Data, Scene
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.models.files import Model
from dis2.raster.grid import UNMOVED, Grid, Shift, Window
from dis2.raster.scene import covering, open_sensor, places, reference_sensor, scene_grid
from dis2.raster.warp import Reader, grid_of

UNITS = 100
"""A pixel that many times larger or smaller than the model's is told in other units, degrees and not metres."""
SAME = 0.02
"""By this share pixels may differ from the model's: to resample them would cost more than it gives."""


def data_of(model: Model, folder: Path, files: dict[str, list[str]]) -> Data:
    """Loose rasters as a scene named `map` of the data that the model knows."""
    card = model.card
    for sensor in files:
        if sensor not in card.sensors:
            near = get_close_matches(sensor, card.sensors, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"--{sensor}: not a sensor of {folder}, which knows {', '.join(card.sensors)}{hint}")
    classes = {name: ClassLabel(color=color) for name, color in zip(card.classes, card.colors, strict=True)}
    scene = Scene(sensors={sensor: tuple(listed) for sensor, listed in files.items()})
    sensors = card.rasters  # a specialist's may be one
    return Data.model_construct(name="map", sensors=sensors, classes=classes, scenes={"map": scene})


@dataclass(frozen=True)
class Rasters:
    """The rasters of one scene, and the grid on which they are mapped."""

    data: Data
    grid: GridSettings
    scene: str
    place: Grid

    @property
    def sensors(self) -> Combination:
        return self.data.in_order(self.data.scenes[self.scene].has)

    def files(self, sensor: str) -> list[str]:
        """Those of one sensor."""
        return [file for chip in self.data.scenes[self.scene].footprints.values() for file in chip.sensors.get(sensor, ())]

    @property
    def anchor(self) -> str:
        """The sensor to which the others are registered."""
        return reference_sensor(self.data, self.grid, self.scene)

    @contextmanager
    def open(self, sensor: str, shift: Shift = UNMOVED) -> Iterator[Reader]:
        """One of the sensors on the grid."""
        with open_sensor(self.data, self.grid, self.scene, sensor, self.place, shift) as reader:
            yield reader

    @property
    def cells(self) -> list[Window]:
        """The chips, which know nothing of each other; a georeferenced scene is one."""
        if self.grid.pixels:
            return [chip.window for chip in places(self.data, self.grid, self.scene)]
        return [Window(0, 0, self.place.height, self.place.width)]


def map_grid(data: Data, grid: GridSettings, scene: str, model: Model) -> Grid:
    """The scene's grid; without the reference sensor, the union of what is there, at the model's resolution."""
    anchor = reference_sensor(data, grid, scene)
    if grid.pixels or grid.resolution or anchor == (grid.reference or next(iter(data.sensors))):
        return scene_grid(data, grid, scene)
    sensors = data.scenes[scene].sensors
    own = georeferenced(sensors[anchor][0])
    parts = [georeferenced(file) for files in sensors.values() for file in files]
    return union(parts, own, resolution_of(model, own))


def resolution_of(model: Model, own: Grid) -> float:
    """The side of a map's pixels: the model's, unless it knows none or the rasters tell it in other units."""
    trained = model.card.resolution
    return trained if trained and 1 / UNITS < own.resolution / trained < UNITS else own.resolution


def as_trained(place: Grid, model: Model) -> Grid:
    """The same place in pixels of the size that the model knows, be the new rasters finer or coarser."""
    side = resolution_of(model, place)
    if place.crs is None or math.isclose(place.resolution, side, rel_tol=SAME):
        return place
    return covering(place, place.crs, side)


def georeferenced(file: str) -> Grid:
    """The grid of a file that has a place on Earth."""
    grid = grid_of(file)
    if grid.crs is None:
        raise UserError(f"{file}: has no CRS; georeference it, or give only rasters that share a pixel grid")
    return grid


def union(parts: Sequence[Grid], like: Grid, resolution: float) -> Grid:
    """The north-up grid in the CRS of one of the parts that covers them all."""
    lefts, bottoms, rights, tops = zip(*(covering(part, like.crs, resolution).bounds for part in parts), strict=True)
    height, width = ((high - low) / resolution for low, high in ((min(bottoms), max(tops)), (min(lefts), max(rights))))
    return Grid(like.crs, Affine(resolution, 0, min(lefts), 0, -resolution, max(tops)), round(height), round(width))
