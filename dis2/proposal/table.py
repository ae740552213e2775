"""What a table beside the rasters, or a list for each split, tells of footprints: of which scene each is, and in which split."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from dis2.proposal.grouping import Proposal
from dis2.proposal.words import footprint_of, plain, split_called, splits_in, words_of

CHIP = re.compile(r"(chip|tile|patch|image|img|file|raster|footprint|sample)s?(_?(id|name|path))?|name|path|filename", re.I)
SCENE = re.compile(r"(scene|place|site|event|region|city|town|aoi|roi|location)(_?(id|name|nr|no))?", re.I)
SPLIT = re.compile(r"split|set|subset|part|partition|usage|phase", re.I)
"""What columns are mostly called that tell a chip, its scene, its split."""
LIST, ENTRY = ".txt", "name"
"""The ending of lists of names, a line each, and what such a line is called as a table's column."""
UNTOLD = "no raster; such lists tell splits if they name each chip with labels once, one a line"
ROWS, TIMES = 10_000, 100
"""A table of more rows, and of so many times the footprints, is of something else."""
ENOUGH, SHARE = 3, 0.75
"""So many scenes can be dealt to three splits; more scenes for each chip would be names of the chips."""

Rows = list[dict[str, str]]
Columns = dict[str, dict[str, str]]
"""Of each column the value of each footprint with labels, where all its rows agree."""


@dataclass(frozen=True)
class Table:
    """What a table tells of the footprints with labels."""

    paths: tuple[str, ...]
    scenes: dict[str, str]
    splits: dict[str, str]
    parted: str = ""
    """a scene that its splits part"""

    @property
    def fitness(self) -> tuple[bool, bool]:
        return bool(self.splits), bool(self.scenes)


def with_table(found: Proposal, folder: Path) -> Proposal:
    """What was found, with what the table that tells most says of its footprints."""
    csvs = [path for path in found.unused if path.lower().endswith(".csv")]
    lists = [path for path in found.unused if path.lower().endswith(LIST) and _split_in(path)]
    found = replace(found, unused=found.unused | dict.fromkeys(lists, UNTOLD))
    best = _best(_tables(found, {path: _rows(folder / path, found) for path in (*csvs, *lists)}))
    if best is None:
        return found
    unused = {path: why for path, why in found.unused.items() if path not in best.paths}
    return replace(found, unused=unused, table=", ".join(best.paths), scenes=best.scenes, splits=best.splits, parted=best.parted)


def in_several(groups: Mapping[str, str], splits: Mapping[str, str]) -> str | None:
    """A group of which some members are in one split, others in another."""
    pairs = {(group, splits[name]) for name, group in groups.items() if name in splits}
    several = [group for group, _ in pairs]
    return next((group for group in sorted(several) if several.count(group) > 1), None)


def _tables(found: Proposal, rows: Mapping[str, Rows]) -> dict[tuple[str, ...], Columns]:
    """What each table says of the footprints, and what those that are called as splits say together."""
    names, keys = _names(found), {key: key for key in found.footprints}
    together = _by_split(rows, lambda cell: _named_by(cell, names)) or _by_split(rows, lambda cell: keys.get(_like(cell)))
    every = {(path,): told for path, told in rows.items()} | together
    return {paths: columns for paths, told in every.items() if (columns := _columns(found, names, told))}


def _best(tables: Mapping[tuple[str, ...], Columns]) -> Table | None:
    """The table that tells most; if it tells splits alone, together with one that tells scenes."""
    best = max((_told(*it) for it in tables.items()), key=lambda it: it.fitness, default=None)
    if best is None or not any(best.fitness):
        return None
    both = [
        _told(tuple(dict.fromkeys((*best.paths, *paths))), {**columns, **tables[best.paths]}) for paths, columns in tables.items()
    ]
    return best if best.scenes else next((it for it in both if it.scenes), best)


def _names(found: Proposal) -> dict[str, str]:
    """The footprint that a path, a file's name or its stem is of, where it is of one."""
    said: dict[str, set[str]] = {}
    for group in (*found.sensors, found.labels):
        for key, one in group.placed:
            path = PurePosixPath(one.path)
            for name in (str(path), path.name, path.stem):
                said.setdefault(name, set()).add(key)
    return {name: min(keys) for name, keys in said.items() if len(keys) == 1}


