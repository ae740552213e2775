"""The drawn figures of the report as SVG: each stands by itself as a file and takes the page's colours inside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dis2.combinations import expected
from dis2.report.findings import Document, Findings
from dis2.report.markup import render
from dis2.report.tables import Table

WIDTH = 560
STYLES = 6  # colours, dashes and marks that tell series apart; the seventh series looks like the first


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows in words."""

    name: str
    title: str
    alternative: str
    svg: Markup

    def file(self) -> str:
        """The drawing as a file of its own."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self.svg}'


@dataclass(frozen=True)
class Series:
    """One line: its name, its look (the place of its method), its points."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Values from low to high along a length of the drawing, with round numbers to read them by."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places of round numbers and how they read."""
        step = round_step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(count * step), f"{round(count * step, 10):g}".replace("-", "−")) for count in range(first, last + 1)]


def round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that four to eight steps fill the span."""
    rough = span / 6
    power = 10 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that holds all values, ending on round numbers."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = round_step(high - low)
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def lines(name: str, title: str, alternative: str, series: Sequence[Series], x_label: str, y_label: str) -> Figure | None:
    """Lines over a common x; nothing where there are no points."""
    shown = [one for one in series if one.points]
    if not shown:
        return None
    height = 320
    across = axis([x for one in shown for x, _ in one.points], 52, WIDTH - 14)
    up = axis([y for one in shown for _, y in one.points], height - 46, 14)
    paths = [(one, [(across(x), up(y)) for x, y in one.points]) for one in shown]
    svg = render(
        "lines.svg",
        width=WIDTH,
        height=height,
        across=across,
        up=up,
        paths=paths,
        x_label=x_label,
        y_label=y_label,
        title=title,
        alternative=alternative,
        styles=STYLES,
        legend=_legend(shown),
    )
    return Figure(name, title, alternative, svg)


def _legend(series: Sequence[Series]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((one.name, one.style % STYLES) for one in series))


def combination_scores(findings: Findings) -> Figure:
    """A row per combination, a mark per method: how far each falls as sensors go."""
    left, row, top = 150, 26, 12
    names = findings.combinations
    scores = {
        (method, name): 100 * score.mean
        for method in findings.methods
        for name in names
        if (score := findings.score(method, name, "miou")) is not None
    }
    height = top + row * len(names) + 44
    across = axis(list(scores.values()) or [0.0, 1.0], left + 12, WIDTH - 18)
    rows = [(name, top + row * i + row / 2) for i, name in enumerate(names)]
    marks = [
        (across(scores[method, name]), y, style % STYLES, f"{method}, {name}: {scores[method, name]:.1f} %")
        for style, method in enumerate(findings.methods)
        for name, y in rows
        if (method, name) in scores
    ]
    title = "mIoU by the sensors that are there"
    alternative = "One mark per method and combination; the table of mIoU has the numbers."
    svg = render(
        "marks.svg",
        width=WIDTH,
        height=height,
        left=left,
        across=across,
        rows=rows,
        marks=marks,
        title=title,
        alternative=alternative,
        legend=[(method, style % STYLES) for style, method in enumerate(findings.methods)],
        x_label="mIoU (%)",
    )
    return Figure("miou", title, alternative, svg)


def failure_curves(findings: Findings) -> Figure | None:
    """Expected mIoU against the probability that each sensor fails."""
    series = []
    for style, method in enumerate(findings.methods):
        scores = {name: findings.score(method, name, "miou") for name in findings.combinations}
        known = {name: 100 * score.mean for name, score in scores.items() if score is not None}
        if len(known) == len(scores):
            points = [(step * 2.5, expected(known, findings.sensors, step / 40)) for step in range(21)]
            series.append(Series(method, style, points))
    alternative = "A line per method that falls as failures become more probable; the table of expected mIoU has the numbers."
    return lines(
        "failure", "Expected mIoU as sensors fail", alternative, series, "each sensor fails in … % of cases", "expected mIoU (%)"
    )


def heat_map(name: str, table: Table) -> Figure:
    """A table of differences as coloured cells: more of one colour, the more is lost; another where something is won."""
    left, wide, row = 130, 76, 30
    columns, rows = table.columns[1:], table.rows
    top = 22 + 14 * max(name.count("+") + 1 for name in columns)
    values = [abs(cell.value) for cells in rows for cell in cells[1:] if isinstance(cell.value, float)]
    largest = max([*values, 1e-9])
    cells = [
        (left + j * wide, top + i * row, cell, _strength(cell.value, largest))
        for i, line in enumerate(rows)
        for j, cell in enumerate(line[1:])
    ]
    title = table.caption.rstrip(".")
    alternative = f"{title}. The same numbers are in the table {table.name}.csv."
    svg = render(
        "heat.svg",
        width=left + wide * len(columns) + 4,
        height=top + row * len(rows) + 4,
        left=left,
        wide=wide,
        row=row,
        top=top,
        cells=cells,
        names=[str(line[0]) for line in rows],
        columns=columns,
        title=title,
        alternative=alternative,
    )
    return Figure(name, title, alternative, svg)


def _strength(value: object, largest: float) -> float:
    return round(0.62 * abs(value) / largest, 3) if isinstance(value, float) else 0.0


def training_curves(findings: Findings) -> list[Figure]:
    """Validation mIoU and loss over the steps, a line per training."""
    validation, loss = [], []
    for method, seeds in findings.histories.items():
        for history in seeds.values():
            style = findings.methods.index(method) if method in findings.methods else len(findings.methods)
            validation.append(Series(method, style, _points(history, "mean_miou", 100)))
            loss.append(Series(method, style, thinned(_points(history, "loss", 1))))
    drawn = (
        lines(
            "validation",
            "Validation during training (a teacher's: with every sensor)",
            "A line per training: mean mIoU over the combinations, by step.",
            validation,
            "step",
            "mean mIoU on validation (%)",
        ),
        lines(
            "loss",
            "Loss during training",
            "A line per training: the loss by step; losses of different methods have different terms.",
            loss,
            "step",
            "loss",
        ),
    )
    return [figure for figure in drawn if figure]


def _points(history: Sequence[Document], key: str, factor: float) -> list[tuple[float, float]]:
    values = [(line.get("step"), line.get(key)) for line in history]
    return [
        (step, factor * value) for step, value in values if isinstance(step, (int, float)) and isinstance(value, (int, float))
    ]


def thinned(points: Sequence[tuple[float, float]], most: int = 150) -> list[tuple[float, float]]:
    """At most so many points: the means of neighbours."""
    size = -(-len(points) // most) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
