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
from dis2.combinations import combinations, name_of
from dis2.config.training import INDIFFERENT, TrainingSettings
from dis2.device import device
from dis2.errors import UserError
from dis2.files import check_folder, check_writable, digest, whole
from dis2.fingerprint import fingerprint
from dis2.losses import class_weights
from dis2.models.files import CARD, WEIGHTS, Card, build, save
from dis2.models.registry import TEACHER, Method, method_of
from dis2.raster.grid import Window
from dis2.tiles.dataset import Sampler, Scenes
from dis2.tiles.manifest import digest_of
from dis2.training.calibrate import temperatures
from dis2.training.devices import first_alone, started, together
from dis2.training.events import Events
from dis2.training.loop import Loop, hash_seed
from dis2.training.objective import Objective
from dis2.training.request import Checked, Request, checked
from dis2.training.state import State, discard_state, key_of
from dis2.training.unseen import learnt_from
from dis2.training.validate import Scorer, mious

TILES = "tiles"
"""The folder beside a state in which scenes are kept unpacked."""
WAITING = 0.05
"""The share of the time without tiles from which on it is said."""


def train(request: Request, out: Path, state: Path | None) -> None:
    """Trains a method, or the specialist of one combination, and writes its weights, card, history and curves.

    From an origin, a model of the same method, it goes on with its weights on other data.
    """
    if os.environ.get("LOCAL_RANK", "0") == "0":  # a process of several leaves what others try alone
        check_writable(out / CARD)
        if state:
            check_folder(state)
    task, settings = checked(request), request.settings
    fabric = started(settings.devices)  # only now: each of several processes would refuse what is wrong by itself
    torch.set_num_threads(settings.threads)  # a start with several processes sets it, too
    torch.manual_seed(hash_seed(request.seed))
    network = build(request.method, task.bands, len(task.data.classes), task.model)
    objective, said = _objective(task)
    if fabric.is_global_zero:
        sys.stderr.write("".join(f"{request.method}: {line}\n" for line in said))
    with together(fabric):
        scenes, scorer, windows = first_alone(fabric, lambda: _unpacked(task, state, objective.whole_only))
    provenance = _provenance(task, scenes)
    unlabelled = settings.unlabelled if objective.learns_unlabelled else 0.0
    loop = Loop(
        fabric=fabric,
        network=network,
        objective=objective,
        sampler=Sampler(scenes, settings.tile, objective.whole_only, settings.aligned, settings.zoom, unlabelled),
        statistics=task.told["sensors"],
        settings=settings,
        steps=_steps(settings, task.way),
        seed=request.seed,
        validate=lambda network: mious(scorer.score(network, windows)),
        state_folder=state,
        key=_key(task, scenes, provenance),
        speckle=task.speckle,
        origin=task.before.network.state_dict() if task.before else None,
        events=Events(out / "events" if settings.tensorboard and fabric.is_global_zero else None),
    )
    with together(fabric):
        done = loop.run()
    if not fabric.is_global_zero:
        return
    card = _card(task, loop, done, provenance)
    _write(out, loop, done, card.model_copy(update={"temperatures": temperatures(scorer, network, windows)}))
    if state:
        shutil.rmtree(state / TILES, ignore_errors=True)
        discard_state(state)


def _objective(task: Checked) -> tuple[Objective, list[str]]:
    """What the method learns by, and what a person should know of it."""
    settings = task.request.settings
    weights = class_weights([task.told["classes"][name] for name in task.data.classes], settings.balance)
    kind, said = task.way.trained_by(settings.distillation), []
    if task.way.teacher and task.guide is None and kind.undistilled() is not kind:
        said.append("learns from labels alone, since no --teacher is given")
        kind = kind.undistilled()
    objective = kind(tuple(task.data.sensors), weights, settings.weights, task.guide and task.guide.network)
    if settings.unlabelled and task.way.trained_by(True).learns_unlabelled and not objective.learns_unlabelled:
        said.append("training.unlabelled is not used, since it learns from labels alone")
    return objective, said


