"""The evaluations of results, by method and seed; those of a study's folds as one, since each held out other pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dis2.errors import UserError
from dis2.files import read_json

Document = dict[str, Any]
Runs = Mapping[int, Document]
"""A method's evaluations by seed."""
ALIKE = ("split", "sensors", "classes")
"""What evaluations that are put side by side or together have in common."""


def evaluations(path: Path) -> dict[str, dict[int, Document]]:
    """The evaluations of a file, of a folder, or of the results folder of a run, by method and seed."""
    inside = path / "evaluation" if (path / "evaluation").is_dir() else path
    files = sorted(inside.rglob("*.json")) if inside.is_dir() else [path]
    found: dict[str, dict[int, Document]] = {}
    for file in files:
        document = read_json(file)
        if not isinstance(document, dict) or not {"method", "seed", "combinations", "split"} <= document.keys():
            continue
        seeds = found.setdefault(document["method"], {})
        if document["seed"] in seeds:
            raise UserError(f"{file}: a second {named(document['method'], document['seed'])}; compare folders with one of each")
        seeds[document["seed"]] = document
    if not found:
        raise UserError(f"{path}: no evaluation there; give a results folder, or JSON files of `dis2 evaluate`")
    return found


def named(method: str, seed: object) -> str:
    """Which evaluation it is, for a message."""
    return f"evaluation of {method}, seed {seed}"


def pooled(folders: Sequence[Path]) -> dict[str, dict[int, Document]]:
    """By method and seed, the blocks of all folds side by side; all must have scored the same methods at the same seeds."""
    folds = [(folder, evaluations(folder)) for folder in folders]
    wanted = dict.fromkeys((method, seed) for _, fold in folds for method, seeds in fold.items() for seed in seeds)
    for folder, fold in folds:
        if lacking := [named(method, seed) for method, seed in wanted if seed not in fold.get(method, {})]:
            raise UserError(f"{folder}: no {lacking[0]}, which other folds have; run it with the same config")
    found: dict[str, dict[int, Document]] = {}
    for method, seed in wanted:
        found.setdefault(method, {})[seed] = _together([(folder, fold[method][seed]) for folder, fold in folds])
    return found


def _together(parts: Sequence[tuple[Path, Document]]) -> Document:
    """One evaluation of several, each of other pixels."""
    where, first = parts[0]
    seen: dict[tuple[object, ...], Path] = {}
    for folder, part in parts:
        for what in ALIKE:
            if part[what] != first[what]:
                raise UserError(f"{folder}: {what}: {part[what]}, but {first[what]} in {where}; folds of one study are alike")
        if part["blocks"]["side"] != first["blocks"]["side"]:
            sides = part["blocks"]["side"], first["blocks"]["side"]
            raise UserError(f"{folder}: evaluation.block: {sides[0]}, but {sides[1]} in {where}; evaluate all folds alike")
        for place in map(tuple, part["blocks"]["places"]):
            if place in seen:
                raise UserError(f"{folder}: scored the same pixels as {seen[place]} (block {place}); give each fold once")
            seen[place] = folder
    blocks = [part["blocks"] for _, part in parts]
    joined = {key: [*chain.from_iterable(block[key] for block in blocks)] for key in ("places", "truth")}
    by_combination = {
        key: {name: [*chain.from_iterable(block[key][name] for block in blocks)] for name in first["combinations"]}
        for key in ("hit", "predicted")
    }
    pixels = [sum(map(sum, block["truth"])) for block in blocks]
    calibrated = {name: _calibrated([part["combinations"][name] for _, part in parts], pixels) for name in first["combinations"]}
    return {**first, "combinations": calibrated, "blocks": {"side": blocks[0]["side"], **joined, **by_combination}}


def _calibrated(entries: Sequence[Mapping[str, Any]], pixels: Sequence[int]) -> dict[str, Any]:
    """What blocks do not tell: the calibration error of each part with its own temperatures, in the mean over pixels."""
    found = dict(entries[0])
    for key in ("scores", "untempered"):
        if all(key in entry for entry in entries):
            error = sum(entry[key]["ece"] * count for entry, count in zip(entries, pixels, strict=True)) / sum(pixels)
            found[key] = {**entries[0][key], "ece": round(error, 6)}
    return found
