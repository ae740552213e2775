"""A data set of four tiny scenes, cut in a moment, on which a training takes seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from rasterio.crs import CRS
from safetensors.torch import load_file

from dis2.config.data import IGNORE, Data
from dis2.config.model import ModelSettings
from dis2.config.training import TrainingSettings
from dis2.files import read_json, write_json
from dis2.models.registry import method_of
from dis2.raster.grid import Grid, Window
from dis2.tiles.manifest import digest_of
from dis2.tiles.statistics import statistics
from dis2.tiles.store import Header, new_store, store_path
from dis2.training.loop import Loop
from dis2.training.request import Request
from dis2.training.train import train

SENSORS = {"eye": 4, "echo": 2, "relief": 1}
CLASSES = ("water", "tree", "soil")
SIZE = (64, 72)
SCENES = {
    "ant": ("train", ("eye", "echo", "relief")),
    "bee": ("train", ("eye", "relief")),
    "cat": ("validation", ("eye", "echo", "relief")),
    "dog": ("test", ("eye", "echo", "relief")),
}
SCENE_FILES: dict[str, Any] = {
    name: {"split": split, "sensors": {s: f"{name}/{s}.tif" for s in has}, "labels": f"{name}/labels.tif"}
    for name, (split, has) in SCENES.items()
}
MODEL = ModelSettings(width=4, depth=1, heads=2, classwise=True, certainty=True, own_decoders=True)


def data(sensors=SENSORS, classes=CLASSES, **changes) -> Data:
    told = {
        "name": "tiny",
        "sensors": {s: {"bands": bands} for s, bands in sensors.items()},
        "classes": list(classes),
        "scenes": SCENE_FILES,
    }
    return Data.model_validate(told | changes)


def settings(**changes) -> TrainingSettings:
    """Six steps of a teacher or student, two validations, averaged weights and every term of the loss."""
    few = {
        "tile": 32,
        "batch": 2,
        "teacher_steps": 6,
        "student_steps": 6,
        "validate_every": 3,
        "validation_tiles": 2,
        "save_every": 100,
        "distillation": True,
        "ema": 0.98,
    }
    return TrainingSettings.model_validate(few | changes)


def scene(name: str, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Bands and validity of each sensor, and labels in patches of 8 pixels, a few of them missing."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(len(CLASSES), size=(SIZE[0] // 8, SIZE[1] // 8)), np.ones((8, 8), int)).astype(np.uint8)
    images, valid = {}, {}
    for number, sensor in enumerate(SCENES[name][1]):
        told = np.random.default_rng(number).normal(size=(SENSORS[sensor], len(CLASSES)))
        images[sensor] = (10 * told[:, labels] + 5 * rng.normal(size=(SENSORS[sensor], *SIZE))).astype(np.float32)
        valid[sensor] = np.kron(rng.random((SIZE[0] // 8, SIZE[1] // 8)) > 0.1, np.ones((8, 8))).astype(bool)
    labels[rng.random(SIZE) < 0.05] = IGNORE
    return images, valid, labels


def write(
    tiles: Path, name: str, images: dict[str, np.ndarray], valid: dict[str, np.ndarray], labels: np.ndarray, **told
) -> None:
    """The store of a scene."""
    grid = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_000_000), *SIZE)
    window = Window(0, 0, *SIZE)
    sensors = {sensor: (len(bands), bands.dtype.name) for sensor, bands in images.items()}
    header = Header(name, grid, sensors, "eye", CLASSES, {}, {"": window}, True, **told)
    with new_store(store_path(tiles, name), header) as writer:
        for sensor, bands in images.items():
            writer.write(sensor, window, bands, valid[sensor])
        writer.write_labels(window, labels)


def made(folder: Path, **told) -> Path:
    """All scenes with their statistics."""
    for seed, name in enumerate(SCENES):
        write(folder, name, *scene(name, seed), **told)
    statistics(data(), folder, folder / "statistics.json")
    return folder


def unchanged(folder: Path) -> Path:
    """The statistics as they are, although stores were written anew."""
    told = read_json(folder / "statistics.json")
    told["stores"] = {scene: digest_of(store_path(folder, scene)) for scene in told["stores"]}
    write_json(folder / "statistics.json", told)
    return folder


def trained(
    tiles: Path,
    method: str,
    out: Path,
    teacher: Path | None = None,
    state: Path | None = None,
    seed: int = 3,
    combination: str | None = None,
    origin: Path | None = None,
    **changes,
) -> Path:
    """The folder of a model that was trained on the tiles."""
    request = Request(
        data=changes.pop("data", data()),
        model=changes.pop("model", MODEL),
        settings=settings(**changes),
        method=method,
        seed=seed,
        tiles=tiles,
        statistics=tiles / "statistics.json",
        teacher=teacher,
        combination=combination,
        origin=origin,
    )
    train(request, out, state)
    return out


def history(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def guide(method: str, teacher: Path) -> Path | None:
    """The teacher, for methods that start from one."""
    return teacher if method_of(method).teacher else None


def same(one: Path, other: Path) -> bool:
    """The same weights and the same history, bit by bit."""
    a, b = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) and history(one) == history(other)


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], Any]) -> None:
    """Does something at the beginning of a step, in the main thread."""
    before = Loop._set_rate

    def rate(self, optimiser, now):
        if now == step:
            action()
        return before(self, optimiser, now)

    monkeypatch.setattr(Loop, "_set_rate", rate)


def by_hand(tiles: Path, method: str, out: Path, teacher: Path | None, state: Path, **changes) -> list[str]:
    """The command that trains so in processes of its own."""
    told = {"data": data(), "model": MODEL, "training": settings(**changes)}
    written = json.dumps({name: section.model_dump(mode="json") for name, section in told.items()})
    command = [sys.executable, "-m", "dis2", "train", method, "--settings", written, "--seed", "3", "--tiles", str(tiles)]
    command += ["--statistics", str(tiles / "statistics.json"), "--out", str(out), "--state", str(state)]
    return [*command, "--teacher", str(teacher)] if teacher else command
