"""The explain stage: for one scene, where the coarsest level finds each class, and what each sensor and each level tell of it.

A sensor's contribution to a class is what is lost without it: of the class's IoU, and of its margin, by which its logit lies
above all others where it is true; where combinations have their own decoders, another one reads what is left. A resolution's
importance is what is lost when its level's fused features are replaced by their mean over each window. All of it on the same
pixels: those that have a label and that every sensor of the scene measured.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dis2 import metrics
from dis2.combinations import availability
from dis2.config.data import IGNORE, Data
from dis2.config.grid import GridSettings
from dis2.config.prediction import PredictionSettings
from dis2.device import device
from dis2.evaluation.pictures import draw, write_evidence, write_tables
from dis2.files import check_writable, digest, write_json
from dis2.metrics import Matrix, confusion
from dis2.models.files import Model, load
from dis2.models.prediction import Prediction
from dis2.prediction.fit import check_classes, check_fit
from dis2.prediction.mapper import inputs_of
from dis2.prediction.predict import register_now
from dis2.prediction.rasters import Rasters, map_grid
from dis2.progress import bar
from dis2.raster.grid import Shift, Window, windows
from dis2.raster.scene import open_scene_labels
from dis2.raster.shifts import read_shifts
from dis2.tiles.dataset import batches, fresh

SIDE = 768
"""Pixels of a picture's longer side at most."""

Labels = NDArray[np.uint8]


@dataclass
class Tally:
    """How well classes are told in one way: the confusion matrix, and the sum of every class's margins where it is true."""

    matrix: Matrix
    margins: NDArray[np.float64]

    @classmethod
    def empty(cls, classes: int) -> Tally:
        return cls(np.zeros((classes, classes), np.int64), np.zeros(classes))

    def add(self, truth: Labels, logits: NDArray[np.float32]) -> None:
        """More pixels: their classes [n] and logits [K, n]."""
        classes = len(self.matrix)
        self.matrix += confusion(truth, logits.argmax(0), classes)
        self.margins += np.bincount(truth, weights=margins(logits, truth), minlength=classes)


