"""Maps from whichever sensors there are: of a scene of the config, or of new rasters named by hand."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from affine import Affine

from dis2.combinations import name_of, parse
from dis2.config.data import ClassLabel, Data, Scene
from dis2.config.grid import GridSettings
from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.models.files import Model, load
from dis2.prediction.mapper import Mapper
from dis2.prediction.maps import open_map
from dis2.prediction.stitch import stitch
from dis2.progress import bar
from dis2.raster.grid import Grid, Shift, Window, windows
from dis2.raster.register import find
from dis2.raster.scene import covering, open_sensor, places, reference_sensor, scene_grid
from dis2.raster.shifts import read_shifts
from dis2.raster.warp import grid_of

UNITS = 100
"""A pixel that many times larger or smaller than the model's is told in other units, degrees and not metres."""
SAME = 0.02
"""By this share pixels may differ from the model's: to resample them would cost more than it gives."""

Combination = tuple[str, ...]


def predict_scene(
    data: Data,
    grid: GridSettings,
    settings: PredictionSettings,
    model_folder: Path,
    scene: str,
    shifts: Path | None,
    combinations: list[str] | None,
    out: Path,
) -> None:
    """Writes `<combination>.tif` with `.confidence.tif` and `.sensors.tif` into a folder, all in one pass over the rasters."""
    model = load(model_folder)
    rasters = Rasters(data, grid, scene, map_grid(data, grid, scene, model))
    wanted = [combination_of(name, rasters) for name in combinations or [name_of(rasters.sensors)]]
    check_fit(model, model_folder, rasters)
    torch.set_num_threads(settings.threads)
    found = read_shifts(shifts) if shifts else register_now(rasters)
    write_maps(model, rasters, found, settings, {combination: out / f"{name_of(combination)}.tif" for combination in wanted})


def predict_files(model_folder: Path, files: dict[str, list[str]], out: Path) -> None:
    """Writes one map, `.confidence.tif` and `.sensors.tif` beside it, from new rasters: files of each sensor that is there."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise UserError(f"{out}: a map is a GeoTIFF; give a name that ends in .tif")
    model = load(model_folder)
    data = data_of(model, model_folder, files)
    chip = all(grid_of(file).crs is None for listed in files.values() for file in listed)
    grid = GridSettings(pixels=chip, reference=model.card.reference)
    rasters = Rasters(data, grid, "map", as_trained(map_grid(data, grid, "map", model), model))
    check_fit(model, model_folder, rasters)
    write_maps(model, rasters, register_now(rasters), PredictionSettings(), {rasters.sensors: out})


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
    """The side of a map's pixels: the model's, unless the rasters tell it in other units."""
    trained = model.card.resolution
    return trained if 1 / UNITS < own.resolution / trained < UNITS else own.resolution


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


def combination_of(name: str, rasters: Rasters) -> Combination:
    """The combination of a name, if the scene has its sensors."""
    try:
        combination = parse(name, tuple(rasters.data.sensors))
    except ValueError as error:
        raise UserError(f"--combinations {name}: {error}") from None
    if missing := [sensor for sensor in combination if sensor not in rasters.sensors]:
        raise UserError(f"--combinations {name}: scene {rasters.scene} has no {missing[0]}, only {', '.join(rasters.sensors)}")
    return combination


def check_fit(model: Model, folder: Path, rasters: Rasters) -> None:
    """Do the rasters fit the model and each other?"""
    anchor = reference_sensor(rasters.data, rasters.grid, rasters.scene)
    for sensor in rasters.sensors:
        files = [file for chip in rasters.data.scenes[rasters.scene].footprints.values() for file in chip.sensors.get(sensor, ())]
        with open_sensor(rasters.data, rasters.grid, rasters.scene, sensor, rasters.place) as reader:
            if reader.count != (bands := model.card.sensors.get(sensor)):
                expects = (
                    f"expects {sensor} to have {bands}" if bands else f"knows no {sensor}, only {', '.join(model.card.sensors)}"
                )
                raise UserError(f"{' + '.join(files)}: bands: {reader.count} given, but the model {folder} {expects}")
        if rasters.grid.pixels:
            continue
        first = rasters.data.scenes[rasters.scene].sensors[anchor][0]
        for file in files:
            if not grid_of(first).overlaps(grid_of(file)):
                raise UserError(f"{file} ({sensor}): does not overlap {first} ({anchor}); give rasters of one place")


def register_now(rasters: Rasters) -> dict[str, Shift]:
    """Each sensor's shift, found on the fly; what was done, or why nothing was, is said."""
    if rasters.grid.pixels or not rasters.grid.registration.enabled:
        return {}
    found = find(rasters.data, rasters.grid, rasters.scene, rasters.place)
    if len(found) == 1:
        print(f"not registered: {next(iter(found))} is the only sensor", file=sys.stderr)
    for sensor, (to, match) in found.items():
        if sensor != to:
            beside = f"lies {match.shift.dx:+.2f}, {match.shift.dy:+.2f} pixels beside {to}, which is put right"
            print(f"{sensor}: {beside if match.accepted else f'left as georeferenced ({match.reason})'}", file=sys.stderr)
    return {sensor: match.shift for sensor, (to, match) in found.items() if sensor != to}


def write_maps(
    model: Model, rasters: Rasters, shifts: dict[str, Shift], settings: PredictionSettings, outs: dict[Combination, Path]
) -> None:
    """Every combination's map, window by window, each window read once."""
    overlap = round(settings.tile * settings.overlap)
    covered = {cell: list(windows(cell.height, cell.width, settings.tile, overlap)) for cell in rasters.cells}
    with ExitStack() as stack:
        readers = {
            sensor: stack.enter_context(
                open_sensor(rasters.data, rasters.grid, rasters.scene, sensor, rasters.place, shifts.get(sensor, Shift()))
            )
            for sensor in rasters.sensors
            if any(sensor in combination for combination in outs)
        }
        mapper = Mapper(model, readers, list(outs))
        maps = [
            stack.enter_context(open_map(out, rasters.place, model.card.classes, rasters.data.colors, combination))
            for combination, out in outs.items()
        ]
        progress = stack.enter_context(bar(sum(map(len, covered.values())), f"predict {rasters.scene}", "window"))
        for cell, inside in covered.items():
            predictions = mapper.predictions(inside, cell, settings.batch, progress.update)
            for band, values in stitch(predictions, cell.height, cell.width, settings.tile, overlap):
                place = band._replace(y=band.y + cell.y, x=band.x + cell.x)
                for target, parts in zip(maps, mapper.split(values), strict=True):
                    target.write(place, *parts)
