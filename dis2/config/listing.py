"""Many scenes or chips in few lines: listed in a table, or by their names, with patterns for their files."""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import Field, field_validator, model_validator

from dis2.config.base import FilesBySensor, Section, SplitName, checked_name
from dis2.errors import UserError

HOLE = re.compile(r"\{(\w+)(?::(\d+))?\}")
"""`{scene}`, or `{scene:02}` for a name whose numbers have two digits at least."""
SURPLUS = "\n"
"""The key of what a line of a table has beyond its columns."""
SHOWN = 5
"""So many of the names that something is wrong with are told."""

Row = dict[str, str]
"""What a pattern may name: scene, chip, split and, from a table, its other columns."""


class Listed(NamedTuple):
    """Scenes as a config file would list them, and where each scene and chip is listed."""

    scenes: dict[str, Any]
    places: dict[tuple[str, str], str]


class Columns(Section):
    """Which columns of the table say what."""

    scene: str = Field("scene", description="a scene's name")
    chip: str | None = Field(None, description="a chip's name (with `grid: pixels`; default: each row is a scene)")
    split: str | None = Field("split", description="train, validation or test (null, with splits by block: none)")


class Listing(Section):
    """Scenes from a table or from their names. In patterns {scene}, {chip} and any column of the table stand for their values."""

    table: str | None = Field(None, description="CSV with a header and a row for each chip, or scene")
    columns: Columns = Field(Columns(), description="which of its columns say what")
    splits: dict[str, SplitName] = Field({}, description="what the table calls a split otherwise, such as val: validation")
    scenes: dict[SplitName, tuple[str, ...]] | tuple[str, ...] | None = Field(
        None, description="instead of a table: names by split, or just names; chips are those whose files there are"
    )
    sensors: FilesBySensor = Field(min_length=1, description="patterns of each sensor's files")
    labels: str | dict[SplitName, str] | None = Field(None, description="pattern of the label files, or one for each split")
    band: int | None = Field(None, ge=1, description="label files of several bands: the one with the classes; 1 is the first")
    incomplete: bool = Field(False, description="files of a sensor may be missing: the chip or scene lacks it then")

    @field_validator("scenes", mode="before")
    @classmethod
    def _splits_are_known_and_names_no_numbers(cls, scenes: Any) -> Any:
        if isinstance(scenes, dict) and (unknown := [key for key in scenes if key not in get_args(SplitName)]):
            raise ValueError(f"{unknown[0]}: no split; there are {', '.join(get_args(SplitName))}")
        names = [n for part in scenes.values() for n in part or ()] if isinstance(scenes, dict) else scenes or ()
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise ValueError(f"a name is the number {wrong[0]!r} to YAML (as 2_10 is 210); put names in quotes")
        return scenes

    @model_validator(mode="after")
    def _table_or_scenes(self) -> Listing:
        if (self.table is None) == (self.scenes is None):
            raise ValueError("give either table or scenes")
        return self

    @model_validator(mode="after")
    def _labels_by_split_have_splits(self) -> Listing:
        by_split = self.columns.split is not None if self.table is not None else isinstance(self.scenes, dict)
        if isinstance(self.labels, dict) and not by_split:
            told = "list scenes by split, or name the table's column in columns.split; else give one pattern"
            raise ValueError(f"labels: patterns by split need a split for each scene; {told}")
        return self

    @property
    def patterns(self) -> dict[str, tuple[str, ...]]:
        """Every pattern by what it is for."""
        labels = (self.labels,) if isinstance(self.labels, str) else tuple((self.labels or {}).values())
        return {f"sensors.{sensor}": patterns for sensor, patterns in self.sensors.items()} | {"labels": labels}


def scenes_of(listing: Listing, root: Path) -> Listed:
    """The scenes that are listed; faults are of the key `data.listing`."""
    made: dict[str, Any] = {}
    places: dict[tuple[str, str], str] = {}
    for where, row in _tabled(listing, root) if listing.table is not None else _named(listing, root):
        files, labels = _files(listing, row)
        if listing.incomplete:
            files = {sensor: paths for sensor, paths in files.items() if all((root / path).exists() for path in paths)}
        one: dict[str, Any] = {"sensors": files}
        if labels is not None and (not listing.incomplete or (root / labels).exists()):
            one |= {"labels": {"file": labels, "band": listing.band}}
        scene = made.setdefault(row["scene"], {"split": row["split"]} if row.get("split") else {})
        places[row["scene"], row.get("chip", "")] = where
        if "chip" in row:
            scene.setdefault("chips", {})[row["chip"]] = one
        else:
            scene |= one
    return Listed(made, places)


