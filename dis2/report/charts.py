"""Charts as SVG, whatever they show: each stands by itself as a file and takes the page's colours inside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dis2.report.cells import Table
from dis2.report.markup import render

WIDTH = 400  # of a phone: there text is as large as beside the drawing
LETTER = 7.3  # how wide a letter may be
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


def broken(name: str, most: int = 16) -> list[str]:
    """A combination in lines of at most so many letters, if its sensors let it, each but the last ending with a plus."""
    rows: list[str] = []
    for part in name.split("+"):
        if rows and len(rows[-1]) + len(part) + 1 <= most:
            rows[-1] += f"+{part}"
        else:
            rows.append(part)
    return [*(f"{row}+" for row in rows[:-1]), rows[-1]]


def room(lines: Iterable[str]) -> int:
    """How much a column of texts takes."""
    return round(10 + LETTER * max(map(len, lines), default=0))


def lines(
    name: str, title: str, alternative: str, series: Sequence[Series], x_label: str, y_label: str, from_zero: bool = False
) -> Figure | None:
    """Lines over a common x; nothing where there are no points."""
    shown = [one for one in series if one.points]
    if not shown:
        return None
    height = 290
    across = axis([x for one in shown for x, _ in one.points] + [0] * from_zero, 52, WIDTH - 14)
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


@dataclass(frozen=True)
class Panel:
    """One of several drawings that share their axes."""

    title: str
    series: Sequence[Series]


def panels(
    name: str, title: str, alternative: str, shown: Sequence[Panel], x_label: str, y_label: str, diagonal: bool = False
) -> Figure | None:
    """Drawings of lines beside each other, two in a row; nothing where there are no points."""
    shown = [panel for panel in shown if any(one.points for one in panel.series)]
    if not shown:
        return None
    titles = {panel.title: broken(panel.title, 24) for panel in shown}
    wide, head = WIDTH // 2, 14 + 15 * max(map(len, titles.values()))
    high = 170 + head
    points = [point for panel in shown for one in panel.series for point in one.points]
    across = axis([x for x, _ in points] + [0, 100] * diagonal, 48, wide - 12)
    up = axis([y for _, y in points] + [0, 100] * diagonal, high - 44, head)
    placed = [
        (
            wide * (i % 2),
            high * (i // 2),
            titles[panel.title],
            [(one, [(across(x), up(y)) for x, y in one.points]) for one in panel.series],
        )
        for i, panel in enumerate(shown)
    ]
    svg = render(
        "panels.svg",
        width=WIDTH,
        height=high * -(-len(shown) // 2),
        high=high,
        across=across,
        up=up,
        panels=placed,
        x_label=x_label,
        y_label=y_label,
        diagonal=diagonal,
        title=title,
        alternative=alternative,
        styles=STYLES,
        legend=_legend([one for panel in shown for one in panel.series]),
    )
    return Figure(name, title, alternative, svg)


def heat_map(name: str, table: Table) -> Figure:
    """A table of differences as coloured cells: more of one colour, the more is lost; another where something is won."""
    columns, rows = [broken(name, 1) for name in table.columns[1:]], table.rows
    left, row, top = room(str(line[0]) for line in rows), 30, 22 + 14 * max(map(len, columns))
    wide = max(52, room(part for parts in columns for part in parts) - 6)
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
