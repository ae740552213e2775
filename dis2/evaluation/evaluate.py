"""The evaluation stage: one model, every combination of sensors, one pass over the pixels of a split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dis2 import metrics
from dis2.combinations import combinations, expected, name_of
from dis2.config.data import Data
from dis2.config.evaluation import EvaluationSettings, PartialSettings
from dis2.device import device
from dis2.errors import UserError
from dis2.evaluation import meter
from dis2.evaluation.blocks import Blocks
from dis2.evaluation.eroded import Eroded
from dis2.evaluation.openings import opened
from dis2.evaluation.partial import PartialLoss
from dis2.evaluation.similarity import Similarity
from dis2.files import check_writable, sealed, whole
from dis2.metrics import Calibration, Matrix
from dis2.models.files import Card, Model, check_fit, load
from dis2.progress import bar
from dis2.tiles.dataset import Scenes
from dis2.training.unseen import check_unseen
from dis2.training.validate import Count, Scorer

FAILURES = (0.05, 0.1, 0.2)
"""Probabilities with which each sensor fails by itself."""

ZEROS = "-zeros"


def evaluate(
    data: Data,
    settings: EvaluationSettings,
    folder: Path,
    tiles: Path,
    out: Path,
    split: str,
    zeros: bool,
    teacher: Path | None = None,
) -> None:
    """Scores a model with every combination and writes confusion matrices and all that follows from them."""
    torch.set_num_threads(settings.threads)
    model, where = load(folder), device()
    check_fit(folder, model.card, data)
    check_unseen(str(folder), model.card, data, tiles, split)
    check_writable(out)
    model.network.to(where)
    scenes = Eroded(data, tiles, split, settings.erosion)
    windows = scenes.fixed(settings.tile)
    names = combinations(tuple(data.sensors))
    blocks = Blocks(scenes, [name_of(combination) for combination in names], settings.block)
    likeness = Similarity(_teacher(teacher, model, data, where)) if teacher and settings.similarity else None
    loss = _partial(scenes, model, settings, zeros)
    observers = [observer for observer in (blocks, likeness, loss) if observer is not None]
    scorer = Scorer(
        scenes, model.card.statistics, names, settings.batch, settings.bins, zeros, observers, model.card.temperatures
    )
    if split == "test":
        opened(tiles, folder, model.card.method, model.card.seed)
    with bar(len(windows), f"evaluate {model.card.method}", "window") as progress:
        counts = scorer.score(model.network, windows, progress.update)
    found = described(model.card, data, settings, split, zeros, tuple(scenes.stores), counts)
    found |= {"cost": _cost(model, names, settings.tile, zeros)}
    found |= {"similarity": likeness.told()} if likeness else {}
    found |= {"partial": _damaged(loss, settings.partial, tuple(data.classes))} if loss else {}
    with whole(out) as part:
        part.write_text(rowwise(sealed({**found, "blocks": blocks.told()})) + "\n", encoding="utf-8")


def _teacher(folder: Path, model: Model, data: Data, where: torch.device) -> nn.Module:
    """The teacher's network, which must be shown what the model is shown."""
    taught = load(folder)
    check_fit(folder, taught.card, data)
    if taught.card.statistics != model.card.statistics:
        raise UserError(f"{folder}: its statistics are not those of the model; give the teacher of the same run")
    return taught.network.to(where).eval()


def _partial(scenes: Scenes, model: Model, settings: EvaluationSettings, zeros: bool) -> PartialLoss | None:
    if not (most := settings.partial.windows):
        return None
    windows = scenes.fixed(settings.tile, most)
    return PartialLoss(scenes, model.network, model.card.statistics, settings.partial, windows, zeros)


def described(
    card: Card,
    data: Data,
    settings: EvaluationSettings,
    split: str,
    zeros: bool,
    scenes: tuple[str, ...],
    counts: Mapping[str, Count],
) -> dict[str, Any]:
    """The evaluation as JSON holds it."""
    classes = tuple(data.classes)
    found = {
        name: {
            **_scored(count.primary, count.calibration, classes),
            "all_pixels": _scored(count.every, count.calibration_every, classes),
            "untempered": {"ece": _number(count.untempered.ece)},
        }
        for name, count in counts.items()
    }
    return {
        "method": card.method + (ZEROS if zeros else ""),
        "seed": card.seed,
        "split": split,
        "sensors": list(data.sensors),
        "classes": list(classes),
        "scenes": list(scenes),
        "protocol": {
            "primary": "label there and every sensor valid: the same pixels for all combinations",
            "all_pixels": "label there and any sensor valid",
            "ignored": [str(value) for value in data.ignore],
            "tile": settings.tile,
            "erosion": settings.erosion,
            "split": data.split.model_dump(mode="json") if data.split.by == "block" else {"by": "scene"},
            "pixels": int(next(iter(counts.values())).primary.sum()),
            "labelled_pixels": int(next(iter(counts.values())).every.sum()),
            "selection": "best mean mIoU over combinations on validation tiles",
        },
        "combinations": found,
        "summary": _summary(found, tuple(data.sensors)),
        "model": {
            "parameters": card.parameters,
            "validation": card.validation,
            "temperatures": card.temperatures,
            **{key: card.training[key] for key in ("steps", "best_step", "seconds", "device")},
        },
    }


