"""The tile stage: all sensors and labels of a scene on one grid, as one store, cut by one process or several."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dis2.cluster import connected
from dis2.config.data import Data
from dis2.config.grid import GridSettings
from dis2.errors import UserError
from dis2.files import on_disk
from dis2.processes import spawned
from dis2.progress import bar
from dis2.raster.grid import UNMOVED, Grid, Shift, Window
from dis2.raster.scene import LabelMosaic, open_scene_labels, open_sensor, places, reference_sensor, scene_grid
from dis2.raster.shifts import read_shifts
from dis2.raster.sources import allowing
from dis2.raster.warp import Reader
from dis2.tiles.store import Header, Writer, new_store

WORTH = 384 * 2**20
"""Bytes of pixels that make one more process worth its start."""

Task = tuple[str | None, Window]
"""A shard: of a sensor with its validity or, where there is no name, of the labels."""


@dataclass(frozen=True)
class Sources:
    """What a scene is cut from, as plain values: any process can open it."""

    data: Data
    settings: GridSettings
    scene: str
    grid: Grid
    shifts: dict[str, Shift]

    @property
    def sensors(self) -> tuple[str, ...]:
        return self.data.in_order(self.data.scenes[self.scene].has)

    def sensor(self, name: str) -> AbstractContextManager[Reader]:
        shift = self.shifts.get(name, UNMOVED)
        return open_sensor(self.data, self.settings, self.scene, name, self.grid, shift)

    def labels(self) -> AbstractContextManager[LabelMosaic]:
        return open_scene_labels(self.data, self.settings, self.scene, self.grid)


class Cutter:
    """Cuts one shard after another; what it reads is opened when it is first needed, and stays open."""

    def __init__(self, sources: Sources, writer: Writer, stack: ExitStack):
        self.writer = writer
        self.sensor = cache(lambda name: stack.enter_context(sources.sensor(name)))
        self.labels = cache(lambda: stack.enter_context(sources.labels()))

    def cut(self, sensor: str | None, window: Window) -> None:
        if sensor is None:
            self.writer.write_labels(window, self.labels().read(window))
        else:
            self.writer.write(sensor, window, *self.sensor(sensor).read(window))


def cut(
    data: Data,
    settings: GridSettings,
    scene: str,
    shifts: Path,
    out: Path,
    processes: int = 1,
    scheduler: str | None = None,
) -> None:
    """Reads each sensor through the one warp, its shift folded in, and writes it shard by shard."""
    if scheduler:
        data, out = from_anywhere(data, scene), out.absolute()
    sources = Sources(data.only([scene]), settings, scene, scene_grid(data, settings, scene), read_shifts(shifts))
    with new_store(out, _header(sources)) as writer:
        tasks: list[Task] = [(sensor, window) for sensor in sources.sensors for window in writer.shards(writer.arrays[sensor])]
        tasks += [(None, window) for window in (writer.shards(writer.label) if writer.label else ())]
        worth = 1 + sum(array.nbytes for array in writer.arrays.values()) // WORTH
        with bar(len(tasks), f"tile {scene}", "shard") as progress:
            if scheduler:
                _cut_on_cluster(sources, writer, tasks, scheduler, progress.update)
            elif (several := min(processes, len(tasks), worth)) > 1:
                _cut_by_several(sources, writer, tasks, several, progress.update)
            else:
                _cut_here(sources, writer, tasks, progress.update)


def from_anywhere(data: Data, scene: str) -> Data:
    """The data with the absolute paths of a scene, for processes that may work in another folder."""

    def path(file: str) -> str:
        return os.path.abspath(file) if os.path.exists(on_disk(file)) else file

    def rooted(it: Any) -> Any:
        labels = it.labels and it.labels.model_copy(update={"file": path(it.labels.file)})
        return it.model_copy(
            update={"labels": labels, "sensors": {s: tuple(map(path, files)) for s, files in it.sensors.items()}}
        )

    one = data.scenes[scene]
    here = rooted(one).model_copy(update={"chips": {name: rooted(chip) for name, chip in one.chips.items()}})
    return data.model_copy(update={"scenes": {scene: here}})


def _cut_here(sources: Sources, writer: Writer, tasks: Iterable[Task], after: Callable[[], object] = lambda: None) -> None:
    with ExitStack() as stack:
        cutter = Cutter(sources, writer, stack)
        for task in tasks:
            cutter.cut(*task)
            after()


def _cut_by_several(sources: Sources, writer: Writer, tasks: Sequence[Task], processes: int, after: Callable[[], object]) -> None:
    """This process is one of the several: each of the others is given two shards ahead, and it cuts the next one itself."""
    todo, remedy = deque(tasks), f"run tile again, with fewer --processes than {processes}"
    with spawned(processes - 1, remedy, _cutting, sources, writer) as crew, ExitStack() as stack:
        mine = Cutter(sources, writer, stack)
        while todo or any(member.given for member in crew.members):
            for member in crew.members:
                while todo and member.given < 2:
                    crew.give(member, *todo.popleft())
            if todo:
                mine.cut(*todo.popleft())
                after()
            for member in crew.done(wait=not todo):
                crew.take(member)
                after()


def _cut_on_cluster(sources: Sources, writer: Writer, tasks: Sequence[Task], scheduler: str, after: Callable[[], object]) -> None:
    """The cluster's workers see the same files, but nothing is known of their processes: each task opens what it reads."""
    with connected(scheduler) as client:
        for done in as_completed([client.get_executor().submit(_cut_there, sources, writer, task) for task in tasks]):
            done.result()
            after()


def _cut_there(sources: Sources, writer: Writer, task: Task) -> None:
    """One task in a process that knows nothing of what the config allows."""
    with allowing(sources.data.allow):
        _cut_here(sources, writer, [task])


def _cutting(sources: Sources, writer: Writer) -> Callable[..., None]:
    """The work of a spawned process."""
    return Cutter(sources, writer, ExitStack()).cut


def _header(sources: Sources) -> Header:
    """What the store says about itself; a sensor whose files have not the bands that the config tells is an error."""
    data, scene = sources.data, sources.scene
    labelled = any(chip.labels for chip in data.scenes[scene].footprints.values())
    used = {part for part in data.cut if labelled and not part.startswith("data.sensors.")}
    used |= {f"data.sensors.{sensor}" for sensor in sources.sensors}
    sensors, units = {}, {}
    for sensor in sources.sensors:
        with sources.sensor(sensor) as reader:
            if reader.count != (bands := data.sensors[sensor].bands):
                raise UserError(f"scene {scene}: data.sensors.{sensor}.bands: {bands} its files have {reader.count}; mend one")
            sensors[sensor] = reader.count, reader.dtype.name
            units[sensor] = reader.unit
    return Header(
        scene=scene,
        grid=sources.grid,
        sensors=sensors,
        reference=reference_sensor(data, sources.settings, scene),
        classes=tuple(data.classes),
        shifts=sources.shifts,
        chips={place.name: place.window for place in places(data, sources.settings, scene)},
        labelled=labelled,
        units={sensor: unit for sensor, unit in units.items() if unit},
        cut={part: told for part, told in data.cut.items() if part in used},
    )
