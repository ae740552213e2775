"""What a run has found so far: its result files as the report reads them, and what is not there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dis2.combinations import combinations, name_of
from dis2.config.data import Data
from dis2.errors import UserError
from dis2.evaluation.compare import Comparison, Estimate, check, compared, estimate
from dis2.evaluation.openings import Openings, openings
from dis2.files import check_digest, read_json
from dis2.raster.sound import faults_of

Document = dict[str, Any]


@dataclass(frozen=True)
class Findings:
    """All evaluations, models, histories and registrations of a data set, and notes on what is missing or left out."""

    data: Data
    results: Path
    evaluations: dict[str, dict[int, Document]]
    cards: dict[str, dict[int, Document]]
    histories: dict[str, dict[int, list[Document]]]
    registered: dict[str, Document]
    truths: dict[str, Document]
    comparisons: dict[str, Comparison]
    """the lead beside each rival"""
    openings: Openings
    notes: list[str] = field(default_factory=list)

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(self.data.sensors)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.data.classes)

    @property
    def combinations(self) -> list[str]:
        return [name_of(combination) for combination in combinations(self.sensors)]

    @property
    def full(self) -> str:
        return name_of(self.sensors)

    @property
    def methods(self) -> list[str]:
        return list(self.evaluations)

    @property
    def lead(self) -> str:
        """The method that the page is about: the project's own, or the first that was evaluated."""
        return self.methods[0]

    @property
    def split(self) -> str:
        """The pixels that were scored."""
        return str(next(iter(self.evaluations[self.lead].values())).get("split", "test"))

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for seeds in self.evaluations.values() for seed in seeds})

    def over_seeds(self, method: str, *keys: str) -> Estimate | None:
        """A number of a method's evaluations, found by its keys in each, over the seeds."""
        return estimate(self.at_seeds(method, *keys))

    def at_seeds(self, method: str, *keys: str) -> list[float]:
        """The same number at each seed that has it."""
        found = [at(document, keys) for document in self.evaluations[method].values()]
        return [value for value in found if value is not None]

    def score(self, method: str, combination: str, *keys: str) -> Estimate | None:
        """A score of one combination, such as `miou`, or `iou` and a class."""
        return self.over_seeds(method, "combinations", combination, "scores", *keys)


def at(document: Any, keys: Iterable[str]) -> float | None:
    """The number that lies under some keys, if it is there."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return None if document is None else float(document)


def read_findings(data: Data, results: Path, only: Collection[str] | None = None) -> Findings:
    """Everything that `results` holds of this data set, or only some `method/seed`; an evaluation must be there."""
    broken = _broken(data, results / "checked")
    data = data.only(scene for scene in data.scenes if scene not in broken)
    notes = [f"{scene} is left out, for its rasters are not sound: {'; '.join(faults)}." for scene, faults in broken.items()]
    evaluations = _evaluations(data, results / "evaluation", notes, only)
    registered = {scene: read_json(path) for scene in data.scenes if (path := results / "registered" / f"{scene}.json").is_file()}
    if missing := [scene for scene in data.scenes if scene not in registered]:
        notes.append(f"No registration result for {', '.join(missing)}.")
    truths = {scene: read_json(path) for scene in registered if (path := results / "scenes" / scene / "truth.json").is_file()}
    trained = only and {*only, *(f"teacher/{name.split('/')[1]}" for name in only)}
    models = _by_method_and_seed(results / "models", "*/*/model.json", trained)
    histories = {
        method: {seed: _history(path.parent, read_json(path)) for seed, path in seeds.items()} for method, seeds in models.items()
    }
    for name in map(name_of, combinations(tuple(data.sensors))):
        specialists = _by_method_and_seed(results / "models", f"*/*/{name}/model.json", trained)
        models |= {f"{method} {name}": seeds for method, seeds in specialists.items()}
    cards = {method: {seed: read_json(path) for seed, path in seeds.items()} for method, seeds in models.items()}
    known = {name.split()[0] for name in cards}
    if missing := [method for method in evaluations if method not in known and not method.startswith("teacher-")]:
        notes.append(f"No model card for {', '.join(missing)}.")
    beside, opened = _comparisons(evaluations, notes), openings(results / "tiles")
    return Findings(data, results, evaluations, cards, histories, registered, truths, beside, opened, notes)


def _broken(data: Data, folder: Path) -> dict[str, list[str]]:
    """The scenes that the check has refused, and why."""
    faults = {scene: faults_of(path) for scene in data.scenes if (path := folder / f"{scene}.json").is_file()}
    return {scene: found for scene, found in faults.items() if found}


def _comparisons(evaluations: dict[str, dict[int, Document]], notes: list[str]) -> dict[str, Comparison]:
    """The lead beside each rival that was scored on the same pixels; why others are left out is noted."""
    lead, *rivals = evaluations
    fitting = []
    for rival in rivals:
        try:
            check(evaluations, lead, rival)
            fitting.append((lead, rival))
        except UserError as error:
            notes.append(f"{lead} and {rival} are not compared: {error}.")
    return {it.second: it for it in compared(evaluations, fitting)}


def _evaluations(data: Data, folder: Path, notes: list[str], only: Collection[str] | None) -> dict[str, dict[int, Document]]:
    """Evaluations of this data set by method and seed, the project's own method first; others are left out, and it is said."""
    found: dict[str, dict[int, Document]] = {}
    for method, seeds in _by_method_and_seed(folder, "*/*.json", only).items():
        for seed, path in seeds.items():
            document = read_json(path)
            if document.get("sensors") != list(data.sensors) or document.get("classes") != list(data.classes):
                notes.append(f"evaluation/{method}/{seed}.json is of other sensors or classes and is left out.")
                continue
            found.setdefault(method, {})[seed] = document
    if not found:
        raise UserError(
            f"{folder}/<method>/<seed>.json: no evaluation of this data set; run `dis2 evaluate` for at least one model"
        )
    protocols = {
        json.dumps([it.get("split"), it.get("scenes"), it.get("protocol")]) for seeds in found.values() for it in seeds.values()
    }
    if len(protocols) > 1:
        notes.append("The evaluations differ in scenes, split or protocol: their scores are not strictly comparable.")
    if len({tuple(seeds) for seeds in found.values()}) > 1:
        listed = "; ".join(f"{method}: {', '.join(map(str, seeds))}" for method, seeds in found.items())
        notes.append(f"The methods were not all run with the same seeds ({listed}).")
    return dict(sorted(found.items(), key=lambda item: (item[0] != "dis2", item[0].startswith("teacher"), item[0])))


def _by_method_and_seed(folder: Path, pattern: str, only: Collection[str] | None) -> dict[str, dict[int, Path]]:
    """Files of `<method>/<seed>` under a folder, or only of some, in order of the seeds."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob(pattern)):
        method, seed = path.relative_to(folder).with_suffix("").parts[:2]
        if seed.isdecimal() and (only is None or f"{method}/{seed}" in only):
            found.setdefault(method, {})[int(seed)] = path
    return {method: dict(sorted(seeds.items())) for method, seeds in found.items()}


def _history(model: Path, card: Document) -> list[Document]:
    """The lines of a training's history, if it is that of the card."""
    path = model / "history.jsonl"
    if not path.is_file():
        return []
    check_digest(path, card.get("history"))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