def _unpacked(task: Checked, state: Path | None, full_only: bool) -> tuple[Scenes, Scorer, list[tuple[str, Window]]]:
    """The training scenes, and fixed windows of the validation scenes with what scores them, never augmented.

    It scores every combination; the teacher's only one is the full one.
    """
    settings, tiles = task.request.settings, task.request.tiles
    scenes, validation = (Scenes(task.data, tiles, split, *_cache(settings, state)) for split in ("train", "validation"))
    wanted = combinations(tuple(task.data.sensors))
    scorer = Scorer(validation, task.told["sensors"], wanted[:1] if full_only else wanted, settings.batch)
    return scenes, scorer, validation.fixed(settings.tile, settings.validation_tiles)


def _key(task: Checked, scenes: Scenes, provenance: Mapping[str, Any]) -> str:
    """What a state must be of to be gone on from."""
    return key_of(
        task.request.settings.model_dump(exclude={*INDIFFERENT}),
        task.model.model_dump(),
        task.data.split.model_dump(),
        list(task.data.sensors),
        list(task.data.classes),
        task.told,
        torch.__version__,
        [list(scenes.stores), list(task.data.scenes_of("validation"))],
        task.speckle,
        task.request.method,
        task.request.seed,
        [provenance[name] for name in ("code", "data", "teacher", "origin")],
    )


def _cache(settings: TrainingSettings, state: Path | None) -> tuple[int, Path | None]:
    """How much of a split is kept unpacked and, if that is on disk, where."""
    if settings.cache == "disk" and state is None:
        raise UserError("training.cache: disk: lies beside the training's state; give --state FOLDER")
    size = 0 if settings.cache == "none" else settings.cache_mb * 2**20
    return size, state / TILES if state and settings.cache == "disk" else None


def _steps(settings: TrainingSettings, way: Method) -> int:
    """The budget: what a teacher has learned counts for its student, so a rival trains for both."""
    if way is TEACHER:
        return settings.teacher_steps
    return settings.student_steps + (0 if way.teacher else settings.teacher_steps)


def _provenance(task: Checked, scenes: Scenes) -> dict[str, Any]:
    tiles, teacher = task.request.tiles, task.request.teacher
    stores = (*scenes.stores, *task.data.scenes_of("validation"))
    return {
        "code": fingerprint("dis2.training.train", *task.way.modules),
        "data": {scene: digest_of(tiles / f"{scene}.zarr") for scene in stores},
        "teacher": teacher and digest(teacher / WEIGHTS),
        "origin": task.origin and digest(task.origin / WEIGHTS),
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


def _card(task: Checked, loop: Loop, done: State, provenance: dict[str, Any]) -> Card:
    settings, method = task.request.settings, task.request.method
    seconds = max(done.seconds, 1e-9)
    cuda = device().type == "cuda"
    memory = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Card(
        method=method,
        sensors={sensor: spec.bands for sensor, spec in task.data.sensors.items()},
        rasters=task.data.sensors,
        reference=loop.sampler.scenes.stores[loop.sampler.names[0]].reference,
        resolution=task.told["resolution"],
        classes=tuple(task.data.classes),
        colors=task.data.colors,
        settings=task.model,
        statistics=task.told["sensors"],
        seed=task.request.seed,
        parameters=sum(p.numel() for p in loop.network.parameters()),
        validation=done.best["validation"],
        training={
            "settings": settings.model_dump(mode="json", exclude={"student_steps"} if method == "teacher" else None),
            "labels": task.data.split.labels,
            "learnt_from": learnt_from(task.data, task.request.tiles, task.before.card if task.before else None),
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
        slow = "making them ready is the bottleneck, since scenes are in memory; photometric, speckle and zoom take most of it"
        if not loop.sampler.scenes.in_memory:
            slow = "reading is the bottleneck; raise training.cache_mb so that the scenes fit, or training.workers"
        print(f"{name}: {100 * waiting:.0f} % of the time no tiles were ready: {slow}", file=sys.stderr)