def _files(listing: Listing, row: Row) -> tuple[dict[str, list[str]], str | None]:
    """The files of each sensor, and that of the labels, of a scene or chip."""
    sensors = {sensor: [_filled(it, row) for it in patterns] for sensor, patterns in listing.sensors.items()}
    labels = listing.labels.get(row["split"]) if isinstance(listing.labels, dict) else listing.labels  # type: ignore[call-overload]
    return sensors, None if labels is None else _filled(labels, row)


def _tabled(listing: Listing, root: Path) -> Iterator[tuple[str, Row]]:
    """The rows of the table with their place, each scene in one split and each chip (or scene) in one row, by name and files."""
    path, columns = root / str(listing.table), listing.columns
    used = {key: column for key, column in columns.model_dump().items() if column is not None}
    seen: dict[tuple[str, ...], tuple[int, Row]] = {}
    split_of: dict[str, tuple[int, str]] = {}
    holes = {hole[1] for patterns in listing.patterns.values() for it in patterns for hole in HOLE.finditer(it)}
    for line, raw in _lines(path, used, holes):
        try:
            row = _row(listing, raw, used)
            sensors, _ = _files(listing, row)
        except (UserError, ValueError) as error:
            raise UserError(f"{path}: line {line}: {error}") from None
        what, name = ("chip", row["chip"]) if "chip" in row else ("scene", row["scene"])
        remedy = "keep one of them" + ("" if "chip" in row else ", or name the column of chips in data.listing.columns")
        files = tuple(file for files in sensors.values() for file in files)
        for key in ((row["scene"], name), ("", *files)):
            before, other = seen.setdefault(key, (line, row))
            if other is not row:
                splits = f", in {other['split']} and in {row['split']}" if other.get("split") != row.get("split") else ""
                raise UserError(f"{path}: lines {before} and {line}: {what} {name} is there twice{splits}; {remedy}")
        before, split = split_of.setdefault(row["scene"], (line, row.get("split", "")))
        if split != row.get("split", ""):
            told = f"scene {row['scene']} is in {split} and in {row['split']}"
            raise UserError(f"{path}: lines {before} and {line}: {told}; a scene has one split, or its chips leak")
        yield f"{path}: line {line}: {_told(row)}", row


def _row(listing: Listing, raw: Row, used: Mapping[str, str]) -> Row:
    """What a line of the table says: scene, chip and split by the columns that are named for them, and the other columns."""
    others = {column: value for column, value in raw.items() if column not in Columns.model_fields}
    row = others | {key: raw[column] for key, column in used.items()}
    if empty := [column for key, column in used.items() if not row[key]]:
        raise UserError(f"no {empty[0]}; fill it in")
    if "split" in row:
        row["split"] = listing.splits.get(row["split"], row["split"])
        if row["split"] not in get_args(SplitName):
            told = f"split {row['split']!r} is none of {', '.join(get_args(SplitName))}"
            raise UserError(f"{told}; mend it, or say what it means in data.listing.splits")
    for key in ("scene", "chip"):
        if key in row:
            checked_name(row[key])
    return row


