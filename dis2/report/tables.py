"""The tables of the report, each once for the page and for a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dis2.report.findings import Document, Estimate, Findings, estimate


@dataclass(frozen=True)
class Cell:
    """A text, or a number with the digits that are shown."""

    value: str | float | None
    half: float | None = None
    digits: int = 1
    best: bool = False

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        if isinstance(self.value, str):
            return self.value
        number = f"{self.value:,.{self.digits}f}".replace(",", "\u202f").replace("-", "−")
        return f"{number} ± {self.half:.{self.digits}f}" if self.half is not None else number


@dataclass(frozen=True)
class Table:
    """Named columns and rows of cells; the first column says what a row is about."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def texts(self) -> set[int]:
        """The columns that hold no number."""
        return {
            i
            for i, column in enumerate(zip(*self.rows, strict=True))
            if not any(isinstance(cell.value, float) for cell in column)
        }

    def text(self) -> str:
        """The table for a terminal, which is also one for Markdown."""
        rows = [self.columns, *(tuple(map(str, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        head, *body = ("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)
        return "\n".join([head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body])

    def csv(self) -> str:
        """The numbers with four decimals; where there are intervals, each column is followed by its half-width."""
        wide = {i for row in self.rows for i, cell in enumerate(row) if cell.half is not None}
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        head = (
            [column, f"{column} half-width of 95 % interval"] if i in wide else [column] for i, column in enumerate(self.columns)
        )
        writer.writerow([name for names in head for name in names])
        for row in self.rows:
            cells = ([_plain(cell.value), _plain(cell.half)] if i in wide else [_plain(cell.value)] for i, cell in enumerate(row))
            writer.writerow([text for texts in cells for text in texts])
        return stream.getvalue()


def _plain(value: str | float | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip(".")


def percent(value: Estimate | None) -> Cell:
    """A fraction over seeds in percent points."""
    return Cell(None) if value is None else Cell(100 * value.mean, None if value.half is None else 100 * value.half)


def with_best(rows: Sequence[Sequence[Cell]], better: Callable[[Iterable[float]], float] = max) -> tuple[tuple[Cell, ...], ...]:
    """The rows with the best number of each column marked (all that read the same); a single row has no best."""
    if len(rows) < 2:
        return tuple(map(tuple, rows))
    best = []
    for column in zip(*rows, strict=True):
        numbers = [round(cell.value, cell.digits) for cell in column if isinstance(cell.value, float)]
        best.append(better(numbers) if numbers else None)
    return tuple(tuple(_marked(cell, mark) for cell, mark in zip(row, best, strict=True)) for row in rows)


def _marked(cell: Cell, best: float | None) -> Cell:
    same = best is not None and isinstance(cell.value, float) and round(cell.value, cell.digits) == best
    return Cell(cell.value, cell.half, cell.digits, best=True) if same else cell


def comparison(findings: Findings) -> Table:
    """mIoU of every method on every combination, the mean over them and the worst."""
    rows = []
    for method in findings.methods:
        scores = [percent(findings.score(method, combination, "miou")) for combination in findings.combinations]
        mean = percent(findings.over_seeds(method, "summary", "mean_miou"))
        worst = percent(findings.over_seeds(method, "summary", "worst", "miou"))
        rows.append([Cell(method), *scores, mean, worst])
    caption = (
        f"mIoU in percent points on the {findings.split} split, by the sensors that are there. "
        "The best of each column is marked ●, whether or not the difference means anything."
    )
    if any(cell.half is not None for row in rows for cell in row):
        caption += " ± is half the width of the 95 % t interval of the mean over seeds."
    return Table("miou", caption, ("method", *findings.combinations, "mean", "worst"), with_best(rows))


def expected(findings: Findings) -> Table:
    """Expected mIoU when every sensor fails by itself with a probability."""
    summaries = [
        document["summary"].get("expected", {}) for seeds in findings.evaluations.values() for document in seeds.values()
    ]
    chances = sorted({chance for summary in summaries for chance in summary}, key=float)
    rows = [
        [Cell(method), *(percent(findings.over_seeds(method, "summary", "expected", chance)) for chance in chances)]
        for method in findings.methods
    ]
    caption = "Expected mIoU in percent points when every sensor fails by itself with this probability, given that one is left."
    return Table("expected", caption, ("method", *(f"{100 * float(chance):g} %" for chance in chances)), with_best(rows))


def calibration(findings: Findings) -> Table:
    """Expected calibration error of every method on every combination; the least is best."""
    rows = [
        [Cell(method), *(percent(findings.score(method, combination, "ece")) for combination in findings.combinations)]
        for method in findings.methods
    ]
    caption = (
        "Expected calibration error in percent points: how far stated confidence lies from being right. The least is marked ●."
    )
    return Table("calibration", caption, ("method", *findings.combinations), with_best(rows, min))


def class_drop(findings: Findings, method: str) -> Table:
    """By how much each class's IoU falls from that of all sensors, for every other combination."""
    shown = [combination for combination in findings.combinations if combination != findings.full]
    rows = []
    for name in findings.classes:
        full = findings.score(method, findings.full, "iou", name)
        cells = [Cell(name)]
        for combination in shown:
            here = findings.score(method, combination, "iou", name)
            cells.append(Cell(None) if here is None or full is None else Cell(100 * (full.mean - here.mean)))
        rows.append(tuple(cells))
    caption = f"{method}: percent points of IoU that each class loses from {findings.full}."
    return Table(f"drop-{method}", caption, ("class", *shown), tuple(rows))


def class_scores(findings: Findings) -> Table:
    """IoU of every class, for every method and combination."""
    rows = [
        (
            Cell(method),
            Cell(combination),
            *(percent(findings.score(method, combination, "iou", name)) for name in findings.classes),
        )
        for method in findings.methods
        for combination in findings.combinations
    ]
    return Table("classes", "IoU of each class in percent points.", ("method", "combination", *findings.classes), tuple(rows))


COSTS = {
    "parameters": ("parameters (million)", 1e-6, 2),
    "steps": ("steps", 1, 0),
    "best_step": ("best step", 1, 0),
    "seconds": ("training (s)", 1, 0),
    "peak_memory_mb": ("peak memory (MB)", 1, 0),
}


def cost(findings: Findings) -> Table:
    """What every model took, as its card and its evaluation tell; means over seeds."""
    methods = list(dict.fromkeys([*findings.methods, *findings.cards]))
    known = {(method, key): estimate(_costs(findings, method, key)) for method in methods for key in COSTS}
    keys = [key for key in COSTS if any(known[method, key] for method in methods)]
    rows = []
    for method in methods:
        cells = [
            Cell(None) if (it := known[method, key]) is None else Cell(it.mean * COSTS[key][1], digits=COSTS[key][2])
            for key in keys
        ]
        seeds = findings.evaluations.get(method) or findings.cards[method]
        rows.append((Cell(method), *cells, Cell(", ".join(map(str, seeds)))))
    caption = "Cost of each model, mean over its seeds. What starts from a teacher needs the teacher's training too."
    return Table("cost", caption, ("method", *(COSTS[key][0] for key in keys), "seeds"), tuple(rows))


def _costs(findings: Findings, method: str, key: str) -> list[float | None]:
    """A cost at every seed, wherever it is told."""
    models = [document.get("model", {}) for document in findings.evaluations.get(method, {}).values()]
    for told in (models, findings.cards.get(method, {}).values()):
        values = [model.get(key, model.get("training", {}).get(key)) for model in told]
        if any(value is not None for value in values):
            return values
    return []


def registration(findings: Findings) -> Table:
    """The shift found for every sensor of every scene, the true one where it is known, and the error in pixels."""
    rows = []
    for scene, document in findings.registered.items():
        for sensor, found in document["sensors"].items():
            if sensor != document.get("reference"):
                rows.append(_registration_row(scene, sensor, found, true_shift(findings, scene, sensor)))
    caption = (
        "Shifts in pixels of the common grid, right and down, beside what each sensor was compared to, once that was put right; "
        "that of an affine is the one in the middle of the scene."
    )
    columns: tuple[str, ...] = (
        "scene",
        "sensor",
        "beside",
        "result",
        "by",
        "found dx",
        "found dy",
        "true dx",
        "true dy",
        "error",
        "spread",
        "windows",
        "reason",
    )
    if not findings.truths:
        columns = tuple(column for column in columns if not column.startswith("true") and column != "error")
        rows = [row[:7] + row[10:] for row in rows]
    return Table("registration", caption, columns, tuple(rows))


def _registration_row(scene: str, sensor: str, found: Document, true: tuple[float, float] | None) -> tuple[Cell, ...]:
    shift, accepted = found["shift"], bool(found["accepted"])
    windows = found.get("windows") or []
    counted = f"{sum(bool(window.get('used')) for window in windows)} of {len(windows)}" if windows else None
    numbers: list[Any] = [shift["dx"], shift["dy"], *(true or (None, None)), error_of(found, true), found.get("spread")]
    result = "refused" if not accepted else "accepted, affine" if "linear" in shift else "accepted"
    return (
        *(Cell(text) for text in (scene, sensor, found.get("to"), result, found.get("method"))),
        *(Cell(None if number is None else float(number), digits=2) for number in numbers),
        *(Cell(text) for text in (counted, found.get("reason"))),
    )


def true_shift(findings: Findings, scene: str, sensor: str) -> tuple[float, float] | None:
    """The sensor's misregistration beside what it was compared to, as that was put right, where the data set knows it."""
    shifts, registered = findings.truths.get(scene, {}).get("shifts", {}), findings.registered[scene]
    if sensor not in shifts:
        return None
    to, nothing = registered["sensors"][sensor].get("to", registered.get("reference")), {"dx": 0.0, "dy": 0.0}
    base, right = shifts.get(to, nothing), registered["sensors"].get(to, {}).get("shift", nothing)
    return shifts[sensor]["dx"] - base["dx"] + right["dx"], shifts[sensor]["dy"] - base["dy"] + right["dy"]


def error_of(found: Document, true: tuple[float, float] | None) -> float | None:
    """Pixels between an accepted shift and the true one."""
    if true is None or not found["accepted"]:
        return None
    return math.hypot(found["shift"]["dx"] - true[0], found["shift"]["dy"] - true[1])
