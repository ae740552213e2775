"""The training stage: the teacher, the student or a rival, from tiles to a model's files."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dis2 import __version__
from dis2.combinations import combinations, name_of, parse
from dis2.config.base import MOST_SEEDS
from dis2.config.data import Data
from dis2.config.model import STUDENT_PARTS, ModelSettings
from dis2.config.training import INDIFFERENT, TrainingSettings
from dis2.device import device
from dis2.errors import UserError
from dis2.files import check_folder, check_writable, digest, whole
from dis2.fingerprint import fingerprint
from dis2.losses import class_weights
from dis2.models.files import CARD, WEIGHTS, Card, Model, build, check_fit, load, save
from dis2.models.registry import METHODS, TEACHER, Method, method_of
from dis2.raster.grid import Window
from dis2.tiles.dataset import Sampler, Scenes
from dis2.tiles.manifest import digest_of
from dis2.tiles.statistics import read_statistics
from dis2.tiles.store import store_path
from dis2.training.calibrate import temperatures
from dis2.training.devices import first_alone, started, together
from dis2.training.events import Events
from dis2.training.loop import Loop, hash_seed
from dis2.training.photometric import Speckle
from dis2.training.state import State, discard_state, key_of
from dis2.training.unseen import check_unseen, learnt_from
from dis2.training.validate import Scorer, mious

TILES = "tiles"
"""The folder beside a state in which scenes are kept unpacked."""
WAITING = 0.05
"""The share of the time without tiles from which on it is said."""


def train(
    data: Data,
    model: ModelSettings,
    settings: TrainingSettings,
    method: str,
    seed: int,
    tiles: Path,
    statistics: Path,
    out: Path,
    state: Path | None,
    teacher: Path | None,
    combination: str | None = None,
    origin: Path | None = None,
) -> None:
    """Trains a method, or the specialist of one combination, and writes its weights, card, history and curves.

    From an origin, a model of the same method, it goes on with its weights on other data.
    """
    if method != "teacher" and method not in METHODS:
        raise UserError(f"{method}: not a method; there are teacher, {', '.join(METHODS)}")
    if not 0 <= seed < MOST_SEEDS:
        raise UserError(f"--seed {seed}: must be a number from 0 to {MOST_SEEDS - 1}")
    if os.environ.get("LOCAL_RANK", "0") == "0":  # a process of several leaves what others try alone
        check_writable(out / CARD)
        if state:
            check_folder(state)
    way = method_of(method)
    _check_settings(settings, data, method, way)
    told = _statistics(statistics, data, tiles)
    data = _shown(data, method, way, combination)
    sensors = {sensor: spec.channels for sensor, spec in data.sensors.items()}
    told["sensors"] = {sensor: told["sensors"][sensor] for sensor in sensors}
    if teacher and not way.teacher:
        raise UserError(f"--teacher: {method} starts from fresh weights; leave the option out")
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
    fabric = started(settings.devices)  # only now: each of several processes would refuse what is wrong by itself
    torch.set_num_threads(settings.threads)  # a start with several processes sets it, too
    torch.manual_seed(hash_seed(seed))
    network = build(method, sensors, len(data.classes), model)
    weights = class_weights([told["classes"][name] for name in data.classes], settings.balance)
    kind = way.trained_by(settings.distillation)
    said = []
    if way.teacher and guide is None and kind.undistilled() is not kind:
        said.append("learns from labels alone, since no --teacher is given")
        kind = kind.undistilled()
    objective = kind(tuple(sensors), weights, settings.weights, guide and guide.network)
    if settings.unlabelled and way.trained_by(True).learns_unlabelled and not objective.learns_unlabelled:
        said.append("training.unlabelled is not used, since it learns from labels alone")
    if fabric.is_global_zero:
        sys.stderr.write("".join(f"{method}: {line}\n" for line in said))

    def unpacked() -> tuple[Scenes, Speckle, Scorer, list[tuple[str, Window]]]:
        scenes = Scenes(data, tiles, "train", *_cache(settings, state))
        speckle = _speckle(settings, scenes, told["sensors"])
        return scenes, speckle, *_validator(data, settings, tiles, told["sensors"], objective.whole_only, state)

    with together(fabric):
        scenes, speckle, scorer, windows = first_alone(fabric, unpacked)
    provenance = _provenance(way, scenes, tiles, data, teacher, origin)
    same = [
        settings.model_dump(exclude={*INDIFFERENT}),
        model.model_dump(),
        data.split.model_dump(),
        list(sensors),
        list(data.classes),
        told,
        torch.__version__,
        [list(scenes.stores), list(data.scenes_of("validation"))],
        speckle,
    ]
    unlabelled = settings.unlabelled if objective.learns_unlabelled else 0.0
    loop = Loop(
        fabric=fabric,
        network=network,
        objective=objective,
        sampler=Sampler(scenes, settings.tile, objective.whole_only, settings.aligned, settings.zoom, unlabelled),
        statistics=told["sensors"],
        settings=settings,
        steps=_steps(settings, way),
        seed=seed,
        validate=lambda network: mious(scorer.score(network, windows)),
        state_folder=state,
        key=key_of(*same, method, seed, [provenance[name] for name in ("code", "data", "teacher", "origin")]),
        speckle=speckle,
        origin=before.network.state_dict() if before else None,
        events=Events(out / "events" if settings.tensorboard and fabric.is_global_zero else None),
    )
    with together(fabric):
        done = loop.run()
    if not fabric.is_global_zero:
        return
    learnt = learnt_from(data, tiles, before.card if before else None)
    card = _card(data, model, settings, method, seed, told, loop, done, learnt, provenance)
    _write(out, loop, done, card.model_copy(update={"temperatures": temperatures(scorer, network, windows)}))
    if state:
        shutil.rmtree(state / TILES, ignore_errors=True)
        discard_state(state)


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


def _cache(settings: TrainingSettings, state: Path | None) -> tuple[int, Path | None]:
    """How much of a split is kept unpacked and, if that is on disk, where."""
    if settings.cache == "disk" and state is None:
        raise UserError("training.cache: disk: lies beside the training's state; give --state FOLDER")
    size = 0 if settings.cache == "none" else settings.cache_mb * 2**20
    return size, state / TILES if state and settings.cache == "disk" else None


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


def _steps(settings: TrainingSettings, way: Method) -> int:
    """The budget: what a teacher has learned counts for its student, so a rival trains for both."""
    if way is TEACHER:
        return settings.teacher_steps
    return settings.student_steps + (0 if way.teacher else settings.teacher_steps)


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


def _validator(
    data: Data, settings: TrainingSettings, tiles: Path, statistics: dict[str, Any], full_only: bool, state: Path | None
) -> tuple[Scorer, list[tuple[str, Window]]]:
    """What scores fixed windows, never augmented, for every combination (the teacher's only one is the full one)."""
    scenes = Scenes(data, tiles, "validation", *_cache(settings, state))
    windows = scenes.fixed(settings.tile, settings.validation_tiles)
    wanted = combinations(tuple(data.sensors))
    return Scorer(scenes, statistics, wanted[:1] if full_only else wanted, settings.batch), windows


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


def _speckle(settings: TrainingSettings, scenes: Scenes, statistics: Mapping[str, Mapping[str, Any]]) -> Speckle:
    """The sensors that are seen through speckle. What is below zero is no power, so it must be said to be decibels."""
    found = {}
    for sensor, looks in settings.speckle.items():
        if sensor not in scenes.data.sensors:
            continue
        units = {store.unit(sensor) for store in scenes.stores.values() if sensor in store.bands}
        lowest, decibels = min(statistics[sensor]["low"]), units == {"dB"}
        if not decibels and ("dB" in units or lowest < 0):
            doubt = "some scenes are in dB, others not" if "dB" in units else f"values go down to {lowest:.4g}"
            remedy = f"if they are decibels, set data.sensors.{sensor}.scaling: {{unit: dB}}; else leave it out"
            raise UserError(f"training.speckle.{sensor}: {doubt}; {remedy}")
        found[sensor] = looks, decibels
    return found


def _provenance(
    way: Method, scenes: Scenes, tiles: Path, data: Data, teacher: Path | None, origin: Path | None
) -> dict[str, Any]:
    validation = data.scenes_of("validation")
    return {
        "code": fingerprint("dis2.training.train", *way.modules),
        "data": {scene: digest_of(tiles / f"{scene}.zarr") for scene in (*scenes.stores, *validation)},
        "teacher": teacher and digest(teacher / WEIGHTS),
        "origin": origin and digest(origin / WEIGHTS),
        "versions": {"dis2": __version__, "python": platform.python_version(), "torch": torch.__version__},
        "revision": _revision(),
    }


def _revision() -> str | None:
    """The git revision of the package's source, with a mark if it was changed since."""
    try:
        run = partial(subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20)
        if run(["git", "ls-files", "--error-unmatch", Path(__file__).name]).returncode:
            return None  # the repository around an installed package is another project's
        found = run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _card(
    data: Data,
    model: ModelSettings,
    settings: TrainingSettings,
    method: str,
    seed: int,
    told: dict[str, Any],
    loop: Loop,
    done: State,
    learnt: list[dict[str, Any]],
    provenance: dict[str, Any],
) -> Card:
    seconds = max(done.seconds, 1e-9)
    cuda = device().type == "cuda"
    memory = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Card(
        method=method,
        sensors={sensor: spec.bands for sensor, spec in data.sensors.items()},
        rasters=data.sensors,
        reference=loop.sampler.scenes.stores[loop.sampler.names[0]].reference,
        resolution=told["resolution"],
        classes=tuple(data.classes),
        colors=data.colors,
        settings=model,
        statistics=told["sensors"],
        seed=seed,
        parameters=sum(p.numel() for p in loop.network.parameters()),
        validation=done.best["validation"],
        training={
            "settings": settings.model_dump(mode="json", exclude={"student_steps"} if method == "teacher" else None),
            "labels": data.split.labels,
            "learnt_from": learnt,
            "steps": done.step,
            "best_step": done.best["step"],
            "seconds": round(seconds, 1),
            "tiles_per_second": round(done.step * settings.batch / seconds, 2),
            "waiting": round(done.waited / max(seconds - done.scoring, 1e-9), 3),
            "peak_memory_mb": round(memory / 2**20),
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "threads": settings.threads,
        },
        provenance=provenance,
    )


def _write(out: Path, loop: Loop, done: State, card: Card) -> None:
    from dis2.training.curves import draw

    save(out, loop.network, card, "".join(json.dumps(line) + "\n" for line in done.history))
    name = f"{card.method} {name_of(card.sensors)}" if method_of(card.method).specialists else card.method
    with whole(out / "curves.png") as part:
        draw(done.history, f"{name}, seed {card.seed}", part)
    mean = sum(card.validation.values()) / len(card.validation)
    print(f"{name}: mIoU {100 * mean:.1f} on validation (step {card.training['best_step']} of {done.step})", file=sys.stderr)
    if (waiting := card.training["waiting"]) > WAITING:
        slow = "making them ready is the bottleneck, as scenes are in memory already; faster: photometric, speckle and zoom off"
        if not loop.sampler.scenes.in_memory:
            slow = "reading is the bottleneck; raise training.cache_mb so that the scenes fit, or training.workers"
        print(f"{name}: {100 * waiting:.0f} % of the time no tiles were ready: {slow}", file=sys.stderr)
