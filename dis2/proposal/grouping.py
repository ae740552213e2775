"""Which rasters of a folder belong together: sensors, labels and footprints, by how files are called and what is in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dis2.combinations import MOST_SENSORS
from dis2.errors import UserError
from dis2.proposal.kinds import HEIGHT, apart_from_labels, has_few_values, is_eroded, is_height, train_and_test
from dis2.proposal.words import footprint_of, letters_of, natural, place_parts, plain, words_of
from dis2.raster.survey import Seen

BAND = re.compile(r"b(and)?_?\d+a?|blue|green|red|nir|swir\d?|vv|vh|hh|hv", re.I)
"""A part of a name that tells a band of a sensor whose bands are files."""
MOMENT = re.compile(r"pre|post|before|after", re.I)
"""Of a place, and not a place, though labels may be called so, too."""
FEW, TOUCH = 3, 0.05
"""So many files are told with the reason why they are not used where that may be what is wrong; so little is no overlap."""


@dataclass
class Group:
    """Files of one kind: a sensor, or labels, by footprint."""

    name: str
    files: dict[str, list[Seen]] = field(default_factory=dict)

    @property
    def every(self) -> list[Seen]:
        return [one for files in self.files.values() for one in files]

    @property
    def placed(self) -> list[tuple[str, Seen]]:
        """The files, each with its footprint."""
        return [(key, one) for key, files in self.files.items() for one in files]

    @property
    def first(self) -> Seen:
        return self.every[0]

    def at(self, key: str) -> Seen:
        """The first file of a footprint; of one that it lacks, an example."""
        return self.files.get(key, self.every)[0]

    @property
    def values(self) -> set[int]:
        return set().union(*(one.values for one in self.every))

    @property
    def typical(self) -> list[Seen]:
        """The files of the first footprint that has as many as most."""
        (most, _), *_ = Counter(map(len, self.files.values())).most_common(1)
        return next(files for files in self.files.values() if len(files) == most)


@dataclass
class Proposal:
    """What a folder seems to hold."""

    sensors: list[Group]
    labels: Group
    unused: dict[str, str]
    test: Seen | None = None
    """Labels of the one place that are for testing, where those in `labels` are for training."""
    table: str = ""
    """the table that tells scenes or splits of footprints with labels, if one does"""
    scenes: dict[str, str] = field(default_factory=dict)
    """of each of these its scene"""
    splits: dict[str, str] = field(default_factory=dict)
    """of each of these its split"""
    parted: str = ""
    """a scene that splits of the table part, which are not followed for that"""

    @property
    def pixels(self) -> bool:
        return self.sensors[0].first.crs is None

    @property
    def labelled(self) -> list[str]:
        return [key for key in self.footprints if key in self.labels.files]

    @property
    def footprints(self) -> list[str]:
        """Those that have labels and any sensor, by name; then those without labels."""
        has = {key for group in self.sensors for key in group.files}
        return sorted(has & set(self.labels.files), key=natural) + sorted(has - set(self.labels.files), key=natural)

    def area(self, key: str) -> int:
        """Pixels of a footprint in the grid of the finest sensor."""
        return max((one.height * one.width for group in self.sensors for one in group.files.get(key, [])), default=0)


def sorted_out(seen: list[Seen], others: dict[str, str], folder: Path) -> Proposal:
    """Labels and sensors among the rasters, and why each other file is neither."""
    labelled, rest, unused = apart_from_labels(seen, others)
    if not labelled:
        remedy = "name a raster of few whole numbers or colours so (labels, mask, gt), or write a config"
        raise UserError(f"{folder}: no labels found{_reasons(unused)}; {remedy}")
    found = _matched(labelled, rest, unused, folder, _place_words(labelled), _place_words(rest))
    if len(found.sensors) < 2:
        found = _matched(labelled, rest, unused, folder, set(), set())
    if len(found.sensors) < 2:
        names = ", ".join(group.name for group in found.sensors) or "none"
        remedy = "dis2 fuses several, so give the rasters of another one"
        raise UserError(f"{folder}: fewer than two sensors found ({names}){_reasons(found.unused)}; {remedy}")
    if len(found.sensors) > MOST_SENSORS:
        names = ", ".join(group.name for group in found.sensors[:FEW])
        remedy = "list dates of one place as files of one sensor in a config, or give a folder of fewer rasters"
        raise UserError(f"{folder}: {len(found.sensors)} sensors found ({names}, ...), at most {MOST_SENSORS} may be; {remedy}")
    _name_apart(found.sensors)
    return found


def _matched(
    labelled: list[Seen], rest: list[Seen], unused: dict[str, str], folder: Path, places: set[str], others: set[str]
) -> Proposal:
    """Sensors that share footprints with labels; words of labels (of others) tell places in the names of others (of labels)."""
    train, test = train_and_test(labelled, rest)
    if train:
        labels = [Group("labels", {"all": [train]})]
    else:
        known = {key for alike in (_loosely, _closely) for group in _by(alike, rest, places) for key in group.files}
        labels = _groups(labelled, known, others)
    best = max(labels, key=_fitness)
    unused = unused | {
        one.path: f"labels too, but {best.at(key).path} is used" for it in labels if it is not best for key, one in it.placed
    }
    groups, strays = _without_strays(_groups(rest, set(best.files), places), best, places)
    unused |= strays
    few = [group for group in groups if all(map(has_few_values, group.every))]
    unused |= {one.path: "few whole numbers: labels or a mask, not an image" for group in few for one in group.every}
    groups = _of_each_place(best, [group for group in groups if group not in few], folder)
    sensors = [group for group in groups if len(groups) == 1 or set(best.files) & set(group.files)]
    used = {one.path for group in sensors for one in group.every}
    unused |= {one.path: "matches no footprint that has labels" for one in rest if one.path not in used | set(unused)}
    return Proposal(sensors, best, unused, test)


def _of_each_place(labels: Group, groups: list[Group], folder: Path) -> list[Group]:
    """The groups, where one raster may be of many places, and where several may be of one: both are told by where they lie."""
    places = {key: files[0] for group in groups if len(group.files) > 1 for key, files in group.files.items()}
    if len(labels.files) == 1 and places and not set(labels.files) & set(places):
        covered = [key for key, one in places.items() if overlap(one, labels.first) > TOUCH]
        if len(covered) > 1 and all(overlap(places[covered[0]], places[key]) > 0.5 for key in covered):
            return _one_place(labels, groups, covered)
        labels.files = dict.fromkeys(covered or [_named(labels.first, list(places), folder)], labels.every)
    places = {key: files[0] for key, files in labels.files.items()} | places
    for group in groups:
        if len(group.files) == 1 and not set(group.files) & set(places):
            covered = [key for key, one in places.items() if overlap(one, group.first) > TOUCH]
            if covered or (len(labels.files) == 1 and group.first.bounds is None):
                group.files = dict.fromkeys(covered or labels.files, group.every)
    return groups


def _one_place(labels: Group, groups: list[Group], keys: list[str]) -> list[Group]:
    """What seemed to be places are sensors of one, such as before and after."""
    (only,) = labels.files
    return [
        Group(f"{group.name}_{key}" if len(group.files) > 1 else group.name, {only: files})
        for group in groups
        for key, files in group.files.items()
        if key in keys or len(group.files) == 1
    ]


def _named(one: Seen, places: list[str], folder: Path) -> str:
    """The place that is named in that of a file."""
    words = place_parts(words_of(one.path))
    named = [key for key in places if set(key.split("_")) <= words]
    if len(named) != 1:
        told = f"{' or '.join(places[:FEW])}{' or others' if len(places) > FEW else ''}"
        remedy = "put the name of its place into that of the file, or list rasters of one place as sensors in a config"
        raise UserError(f"{folder}: {one.path}: are these labels of {told}? {remedy}")
    return named[0]


def overlap(one: Seen, other: Seen) -> float:
    """The share of the smaller one that lies in both; 0 where one lies nowhere."""
    first, second = (one.bounds, other.bounds) if one.crs == other.crs else (one.degrees, other.degrees)
    if first is None or second is None:
        return 0.0
    west, south = (max(first[i], second[i]) for i in (0, 1))
    east, north = (min(first[i], second[i]) for i in (2, 3))
    smaller = min((it[2] - it[0]) * (it[3] - it[1]) for it in (first, second))
    return max(0.0, east - west) * max(0.0, north - south) / smaller


def _reasons(unused: dict[str, str]) -> str:
    told = [f"{file}: {why}" for file, why in unused.items() if why != "no raster"][:FEW]
    return f" (not used: {'; '.join(told)})" if told else ""


def _groups(seen: list[Seen], footprints: set[str], places: set[str]) -> list[Group]:
    """Sensors, or labels: rasters that are alike, or that differ in type and grid but each are of a footprint that is known."""
    found: list[Group] = []
    for members in _apart(_loosely, seen):
        loose = _split(members, places)
        known = all(len(group.files) > 1 and set(group.files) <= footprints for group in loose)
        found += loose if known else _by(_closely, members, places)
    return found


def _place_words(seen: list[Seen]) -> set[str]:
    """Words of some rasters that, in the names of others, tell places."""
    return {word for one in seen for word in words_of(one.path) if not word.isdigit() and not MOMENT.fullmatch(word)}


def _by(alike: Callable[[Seen], tuple[object, ...]], seen: list[Seen], places: set[str]) -> list[Group]:
    return [group for members in _apart(alike, seen) for group in _split(members, places)]


def _fitness(labels: Group) -> tuple[bool, float, bool]:
    """By what one of several kinds of labels is used: of more values, for more footprints; eroded ones count for half."""
    eroded = is_eroded(labels.first)
    return len(labels.values) > 1, len(labels.files) / (1 + eroded), eroded


def _apart(alike: Callable[[Seen], tuple[object, ...]], seen: list[Seen]) -> list[list[Seen]]:
    found: dict[tuple[object, ...], list[Seen]] = {}
    for one in seen:
        found.setdefault(alike(one), []).append(one)
    return list(found.values())


def _loosely(one: Seen) -> tuple[object, ...]:
    """What all rasters of a sensor share: the build of their names, bands, and if they are heights."""
    return one.bands, is_height(one), len(words_of(one.path)), Path(one.path).suffix.lower()


def _closely(one: Seen) -> tuple[object, ...]:
    """And what most share besides: type and grid."""
    return *_loosely(one), one.dtype, one.crs if one.crs is None else (one.crs, one.resolution)


def _without_strays(groups: list[Group], labels: Group, places: set[str]) -> tuple[list[Group], dict[str, str]]:
    """The groups, those that match no labels split by words of footprints alone; and what of these is of few footprints.

    One raster that is called otherwise, or a date, makes a word vary, which then seems to tell footprints: none has labels.
    """
    known = {part for key in labels.files for part in key.split("_")}
    kept: list[Group] = []
    strays: dict[str, str] = {}
    for group in groups:
        split = [group] if set(group.files) & set(labels.files) else _split(group.every, places, known)
        most = max(split, key=lambda it: len(it.files))
        if 2 * len(set(most.files) & set(labels.files)) <= max(2, len(labels.files)):
            split = [group]
        few = [it for it in split if 2 * len(it.files) <= len(most.files)]
        kept += [it for it in split if it not in few]
        strays |= {
            one.path: f"few places have one called so; {most.at(key).path} is used" for it in few for key, one in it.placed
        }
    return kept, strays


def _split(members: list[Seen], places: set[str], known: Iterable[str] = ()) -> list[Group]:
    """Files of one build: words that vary tell bands, sensors or footprints; those that vary together tell the same.

    Words by which labels are called tell no sensors. The finest of several files stands first, as its grid is the sensor's.
    """
    words = {one.path: words_of(one.path) for one in members}
    columns = list(zip(*words.values(), strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    fixed = [i for i in range(len(columns)) if i not in varying]
    if known:
        varying = _but_told(varying, columns, known)
    bands = [i for i in varying if all(BAND.fullmatch(word) for word in columns[i])]
    together: dict[tuple[int, ...], list[int]] = {}
    for i in varying:
        if i not in bands:
            together.setdefault(_partition(columns[i]), []).append(i)
    tell = [same for part, same in together.items() if _tells_sensor(part, [columns[i] for i in same], together, places, known)]
    sensors = [i for same in tell for i in same]
    keys = [i for i in varying if i not in bands and i not in sensors]
    groups: dict[str, Group] = {}
    for one in sorted(members, key=lambda one: (one.resolution, natural(one.path))):
        own = words[one.path]
        name = "_".join(own[i] for i in sorted([*fixed, *sensors]))
        key = footprint_of([own[i] for i in keys]) if keys else "all"
        groups.setdefault(name, Group(name)).files.setdefault(key, []).append(one)
    return list(groups.values())


def _but_told(varying: list[int], columns: list[tuple[str, ...]], known: Iterable[str]) -> list[int]:
    """Those of varying words that footprints do not tell, and the words of footprints: each may have a date of its own."""
    places = [i for i in varying if not place_parts(columns[i]).isdisjoint(known)]
    where = list(zip(*(columns[i] for i in places), strict=True)) or [()] * len(columns[0])
    return [i for i in varying if i in places or len(set(zip(where, columns[i], strict=True))) > len(set(where))]


def _partition(column: tuple[str, ...]) -> tuple[int, ...]:
    """Which files share a word, whatever it is."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(word, len(numbers)) for word in column)