@dataclass
class Canvas:
    """A picture of the whole scene that is filled window by window: every step-th pixel of some layers."""

    values: NDArray[np.float32]  # [layers, height / step, width / step]
    step: int

    @classmethod
    def of(cls, layers: int, height: int, width: int) -> Canvas:
        step = -(-max(height, width) // SIDE)
        return cls(np.full((layers, -(-height // step), -(-width // step)), np.nan, np.float32), step)

    def put(self, window: Window, values: NDArray[np.floating]) -> None:
        """The layers of a window [layers, h, w]."""
        rows = np.arange(-(-window.y // self.step), -(-(window.y + window.height) // self.step))
        columns = np.arange(-(-window.x // self.step), -(-(window.x + window.width) // self.step))
        there = rows[:, None] * self.step - window.y, columns[None] * self.step - window.x
        self.values[:, rows[:, None], columns[None]] = values[:, *there]


@dataclass
class Explanation:
    """What is found out about one model and one scene."""

    sensors: tuple[str, ...]
    classes: tuple[str, ...]
    labelled: bool
    full: Tally
    without: dict[str, Tally] = field(default_factory=dict)
    """by sensor that is taken away"""
    flattened: dict[int, Tally] = field(default_factory=dict)
    """by level whose fused features are replaced by their mean"""
    evidence: Canvas | None = None
    """how much the coarsest level tells of each class, from 0 to 1: a layer a class"""
    losses: Canvas | None = None
    """by how much the margin of the class on the map falls without each sensor: a layer a sensor"""
    map: Canvas | None = None
    """classes; nothing where no sensor measured"""
    left_out: list[str] = field(default_factory=list)


def explain(
    data: Data, grid: GridSettings, settings: PredictionSettings, folder: Path, scene: str, shifts: Path | None, out: Path
) -> None:
    """Writes `explanation.json`, its tables as CSV, `evidence.npy` and `pictures/` into a folder."""
    model = load(folder)
    rasters = Rasters(data, grid, scene, map_grid(data, grid, scene, model))
    check_classes(model, folder, data)
    check_fit(model, folder, rasters)
    check_writable(out / "explanation.json")
    torch.set_num_threads(settings.threads)
    model.network.to(device())
    found = explained(model, rasters, read_shifts(shifts) if shifts else register_now(rasters), settings)
    if not found.full.matrix.any():
        found.without, found.flattened, found.losses = {}, {}, None
        found.left_out.append("contributions and importance of levels: no pixel that every sensor measured has a label")
        print(f"warning: scene {scene}: {found.left_out[-1]}", file=sys.stderr)
    told = described(found, model, scene)
    write_tables(told, out)
    write_evidence(found, out)
    draw(found, told, data.colors, out / "pictures")
    write_json(out / "explanation.json", told | {"evidence": digest(out / "evidence.npy")})


def explained(model: Model, rasters: Rasters, shifts: Mapping[str, Shift], settings: PredictionSettings) -> Explanation:
    """One pass over the scene; encoders run once a window, whatever is taken away after them."""
    it = _begun(model, rasters)
    seen = np.zeros((rasters.place.height, rasters.place.width), bool)
    every = [
        (rasters.scene, window._replace(y=window.y + cell.y, x=window.x + cell.x))
        for cell in rasters.cells
        for window in windows(cell.height, cell.width, settings.tile)
    ]
    with ExitStack() as stack, bar(len(every), f"explain {rasters.scene}", "window") as progress:
        readers = {s: stack.enter_context(rasters.open(s, shifts.get(s, Shift()))) for s in rasters.sensors}
        labels = stack.enter_context(open_scene_labels(rasters.data, rasters.grid, rasters.scene, rasters.place))
        for group in batches(every, settings.batch):
            places = [window for _, window in group]
            new = np.stack([fresh(window, seen) for window in places])
            truth = np.stack([labels.read(window) for window in places])
            _look(it, model, inputs_of(model, readers, places), places, truth, new)
            progress.update(len(group))
    return it


def _begun(model: Model, rasters: Rasters) -> Explanation:
    """An explanation of nothing yet: what can be told of this model and this scene, and what not."""
    card, place, sensors = model.card, rasters.place, rasters.sensors
    classes = len(card.classes)
    labelled = any(chip.labels for chip in rasters.data.scenes[rasters.scene].footprints.values())
    it = Explanation(sensors, card.classes, labelled, Tally.empty(classes))
    it.map = Canvas.of(1, place.height, place.width)
    if len(sensors) > 1:
        it.without = {sensor: Tally.empty(classes) for sensor in sensors}
        it.losses = Canvas.of(len(sensors), place.height, place.width)
    else:
        it.left_out.append(f"contributions: {sensors[0]} is the scene's only sensor")
    if not hasattr(model.network, "of_fused"):
        it.left_out += [f"{what}: {card.method} has no such part" for what in ("class evidence", "importance of levels")]
        return it
    it.flattened = {level: Tally.empty(classes) for level in range(5 - card.settings.fused_levels, 5)}
    it.evidence = Canvas.of(classes, place.height, place.width)
    return it


@torch.inference_mode()
def _look(
    it: Explanation,
    model: Model,
    inputs: tuple[dict[str, Tensor], dict[str, Tensor]],
    places: Sequence[Window],
    truth: Labels,
    new: NDArray[np.bool_],
) -> None:
    """Some windows of one size: their labels [B, h, w], and which pixels no earlier window had [B, h, w]."""
    images, valid = inputs
    masks = torch.cat([valid[sensor] for sensor in it.sensors], 1).cpu().numpy()  # [B, S, h, w]
    if not masks.any():
        return
    network: Any = model.network
    encoded = network.encode(images, valid)
    full = network.decode(encoded, _available(network, it.sensors, len(places)))
    logits = _cpu(full.logits)
    shown = logits.argmax(1).astype(np.uint8)
    if not it.labelled:
        truth = shown
    counted = masks.all(1) & new & (truth != IGNORE)

    def count(tally: Tally, logits: NDArray[np.float32]) -> None:
        tally.add(truth[counted], np.moveaxis(logits, 1, 0)[:, counted])

    count(it.full, logits)
    whole = np.stack([margins(a, b) for a, b in zip(logits, shown, strict=True)])
    losses = np.zeros((len(places), len(it.sensors), *shown.shape[1:]), np.float32)
    for index, (sensor, tally) in enumerate(it.without.items()):
        left = [other for other in it.sensors if other != sensor]
        less = _cpu(network.decode(encoded, _available(network, left, len(places))).logits)
        count(tally, less)
        losses[:, index] = whole - np.stack([margins(a, b) for a, b in zip(less, shown, strict=True)])
    for level, tally in it.flattened.items():
        count(tally, _cpu(network.of_fused(flattened(full.features.fused, level), encoded)))
    for sample, place in enumerate(places):
        nothing = ~masks[sample].any(0)
        layers = [(it.map, shown[sample][None].astype(np.float32)), (it.losses, losses[sample])]
        if it.evidence:
            layers.append((it.evidence, _at_pixels(network, full, sample)))
        for canvas, values in layers:
            if canvas:
                canvas.put(place, np.where(nothing, np.nan, values))


def flattened(fused: Sequence[Tensor], level: int) -> list[Tensor]:
    """Fused features, of which one level (the last one is 4) says the same everywhere: [B, C, h, w]."""
    index = level - 5 + len(fused)
    return [x.mean((2, 3), keepdim=True).expand_as(x) if i == index else x for i, x in enumerate(fused)]


def margins(logits: NDArray[np.float32], classes: Labels) -> NDArray[np.float32]:
    """By how much the logit of each pixel's class [...] lies above the highest other one [K, ...]; negative where it does not."""
    own = np.take_along_axis(logits, classes[None].astype(np.int64), 0)
    others = logits.copy()
    np.put_along_axis(others, classes[None].astype(np.int64), -np.inf, 0)
    return (own[0] - others.max(0)).astype(np.float32)


def _available(network: Any, sensors: Sequence[str], count: int) -> Tensor:
    """The same availability for so many samples: [B, N]."""
    return torch.tensor([availability(sensors, network.sensors)] * count, device=device())


def _at_pixels(network: Any, full: Prediction, sample: int) -> NDArray[np.float32]:
    """A sample's class evidence from 0 to 1, each cell as its pixels: [K, H, W]."""
    scores = full.features.attention
    assert scores is not None
    height, width = full.logits.shape[2:]
    shares = network.evidence(scores[sample : sample + 1].float())[0]  # [K, h, w]
    side = -(-height // shares.shape[1])
    return _cpu(shares.repeat_interleave(side, 1).repeat_interleave(side, 2))[:, :height, :width]


def _cpu(x: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = x.float().cpu().numpy()
    return found


def described(it: Explanation, model: Model, scene: str) -> dict[str, Any]:
    """The explanation as JSON holds it."""
    pixels = it.full.matrix.sum(1)
    return {
        "method": model.card.method,
        "seed": model.card.seed,
        "scene": scene,
        "sensors": list(it.sensors),
        "classes": list(it.classes),
        "truth": "labels" if it.labelled else "the map of all sensors, since the scene has no labels",
        "pixels": dict(zip(it.classes, pixels.tolist(), strict=True)),
        "iou": dict(zip(it.classes, map(_number, metrics.iou(it.full.matrix)), strict=True)),
        "without_sensor": {sensor: _lost(it, tally) for sensor, tally in it.without.items()},
        "without_level": {str(level): _lost(it, tally) for level, tally in it.flattened.items()},
        "left_out": it.left_out,
    }


def _lost(it: Explanation, less: Tally) -> dict[str, dict[str, float | None]]:
    """Of each class: what it loses of its IoU and of its mean margin."""
    iou = metrics.iou(it.full.matrix) - metrics.iou(less.matrix)
    pixels = it.full.matrix.sum(1)
    margin = np.divide(it.full.margins - less.margins, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)
    return {name: {"iou": _number(a), "margin": _number(b)} for name, a, b in zip(it.classes, iou, margin, strict=True)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