def _rows(path: Path, found: Proposal) -> Rows:
    """The rows of a table; of what cannot be read, or is far too long to be of these footprints, none."""
    most = max(ROWS, TIMES * len(found.footprints))
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            if path.suffix.lower() == LIST:
                lines = list(islice(stream, most + 1))
                return [{ENTRY: line.strip()} for line in lines if line.strip()] if len(lines) <= most else []
            first = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t|", key=first.count)
            reader = csv.DictReader(stream, restval="", skipinitialspace=True, delimiter=delimiter)
            rows = [
                {key.strip(): value.strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
                for row in islice(reader, most + 1)
            ]
    except (OSError, csv.Error):
        return []
    return rows if len(rows) <= most else []


def _split_in(path: str) -> str | None:
    """The one split that parts of a file's name tell."""
    found = splits_in(PurePosixPath(path).stem)
    return found.pop() if len(found) == 1 else None


def _by_split(rows: Mapping[str, Rows], named: Callable[[str], str | None]) -> dict[tuple[str, ...], Rows]:
    """Tables and lists that are called as splits and name footprints, as if they were one table that tells of which each is."""
    splits, joined = {}, []
    for path, told in rows.items():
        if not (split := _split_in(path)) or not told:
            continue
        times = {column: sum(named(row.get(column, "")) is not None for row in told) for column in told[0]}
        if times[best := max(times, key=lambda column: times[column])]:
            splits[path] = split
            joined += [{"split": split} | row | {ENTRY: row.get(best, "")} for row in told]
    return {tuple(splits): joined} if len(set(splits.values())) > 1 else {}


def _like(cell: str) -> str:
    """What a cell is like that names a footprint otherwise than its files are called."""
    return footprint_of(words_of(cell)) if cell else ""


def _named_by(cell: str, names: Mapping[str, str]) -> str | None:
    """The footprint that a cell names by a path, the name of a file or its stem."""
    return names.get(cell) or names.get(PurePosixPath(cell.replace("\\", "/")).stem)


def _columns(found: Proposal, names: Mapping[str, str], rows: Rows) -> Columns:
    """What the rows of each footprint say, which are found by the column that names them best; if none does, nothing.

    The names of files name best. What is like the numbers of footprints may be the numbers of rows, so it names them only if it
    names nothing else; between columns that name them otherwise, what they are called decides.
    """
    keys, wanted = set(found.footprints), set(found.labelled)
    exact: dict[str, list[str | None]] = {}
    loose: dict[str, list[str | None]] = {}
    for column in rows[0] if rows else ():
        cells = [row.get(column, "") for row in rows]
        named = [_named_by(cell, names) for cell in cells]
        if wanted <= set(named):
            exact[column] = named
        like = [_like(cell) for cell in cells]
        if wanted <= set(like) <= keys:
            loose[column] = list(like)
    for found_by in (exact, loose):
        called = {column: named for column, named in found_by.items() if CHIP.fullmatch(column)} or found_by
        if len({tuple(map(str, named)) for named in called.values()}) == 1:
            column, named = next(iter(called.items()))
            return _agreed(rows, named, wanted, but=column)
        if called:
            break
    return {}


def _agreed(rows: Rows, named: list[str | None], wanted: set[str], but: str) -> Columns:
    said: dict[str, dict[str, set[str]]] = {}
    for row, key in zip(rows, named, strict=True):
        for column, value in row.items() if key in wanted else ():
            said.setdefault(column, {}).setdefault(str(key), set()).add(value)
    return {
        column: {key: min(values) for key, values in cells.items()}
        for column, cells in said.items()
        if column != but and cells.keys() == wanted and all(len(values) == 1 and "" not in values for values in cells.values())
    }


def _told(paths: tuple[str, ...], columns: Columns) -> Table:
    """Scenes and splits by what the columns are called and hold; splits that part all scenes are left for whole scenes."""
    splits = next(iter(_sorted(_splits(columns), SPLIT)), {})
    scenes = _sorted(_scenes(columns), re.compile("scene.*", re.I))
    whole = [it for it in scenes if not in_several(it, splits)]
    if splits and whole:
        return Table(paths, whole[0], splits)
    dealt = next((it for it in scenes if len(set(it.values())) >= ENOUGH), {})
    if splits and dealt:
        return Table(paths, dealt, {}, in_several(dealt, splits) or "")
    return Table(paths, dealt, splits)


def _sorted(columns: Columns, called: re.Pattern[str]) -> list[dict[str, str]]:
    """First those that are called so, and of these those with most values."""
    return [columns[name] for name in sorted(columns, key=lambda it: (not called.fullmatch(it), -len(set(columns[it].values()))))]


def _scenes(columns: Columns) -> Columns:
    """The columns that may tell scenes: fewer than there are footprints, in names of their own."""
    found = {name: cells for name, cells in columns.items() if SCENE.fullmatch(name)}
    few = {name: cells for name, cells in found.items() if 1 < len(set(cells.values())) <= SHARE * len(cells)}
    return {name: {key: _named(cells.values())[value] for key, value in cells.items()} for name, cells in few.items()}


def _named(values: Iterable[str]) -> dict[str, str]:
    """Names of letters and digits for values; numbers where two would have the same."""
    every = list(dict.fromkeys(values))
    short = {value: plain(value) for value in every}
    if len(set(short.values())) == len(every):
        return short
    return {value: f"scene_{number}" for number, value in enumerate(every)}


def _splits(columns: Columns) -> Columns:
    """The columns of which each value is the name of a split, train and others."""
    called = {name: {key: split_called(value) for key, value in cells.items()} for name, cells in columns.items()}
    return {
        name: {key: str(split) for key, split in cells.items()}
        for name, cells in called.items()
        if None not in cells.values() and {"train"} < set(cells.values())
    }
