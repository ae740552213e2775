"""What a table beside the rasters tells of their footprints: of which scene each is, and in which split."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

from dis2.proposal.grouping import Proposal
from dis2.proposal.words import footprint_of, plain, split_called, words_of

SCENE = re.compile(r"(scene|place|site|event|region|city|town|aoi|roi|location)(_?(id|name|nr|no))?", re.I)
"""A column that may tell of which scene a chip is."""

Row = dict[str, str]


def with_table(found: Proposal, folder: Path) -> Proposal:
    """What was found, with what the first table that names all footprints with labels tells of them."""
    for path in [path for path in found.unused if path.lower().endswith(".csv")]:
        rows = _rows(folder / path)
        named = _by_footprint(found, rows)
        if not named:
            continue
        scenes, splits = _scenes(named), _splits(named)
        if crossing := in_several(scenes, splits):
            why = f"scene {crossing} is in several splits by it: chips of one scene may not be"
            return replace(found, unused=found.unused | {path: why})
        if scenes or splits:
            rest = {name: why for name, why in found.unused.items() if name != path}
            return replace(found, unused=rest, table=path, scenes=scenes, told=splits)
    return found


def _rows(path: Path) -> list[Row]:
    """The rows of a table; of one that cannot be read, none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [
                {key.strip(): value.strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
                for row in csv.DictReader(stream, skipinitialspace=True)
            ]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _by_footprint(found: Proposal, rows: list[Row]) -> dict[str, Row]:
    """The row of each footprint, by the column that names every one with labels once; what has no raster is left out."""
    for column in rows[0] if rows else ():
        names = [footprint_of(words_of(row.get(column, ""))) for row in rows]
        if len(set(names)) == len(names) and set(found.labelled) <= set(names):
            known = set(found.footprints)
            return {name: row | {column: ""} for name, row in zip(names, rows, strict=True) if name in known}
    return {}


def _scenes(named: dict[str, Row]) -> dict[str, str]:
    """The scene of each footprint, if a column that is called so has one for each."""
    for column in next(iter(named.values())):
        values = {row.get(column, "") for row in named.values()}
        if SCENE.fullmatch(column) and "" not in values and 1 < len(values) == len(set(map(plain, values))):
            return {name: plain(row[column]) for name, row in named.items()}
    return {}


def _splits(named: dict[str, Row]) -> dict[str, str]:
    """The split of each footprint, if a column has nothing but the names of splits."""
    for column in next(iter(named.values())):
        told = {name: split_called(row.get(column, "")) for name, row in named.items()}
        if None not in told.values():
            return {name: split for name, split in told.items() if split}
    return {}


def in_several(scenes: dict[str, str], splits: dict[str, str]) -> str | None:
    """A scene of which some footprints are in one split, others in another."""
    pairs = {(scene, splits[name]) for name, scene in scenes.items() if name in splits}
    several = [scene for scene, _ in pairs]
    return next((scene for scene in sorted(several) if several.count(scene) > 1), None)
