"""A training as it is asked for: which method learns from what, and whether all of that fits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2.combinations import name_of, parse
from dis2.config.base import MOST_SEEDS
from dis2.config.data import Data
from dis2.config.model import STUDENT_PARTS, ModelSettings
from dis2.config.training import TrainingSettings
from dis2.errors import UserError
from dis2.models.files import CARD, Card, Model, check_fit, load
from dis2.models.registry import METHODS, Method, method_of
from dis2.tiles.manifest import digest_of
from dis2.tiles.statistics import read_statistics
from dis2.tiles.store import open_store, store_path
from dis2.training.photometric import Speckle
from dis2.training.unseen import check_unseen


@dataclass(frozen=True, kw_only=True)
class Request:
    """A training as it is asked for: sections of the config, a method, and the files that it reads."""

    data: Data
    model: ModelSettings
    settings: TrainingSettings
    method: str
    seed: int
    tiles: Path
    statistics: Path
    teacher: Path | None = None
    combination: str | None = None
    """of the specialist"""
    origin: Path | None = None
    """a model of the same method to go on with"""


@dataclass(frozen=True)
class Checked:
    """A training whose parts fit together, with what they hold."""

    request: Request
    way: Method
    data: Data
    """with the sensors that are trained with"""
    model: ModelSettings
    """for the size of tile that is trained with, where a method has one size"""
    told: dict[str, Any]
    """the statistics of the training pixels, of these sensors"""
    speckle: Speckle
    guide: Model | None
    """the teacher as it was trained"""
    origin: Path | None
    """the folder of this very method or specialist"""
    before: Model | None
    """the origin as it was trained"""

    @property
    def bands(self) -> dict[str, int]:
        """How many bands the network sees of each sensor."""
        return {sensor: spec.channels for sensor, spec in self.data.sensors.items()}


def checked(request: Request) -> Checked:
    """The training, or one line that says what does not fit."""
    method, settings, tiles, teacher, origin = request.method, request.settings, request.tiles, request.teacher, request.origin
    if method != "teacher" and method not in METHODS:
        raise UserError(f"{method}: not a method; there are teacher, {', '.join(METHODS)}")
    if not 0 <= request.seed < MOST_SEEDS:
        raise UserError(f"--seed {request.seed}: must be a number from 0 to {MOST_SEEDS - 1}")
    way = method_of(method)
    _check_settings(settings, request.data, method, way)
    told = _statistics(request.statistics, request.data, tiles)
    data = _shown(request.data, method, way, request.combination)
    told["sensors"] = {sensor: told["sensors"][sensor] for sensor in data.sensors}
    speckle = _speckle(settings, data, tiles, told["sensors"])
    if teacher and not way.teacher:
        raise UserError(f"--teacher: {method} starts from fresh weights; leave the option out")
    model = request.model
    if way.one_size and model.tile is None:
        model = model.model_copy(update={"tile": settings.tile})
    if origin and way.specialists and not (origin / CARD).exists():
        origin = origin / name_of(data.sensors)
    before = _origin(origin, method, data, model, tiles) if origin else None
    if before:
        told["sensors"] = before.card.statistics  # it knows its sensors by these
    guide = _teacher(teacher, data, model, told["sensors"]) if way.teacher and (teacher or not before) else None
    if guide and teacher and not before:  # who goes on elsewhere may keep the teacher of before
        _check_labels(teacher, guide.card, data, tiles)
    return Checked(request, way, data, model, told, speckle, guide, origin, before)


def _check_settings(settings: TrainingSettings, data: Data, method: str, way: Method) -> None:
    """Refuses what the method cannot do, or what the sensors do not allow."""
    if way.whole_batch and settings.parts > 1:
        told = f"training.devices x accumulate: {settings.parts}: {method} looks at the whole batch at once"
        raise UserError(f"{told}, in its losses and norms; set both to 1")
    for key, named in ("speckle", settings.speckle), ("photometric", settings.photometric):
        if isinstance(named, dict) and (unknown := named.keys() - data.sensors.keys()):
            raise UserError(f"training.{key}.{min(unknown)}: not one of the sensors ({', '.join(data.sensors)})")
    if relative := [it for it in settings.speckle if data.sensors[it].relative or any(data.sensors[it].relief)]:
        kind = "relative" if data.sensors[relative[0]].relative else "heights (relief)"
        raise UserError(
            f"training.speckle.{relative[0]}: its values are {kind}, so how strong speckle is cannot be told; remove one"
        )


def _speckle(settings: TrainingSettings, data: Data, tiles: Path, statistics: Mapping[str, Mapping[str, Any]]) -> Speckle:
    """The sensors that are seen through speckle. What is below zero is no power, so it must be said to be decibels."""
    stores = [open_store(store_path(tiles, scene)) for scene in data.scenes_of("train")] if settings.speckle else []
    found = {}
    for sensor, looks in settings.speckle.items():
        if sensor not in data.sensors:
            continue
        units = {store.unit(sensor) for store in stores if sensor in store.bands}
        lowest, decibels = min(statistics[sensor]["low"]), units == {"dB"}
        if not decibels and ("dB" in units or lowest < 0):
            doubt = "some scenes are in dB, others not" if "dB" in units else f"values go down to {lowest:.4g}"
            remedy = f"if they are decibels, set data.sensors.{sensor}.scaling: {{unit: dB}}; else leave it out"
            if data.sensors[sensor].resampling == "cubic":
                remedy = f"cubic resampling may do that: set data.sensors.{sensor}.resampling: bilinear; {remedy}"
            raise UserError(f"training.speckle.{sensor}: {doubt}; {remedy}")
        found[sensor] = looks, decibels
    return found


def _shown(data: Data, method: str, way: Method, combination: str | None) -> Data:
    """The data with the sensors that are trained with: all of them, or those of a specialist."""
    if not way.specialists:
        if combination:
            raise UserError(f"--combination: {method} takes any combination; leave the option out")
        return data
    if not combination:
        raise UserError(f"--combination: missing; {method} is trained for one, such as {name_of(data.sensors)}")
    try:
        return data.seen_by(parse(combination, tuple(data.sensors)))
    except ValueError as error:
        raise UserError(f"--combination {combination}: {error}") from None


def _statistics(path: Path, data: Data, tiles: Path) -> dict[str, Any]:
    """The training pixels' statistics, if they are of the same sensors and classes, and of these very pixels."""
    told = read_statistics(path)
    has = {sensor: (len(one["mean"]), one["relief"]) for sensor, one in told["sensors"].items()}
    if has != {sensor: (spec.channels, list(spec.relief)) for sensor, spec in data.sensors.items()} or set(
        told["classes"]
    ) != set(data.classes):
        raise UserError(
            f"{path}: made for other sensors, bands, relief or classes than the config's; run `dis2 statistics` again"
        )
    scenes = data.scenes_of("train")
    if set(told.get("stores", ())) != set(scenes) or told["split"] != data.split.model_dump(mode="json"):
        raise UserError(f"{path}: made of other scenes, or another split, than the config's; run `dis2 statistics` again")
    for scene in scenes:
        if told["stores"][scene] != digest_of(store_path(tiles, scene)):
            raise UserError(f"{path}: made before {store_path(tiles, scene)} was cut as it is; run `dis2 statistics` again")
    return told