def _scored(matrix: Matrix, calibration: Calibration, classes: tuple[str, ...]) -> dict[str, Any]:
    iou, f1, recall = metrics.iou(matrix), metrics.f1(matrix), metrics.recall(matrix)
    scores = {
        "miou": _number(metrics.mean(iou)),
        "f1": _number(metrics.mean(f1)),
        "oa": _number(metrics.accuracy(matrix)),
        "aa": _number(metrics.mean(recall)),
        "kappa": _number(metrics.kappa(matrix)),
        "ece": _number(calibration.ece),
        "iou": _by_class(iou, classes),
        "f1_per_class": _by_class(f1, classes),
        "pixels": int(matrix.sum()),
    }
    reliability = {
        "count": calibration.count.tolist(),
        "right": calibration.right.tolist(),
        "confidence": [round(float(sure), 4) for sure in calibration.confidence],
    }
    return {"confusion": matrix.tolist(), "scores": scores, "reliability": reliability}


@torch.no_grad()
def _cost(model: Model, names: Sequence[tuple[str, ...]], tile: int, zeros: bool) -> dict[str, Any]:
    """Of each combination: the parameters that are read, and 10^9 operations of one window."""
    like = next(model.network.parameters())
    images = {sensor: like.new_zeros(1, bands, tile, tile) for sensor, bands in model.card.channels.items()}
    valid = {sensor: torch.ones_like(image[:, :1], dtype=torch.bool) for sensor, image in images.items()}
    found = {}
    for combination in names:
        given = tuple(images) if zeros else combination

        def run(given: tuple[str, ...] = given) -> object:
            return model.network(*({sensor: tensors[sensor] for sensor in given} for tensors in (images, valid)))

        operations = meter.operations(run) / 1e9
        found[name_of(combination)] = {"parameters": meter.read(run, model.network), "gflops": round(operations, 3)}
    return found


def _damaged(loss: PartialLoss, settings: PartialSettings, classes: tuple[str, ...]) -> dict[str, Any]:
    """Scores with all sensors, one of them damaged, and without damage on the same pixels."""
    told: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "pixels": int(sum(matrix.sum() for matrix in list(loss.whole.values())[:1])),
        "whole": {name: _short(matrix, classes) for name, matrix in loss.whole.items()},
    }
    for (kind, sensor, level), matrix in loss.damaged.items():
        told.setdefault(kind, {}).setdefault(sensor, {})[f"{level:g}"] = _short(matrix, classes)
    return told


def _short(matrix: Matrix, classes: tuple[str, ...]) -> dict[str, Any]:
    iou = metrics.iou(matrix)
    return {"miou": _number(metrics.mean(iou)), "iou": _by_class(iou, classes)}


def _summary(found: Mapping[str, Any], sensors: tuple[str, ...]) -> dict[str, Any]:
    """What the combinations come to; combinations without a score (no pixel) make what depends on them null."""
    miou = {name: entry["scores"]["miou"] for name, entry in found.items()}
    if any(score is None for score in miou.values()):
        return {"mean_miou": None, "worst": None, "expected": None, "drop": None}
    worst = min(miou, key=miou.__getitem__)
    return {
        "mean_miou": _number(float(np.mean(list(miou.values())))),
        "worst": {"combination": worst, "miou": miou[worst]},
        "expected": {str(p): _number(expected(miou, sensors, p)) for p in FAILURES},
        "drop": {name: _number(miou[name_of(sensors)] - score) for name, score in miou.items()},
    }


def _by_class(values: NDArray[np.float64], classes: tuple[str, ...]) -> dict[str, float | None]:
    return {name: _number(float(value)) for name, value in zip(classes, values, strict=True)}


def _number(value: float) -> float | None:
    """JSON knows no NaN: a score that does not exist is null."""
    return None if np.isnan(value) else round(value, 6)


def rowwise(value: Any, indent: str = "") -> str:
    """JSON that a person can read: a line for each key, and for each list that holds no other."""
    inner, items = indent + " ", list[str]()
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(key)}: {rowwise(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        items = [rowwise(item, inner) for item in value]
    if not items:
        return json.dumps(value, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + ",".join(f"\n{inner}{item}" for item in items) + f"\n{indent}{closing}"
