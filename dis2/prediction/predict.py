"""Maps from whichever sensors there are: of a scene of the config, or of new rasters named by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import torch

from dis2.combinations import name_of, parse
from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.files import check_writable
from dis2.models.files import Model, load
from dis2.prediction.fit import check_classes, check_fit
from dis2.prediction.manifest import NAME, seal
from dis2.prediction.mapper import Mapper
from dis2.prediction.maps import files_of, open_map
from dis2.prediction.rasters import Combination, Rasters, as_trained, data_of, georeferenced, map_grid
from dis2.prediction.stitch import stitch
from dis2.progress import bar
from dis2.raster.grid import Shift, windows
from dis2.raster.register import find
from dis2.raster.shifts import read_shifts
from dis2.raster.warp import grid_of


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
    outs = {combination: out / f"{name_of(combination)}.tif" for combination in wanted}
    check_classes(model, model_folder, data)
    check_fit(model, model_folder, rasters)
    check_outs(outs.values(), rasters)
    torch.set_num_threads(settings.threads)
    (out / NAME).unlink(missing_ok=True)
    write_maps(model, rasters, read_shifts(shifts) if shifts else register_now(rasters), settings, outs)
    seal(out, (file for path in outs.values() for file in files_of(path)))


def predict_files(model_folder: Path, files: dict[str, list[str]], out: Path) -> None:
    """Writes one map, `.confidence.tif` and `.sensors.tif` beside it, from new rasters: files of each sensor that is there."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise UserError(f"{out}: a map is a GeoTIFF; give a name that ends in .tif")
    model = load(model_folder)
    data = data_of(model, model_folder, files)
    given = [file for listed in files.values() for file in listed]
    if not (chip := all(grid_of(file).crs is None for file in given)):
        for file in given:
            georeferenced(file)
    grid = GridSettings(pixels=chip, reference=model.card.reference)
    rasters = Rasters(data, grid, "map", as_trained(map_grid(data, grid, "map", model), model))
    check_fit(model, model_folder, rasters)
    check_outs([out], rasters)
    write_maps(model, rasters, register_now(rasters), PredictionSettings(), {rasters.sensors: out})


def combination_of(name: str, rasters: Rasters) -> Combination:
    """The combination of a name, if the scene has its sensors."""
    try:
        combination = parse(name, tuple(rasters.data.sensors))
    except ValueError as error:
        raise UserError(f"--combinations {name}: {error}") from None
    if missing := [sensor for sensor in combination if sensor not in rasters.sensors]:
        raise UserError(f"--combinations {name}: scene {rasters.scene} has no {missing[0]}, only {', '.join(rasters.sensors)}")
    return combination


def check_outs(outs: Iterable[Path], rasters: Rasters) -> None:
    """Refuses, before anything is computed, maps that cannot be written or that would take the place of a raster."""
    given = {Path(file).resolve() for sensor in rasters.sensors for file in rasters.files(sensor)}
    for path in (path for out in outs for path in files_of(out)):
        if path.resolve() in given:
            raise UserError(f"{path}: is one of the rasters that are given; name another file for the map")
        check_writable(path)


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
            sensor: stack.enter_context(rasters.open(sensor, shifts.get(sensor, Shift())))
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
    for out, target in zip(outs.values(), maps, strict=True):
        if target.empty:
            print(f"warning: {out}: nothing was measured there, so no pixel has a class; check nodata", file=sys.stderr)