def _lines(path: Path, used: Mapping[str, str], holes: Iterable[str]) -> Iterator[tuple[int, Row]]:
    """The rows of a table that has these columns, with their line; what is used of it, or in patterns, is there once."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey=SURPLUS, restval="", skipinitialspace=True)
            reader.fieldnames = there = [column.strip() for column in reader.fieldnames or []]
            if missing := [column for column in used.values() if column not in there]:
                told = f"no column {missing[0]!r} in its first line ({', '.join(there) or 'empty'})"
                remedy = "name the right ones in data.listing.columns"
                if len(there) == 1 and re.search(r"[;\t|]", there[0]):
                    remedy = "put commas between columns"
                raise UserError(f"{path}: {told}; {remedy}")
            if twice := [column for column in (*used.values(), *holes) if there.count(column) > 1]:
                raise UserError(f"{path}: two columns are called {twice[0]!r} in its first line; rename one, or remove it")
            count = 0
            for row in reader:
                count += 1
                if any(cell.strip() for cell in row.get(SURPLUS, ())):
                    told = f"{len(there) + len(row[SURPLUS])} cells, but its first line has {len(there)}"
                    raise UserError(f"{path}: line {reader.line_num}: {told}; put quotes around a cell that has a comma")
                yield reader.line_num, {key: value.strip() for key, value in row.items() if isinstance(value, str)}
            if not count:
                raise UserError(f"{path}: no rows; give a table with a line for each chip or scene")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct the path, or data_root ($DIS2_DATA)") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no CSV in UTF-8 ({error}); give a table with commas between columns") from None


def _named(listing: Listing, root: Path) -> Iterator[tuple[str, Row]]:
    """The named scenes, also in words; where patterns have a {chip}, with the chips that there are."""
    by_split = listing.scenes if isinstance(listing.scenes, dict) else {"": listing.scenes or ()}
    rows = [{"scene": name} | ({"split": split} if split else {}) for split, names in by_split.items() for name in names]
    where: dict[str, str] = {}
    for row in rows:
        before = where.setdefault(row["scene"], row.get("split", ""))
        if before != row.get("split", ""):
            raise UserError(f"scenes: {row['scene']} is in {before} and in {row['split']}; a scene has one split")
    if not any("{chip" in pattern for patterns in listing.patterns.values() for pattern in patterns):
        yield from ((_told(row), row) for row in rows)
        return
    for row in rows:
        for chip in _chips(listing, root, row):
            one = {**row, "chip": chip}
            yield _told(one), one


def _told(row: Row) -> str:
    """A scene, or chip, in words."""
    return f"scene {row['scene']}" + (f": chip {row['chip']}" if "chip" in row else "")


def _chips(listing: Listing, root: Path, row: Row) -> list[str]:
    """The chips of a scene, of which each sensor and the labels have a file."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for key, patterns in listing.patterns.items():
        own = listing.labels.get(row.get("split")) if key == "labels" and isinstance(listing.labels, dict) else None  # type: ignore[call-overload]
        for pattern in (own,) if own else patterns:
            found[key, pattern] = _matching(root, pattern, row)
    every = _with_names(found.values())
    if not every:
        pattern = next(iter(found))[1]
        raise UserError(f"scene {row['scene']}: no file like {root / pattern}; correct the pattern, or data_root ($DIS2_DATA)")
    for (key, pattern), chips in found.items():
        if (lacking := [chip for chip in every if chip not in chips]) and not listing.incomplete:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            told = f"scene {row['scene']}: {len(chips)} of {len(every)} chips have a file like {pattern}"
            names = f"not {', '.join(lacking[:SHOWN])}{more}"
            raise UserError(f"{key}: {told}, {names}; add these files, or set listing.incomplete: true")
    return every


def _with_names(found: Collection[Mapping[str, str]]) -> list[str]:
    """The chips among what matches each pattern; what can be no name but is there several times is meant for one, and refused."""
    every: list[str] = []
    for chip in sorted(set().union(*found)):
        try:
            every.append(checked_name(chip))
        except ValueError as error:
            files = [chips[chip] for chips in found if chip in chips]
            if len(files) >= min(2, len(found)):
                raise UserError(f"{files[0]}: {error}; rename or remove it") from None
    return every


def _matching(root: Path, pattern: str, row: Row) -> dict[str, str]:
    """The chips whose files match a pattern, and these files."""
    path = (root / pattern).as_posix()
    parts, like, at, named = [], "", 0, False
    for hole in HOLE.finditer(path):
        before = path[at : hole.start()]
        if hole[1] == "chip":
            value, match = "*", "(?P=chip)" if named else "(?P<chip>[^/]+)"
            named = True
        else:
            value = _value(hole, row, pattern)
            value, match = glob.escape(value), re.escape(value)
        parts += [re.escape(before), match]
        like += glob.escape(before) + value
        at = hole.end()
    regex = re.compile("".join(parts) + re.escape(path[at:]))
    found = (regex.fullmatch(Path(file).as_posix()) for file in glob.iglob(like + glob.escape(path[at:])))
    return {match["chip"]: match[0] for match in found if match and named}


def _filled(pattern: str, row: Row) -> str:
    """The file that a pattern means for a scene or chip."""
    return HOLE.sub(lambda hole: _value(hole, row, pattern), pattern)


def _value(hole: re.Match[str], row: Row, pattern: str) -> str:
    """What stands in a pattern's braces; with a width, its numbers have so many digits at least."""
    if hole[1] not in row:
        remedy = "; a table's column for it is named in data.listing.columns" if hole[1] in Columns.model_fields else ""
        raise UserError(f"{pattern}: {{{hole[1]}}} is not known; there are {', '.join(f'{{{key}}}' for key in row)}{remedy}")
    value = row[hole[1]]
    return re.sub(r"\d+", lambda digits: digits[0].zfill(int(hole[2])), value) if hole[2] else value
