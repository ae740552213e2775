"""The tile stage: all sensors and labels of a scene on one grid, as one store."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.progress import bar
from dis2.raster.grid import UNMOVED, Grid, Shift
from dis2.raster.scene import open_scene_labels, open_sensor, places, reference_sensor, scene_grid
from dis2.raster.shifts import read_shifts
from dis2.raster.warp import Reader
from dis2.tiles.store import Header, new_store


def cut(data: Data, settings: GridSettings, scene: str, shifts: Path, out: Path) -> None:
    """Reads each sensor through the one warp, its shift folded in, and writes it shard by shard."""
    grid = scene_grid(data, settings, scene)
    found = read_shifts(shifts)
    with ExitStack() as stack:
        readers = {
            sensor: stack.enter_context(open_sensor(data, settings, scene, sensor, grid, found.get(sensor, UNMOVED)))
            for sensor in data.in_order(data.scenes[scene].has)
        }
        for sensor, reader in readers.items():
            if reader.count != (bands := data.sensors[sensor].bands):
                raise UserError(f"scene {scene}: sensors.{sensor}.bands: {bands} its files have {reader.count}; mend one")
        header = _header(data, settings, scene, grid, readers, found)
        labels = stack.enter_context(open_scene_labels(data, settings, scene, grid)) if header.labelled else None
        writer = stack.enter_context(new_store(out, header))
        tasks = [(sensor, window) for sensor in readers for window in writer.shards(writer.arrays[sensor])]
        with bar(len(tasks), f"tile {scene}", "shard") as progress:
            for sensor, window in tasks:
                writer.write(sensor, window, *readers[sensor].read(window))
                progress.update()
        if labels is not None and writer.label is not None:
            for window in writer.shards(writer.label):
                writer.write_labels(window, labels.read(window))


def _header(
    data: Data, settings: GridSettings, scene: str, grid: Grid, readers: dict[str, Reader], shifts: dict[str, Shift]
) -> Header:
    return Header(
        scene=scene,
        grid=grid,
        sensors={sensor: (reader.count, reader.dtype.name) for sensor, reader in readers.items()},
        reference=reference_sensor(data, settings, scene),
        classes=tuple(data.classes),
        shifts=shifts,
        chips={place.name: place.window for place in places(data, settings, scene)},
        labelled=any(chip.labels for chip in data.scenes[scene].footprints.values()),
    )
