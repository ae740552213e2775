"""What explanations of scenes tell: what each sensor and resolution gives each class, and where a class is looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.files import check_digest, read_json
from dis2.report.cells import Cell, Table
from dis2.report.charts import Figure, heat_map
from dis2.report.findings import Document, Findings
from dis2.report.pictures import confidence_png
from dis2.report.sentences import listed

LITTLE = 0.0005
"""A smaller loss of IoU is none."""


@dataclass(frozen=True)
class Explained:
    """One model and one scene."""

    method: str
    scene: str
    told: Document
    evidence: NDArray[np.uint8]
    """where each class is looked for, in percent: [K, h, w]; no layer where that is not known"""

    @property
    def name(self) -> str:
        return f"{self.method}-{self.scene}"

    @property
    def taken(self) -> dict[str, tuple[str, dict[str, str]]]:
        """What is taken away, sensors or levels: its key, and how each is called."""
        levels = {level: f"{2 ** int(level)} px" for level in self.told["without_level"]}
        kinds = {"sensors": ("without_sensor", {s: s for s in self.told["without_sensor"]}), "levels": ("without_level", levels)}
        return {kind: found for kind, found in kinds.items() if found[1]}


def read_explained(findings: Findings, only: Collection[str] | None = None) -> list[Explained]:
    """All explanations, or only some `method/scene`; those of other sensors or classes are left out, and it is said."""
    folder = findings.results / "explained"
    names = sorted(path.relative_to(folder).parent.as_posix() for path in folder.glob("*/*/explanation.json"))
    found = []
    for name in names if only is None else only:
        told = read_json(folder / name / "explanation.json")
        if told["classes"] != list(findings.classes) or not set(told["sensors"]) <= set(findings.sensors):
            findings.notes.append(f"explained/{name} is of other sensors or classes and is left out.")
            continue
        check_digest(folder / name / "evidence.npy", told.get("evidence"))
        found.append(Explained(told["method"], told["scene"], told, _evidence(folder / name / "evidence.npy")))
    return found


def _evidence(path: Path) -> NDArray[np.uint8]:
    try:
        layers: NDArray[np.uint8] = np.load(path, allow_pickle=False)
        return layers
    except (OSError, ValueError, EOFError):
        raise UserError(f"{path}: cannot be read; run `dis2 explain` again") from None


def explained_tables(every: Iterable[Explained]) -> list[Table]:
    return [_table(it, kind) for it in every for kind in it.taken]


def _table(it: Explained, kind: str) -> Table:
    """What each class has with everything, and loses of IoU and margin without each sensor, or each level."""
    key, names = it.taken[kind]
    rows = []
    for name in it.told["classes"]:
        iou, lost = it.told["iou"][name], [it.told[key][one][name] for one in names]
        cells = [_points(loss["iou"]) for loss in lost] + [Cell(loss["margin"], digits=2) for loss in lost]
        rows.append((Cell(name), Cell(float(it.told["pixels"][name]), digits=0), _points(iou), *cells))
    what = (
        "without each sensor" if kind == "sensors" else "when the features of a level, by the size of its cells, are their mean"
    )
    caption = (
        f"{it.method}, {it.scene}: IoU in percent with everything, the points of it that each class loses {what}, and the loss "
        "of its margin: by how much its logit lies above the others where it is true."
    )
    columns = ("class", "pixels", "IoU", *names.values(), *(f"margin: {name}" for name in names.values()))
    return Table(f"explained-{kind}-{it.name}", caption, columns, tuple(rows))


def _points(value: float | None) -> Cell:
    return Cell(None if value is None else 100 * value)


def explained_figures(every: Iterable[Explained]) -> list[Figure]:
    """A heat map of lost IoU for sensors and for levels."""
    figures = []
    for it in every:
        for kind, (key, names) in it.taken.items():
            rows = [(Cell(name), *(_points(it.told[key][one][name]["iou"]) for one in names)) for name in it.told["classes"]]
            what = "without a sensor" if kind == "sensors" else "without what differs between cells of a size"
            caption = f"{it.method}, {it.scene}: points of IoU that each class loses {what}."
            figures.append(heat_map(f"explained-{kind}-{it.name}", Table("", caption, ("class", *names.values()), tuple(rows))))
    return figures


def evidence_pictures(it: Explained) -> dict[str, bytes]:
    """What the coarsest level tells of each class, from 0 to 100 %: a picture a class."""
    shares = np.where(it.evidence == IGNORE, np.nan, it.evidence / 100).astype(np.float32)
    return dict(zip(it.told["classes"], map(confidence_png, shares), strict=False))


def told_of(it: Explained) -> str:
    """An explanation in sentences."""
    parts = [f"{it.method}, trained with seed {it.told['seed']}, on {it.scene}."]
    if it.told["truth"] != "labels":
        parts.append("The scene has no labels, so its map of all sensors stands for the truth.")
    worst = {s: _most(classes) for s, classes in it.told["without_sensor"].items()}
    costs = sorted(((s, *most) for s, most in worst.items() if most[1] > LITTLE), key=lambda cost: -cost[2])
    if costs:
        said = [f"without {s} on {name} ({100 * loss:.1f} points of IoU)" for s, name, loss in costs]
        parts.append(f"It loses most {listed(said)}.")
    if idle := [s for s, (_, loss) in worst.items() if loss <= LITTLE]:
        parts.append(f"Without {' or '.join(idle)} alone no class loses anything.")
    if means := {level: _mean(classes) for level, classes in it.told["without_level"].items()}:
        most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        parts.append(
            f"Of its resolutions, that of cells of {2 ** int(most)} pixels matters most: if its features are their mean over a "
            f"window, classes lose {_points(means[most])} points on average"
            + (
                f", and {_points(means[least])} with cells of {2 ** int(least)} pixels, which matter least."
                if least != most
                else "."
            )
        )
    parts += [f"Left out: {reason}." for reason in it.told["left_out"]]
    return " ".join([*parts, "One scene and one training: an illustration, not a comparison."])


def _most(classes: Document) -> tuple[str, float]:
    """The class that loses most, and what it loses of its IoU."""
    known = {name: loss["iou"] for name, loss in classes.items() if loss["iou"] is not None}
    name = max(known, key=known.__getitem__, default="")
    return name, known.get(name, 0.0)


def _mean(classes: Document) -> float:
    known = [loss["iou"] for loss in classes.values() if loss["iou"] is not None]
    return sum(known) / len(known) if known else 0.0