def _teacher(folder: Path | None, data: Data, model: ModelSettings, statistics: dict[str, Any]) -> Model:
    """The trained network to start from, if it is a teacher of the same data and size."""
    if folder is None:
        raise UserError("--teacher: missing; this method starts from a trained teacher")
    guide = load(folder)
    own = {key: getattr(model, key) for key in ("class_chunk", *STUDENT_PARTS)}
    card, size = guide.card, guide.card.settings.model_copy(update=own)
    if card.method != "teacher":
        raise UserError(f"{folder}: a model of {card.method}, not a teacher; train one by `dis2 train teacher`")
    check_fit(folder, card, data)
    if size != model:
        raise UserError(f"{folder}: model: the teacher has {size}, the config {model}; train it again")
    if card.statistics != statistics:
        raise UserError(f"{folder}: statistics: the teacher was trained with others than --statistics gives; train it again")
    return guide


def _check_labels(folder: Path, card: Card, data: Data, tiles: Path) -> None:
    """Refuses a teacher that saw other labels than these."""
    if (share := card.training.get("labels")) != data.split.labels:
        raise UserError(f"{folder}: data.split.labels: the teacher has {share}, the config {data.split.labels}; train it again")
    for store in (store_path(tiles, scene) for scene in data.scenes_of("train", "validation")):
        found = digest_of(store)
        if card.provenance.get("data", {}).get(store.stem, found) != found:
            raise UserError(f"{folder}: the teacher was trained before {store} was cut as it is; train it again")


def _origin(folder: Path, method: str, data: Data, model: ModelSettings, tiles: Path) -> Model:
    """The trained model to go on from, if it is of this method, data and size."""
    found = load(folder)
    if found.card.method != method:
        raise UserError(f"--from {folder}: a model of {found.card.method}, not of {method}; name that method, or another model")
    check_fit(folder, found.card, data)
    if found.card.settings != model:
        raise UserError(f"--from {folder}: model: it has {found.card.settings}, the config {model}; give the same sizes")
    for split in ("validation", "test"):
        check_unseen(f"--from {folder}", found.card, data, tiles, split)
    return found