def _tells_sensor(
    part: tuple[int, ...],
    columns: list[tuple[str, ...]],
    every: Iterable[tuple[int, ...]],
    places: set[str],
    known: Iterable[str],
) -> bool:
    """Kinds of heights; or few words with letters, each of which goes with all that vary beside, but not a place or a number.

    Where parts of footprints are known: words without any.
    """
    if known:
        return place_parts(word for column in columns for word in column).isdisjoint(known)
    if any(all(HEIGHT.fullmatch(letters_of(word)) for word in column) for column in columns):
        return True
    if any(places.intersection(column) for column in columns):
        return False
    count = len(set(part))
    lettered = any(all(re.search("[a-z]", word, re.I) for word in column) for column in columns)
    others = Counter(zip(*(other for other in every if other != part), strict=True))
    return lettered and count <= 8 and len(others) > count and all(number % count == 0 for number in others.values())


def _name_apart(sensors: list[Group]) -> None:
    """Names of the words that others do not have, as short as they can be."""
    common = set.intersection(*(set(words_of(group.name)) for group in sensors))
    taken: set[str] = set()
    for group in sensors:
        own = [word for word in words_of(group.name) if word not in common] or words_of(group.name) or ["sensor"]
        short = plain("_".join(dict.fromkeys(own[-2:]))).lower()
        while short in taken or short in ("labels", "valid", "x", "y", "spatial_ref", "truth"):
            short += "_2"
        taken.add(short)
        group.name = short
