"""What a scene is made of, without its files or with the names of a few: they tell which variant of a data set it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dis2.config.data import Labels, Scene


def outline(scene: Scene) -> Scene:
    """A scene with a sensor's name for its files."""
    labels = Labels(file="labels") if scene.labelled else None
    return Scene(split=scene.split, sensors={sensor: (sensor,) for sensor in scene.has}, labels=labels)


def exemplified(scene: Scene) -> Scene:
    """A scene without chips: of its files the first of each sensor and the first labels, by names that tell them apart."""
    chips = scene.footprints.values()
    files = {sensor: files for chip in reversed(chips) for sensor, files in chip.sensors.items()}
    labelled = [chip.labels.file for chip in chips if chip.labels][:1]
    names = told_apart({*labelled, *(file for several in files.values() for file in several)})
    sensors = {sensor: tuple(names[file] for file in files[sensor]) for sensor in scene.has}
    return Scene(split=scene.split, sensors=sensors, labels=Labels(file=names[labelled[0]]) if labelled else None)


def told_apart(files: Collection[str]) -> dict[str, str]:
    """Names of files, with as many of their folders as it takes that no two are called the same."""
    parts = {file: Path(file).parts for file in files}
    depth = 1
    while len({own[-depth:] for own in parts.values()}) < len({*parts.values()}):
        depth += 1
    return {file: str(Path(*own[-depth:])) for file, own in parts.items()}
