"""What tables are made of: cells that know how they are read, and rows that are written for a page, a terminal or a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dis2.evaluation.compare import Estimate


@dataclass(frozen=True)
class Cell:
    """A text, or a number with the digits that are shown."""

    value: str | float | None
    half: float | None = None
    digits: int = 1
    best: bool = False
    signed: bool = False

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        if isinstance(self.value, str):
            return self.value
        value = round(self.value, self.digits) + 0.0  # no minus before zero
        number = f"{value:{'+' if self.signed else ''},.{self.digits}f}".replace(",", "\u202f").replace("-", "−")
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
    return replace(cell, best=True) if same else cell
