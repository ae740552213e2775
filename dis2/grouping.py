"""Which rasters of a folder belong together: sensors, labels and footprints, by how files are called and what is in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import combining, normalize

from dis2.errors import UserError
from dis2.raster.survey import VALUES, Seen

BAND = re.compile(r"b(and)?_?\d+a?|blue|green|red|nir|swir\d?|vv|vh|hh|hv", re.I)
"""A part of a name that tells a band of a sensor whose bands are files."""
LABEL = re.compile(r"labels?|gts?|ground_?truth|truth|masks?|land_?cover|lulc|classes|annotations?|reference|nlcd|dfc|lc", re.I)
FEW = 3
"""So many files are told with the reason why they are not used where that may be what is wrong."""
TRAIN, TEST = re.compile(r"train(ing)?|tr", re.I), re.compile(r"test(ing)?|te|ts", re.I)
"""A part of the name of labels that are for one split alone, such as TrainImage, TSLabel or gt_test."""
HEIGHT = re.compile(r"n?ds?[emt]m?s?|elevations?|heights?|srtm|chm|lidar|altitude", re.I)


@dataclass
class Group:
    """Files of one kind: a sensor, or labels, by footprint."""

    name: str
    files: dict[str, list[Seen]] = field(default_factory=dict)

    @property
    def every(self) -> list[Seen]:
        return [one for files in self.files.values() for one in files]

    @property
    def first(self) -> Seen:
        return self.every[0]


@dataclass
class Proposal:
    """What a folder seems to hold."""

    sensors: list[Group]
    labels: Group
    unused: dict[str, str]
    test: Seen | None = None
    """Labels of the one place that are for testing, where those in `labels` are for training."""

    @property
    def pixels(self) -> bool:
        return self.sensors[0].first.crs is None

    @property
    def footprints(self) -> list[str]:
        """Those that have labels and any sensor, by name; then those without labels."""
        has = {key for group in self.sensors for key in group.files}
        return sorted(has & set(self.labels.files), key=natural) + sorted(has - set(self.labels.files), key=natural)


def sorted_out(seen: list[Seen], others: dict[str, str], folder: Path) -> Proposal:
    """Labels and sensors among the rasters, and why each other file is neither."""
    unused = dict(others)
    placed = [one for one in seen if one.crs is not None]
    if placed and len(placed) < len(seen):
        unused |= {one.path: "has no CRS, others have" for one in seen if one.crs is None}
        seen = placed
    empty = [one for one in seen if not one.valid]
    unused |= {one.path: "no valid pixel" for one in empty}
    labelled = _labels_of([one for one in seen if one not in empty])
    odd = [one for one in seen if one not in labelled and any(map(_is_called_labels, labelled)) and _is_called_labels(one)]
    unused |= {one.path: f"called like labels, but not of 2 to {VALUES} values or colours" for one in odd if one not in empty}
    rest = [one for one in seen if one not in empty and one not in labelled and one not in odd]
    train, test = _train_and_test(labelled, rest)
    if train:
        labels = [Group("labels", {"all": [train]})]
    else:
        labels = _groups(labelled, {key for alike in (_loosely, _closely) for group in _by(alike, rest) for key in group.files})
    if not labels:
        remedy = "name a raster of few whole numbers or colours so (labels, mask, gt), or write a config"
        raise UserError(f"{folder}: no labels found{_reasons(unused)}; {remedy}")
    best = max(labels, key=lambda group: len(group.files))
    groups = _groups(rest, set(best.files))
    unused |= {one.path: "labels too, but others are for more footprints" for it in labels if it is not best for one in it.every}
    sensors = [group for group in groups if len(groups) == 1 or len(best.files) == 1 or set(best.files) & set(group.files)]
    unused |= {one.path: "matches no footprint that has labels" for it in groups if it not in sensors for one in it.every}
    if len(best.files) == 1 and sensors:
        _one_place_has_labels(best, sensors, folder)
    if len(sensors) < 2:
        names = ", ".join(group.name for group in sensors) or "none"
        remedy = "dis2 fuses several, so give the rasters of another one"
        raise UserError(f"{folder}: fewer than two sensors found ({names}){_reasons(unused)}; {remedy}")
    _name_apart(sensors)
    return Proposal(sensors, best, unused, test)


def _one_place_has_labels(labels: Group, sensors: list[Group], folder: Path) -> None:
    """Which one the name of their file tells, where sensors have several; files that are alone are of the same place."""
    (only,) = labels.files
    several = {key: None for group in sensors if len(group.files) > 1 for key in group.files}
    if several and only not in several:
        words = set(_footprint(_words(labels.first.path)).split("_"))
        named = [key for key in several if set(key.split("_")) <= words]
        if len(named) != 1:
            remedy = "put the name of its place into that of the file"
            raise UserError(f"{folder}: {labels.first.path}: are these labels of {' or '.join(several)}? {remedy}")
        labels.files = {(only := named[0]): labels.every}
    for group in sensors:
        if len(group.files) == 1:
            group.files = {only: group.every}


def _labels_of(seen: list[Seen]) -> list[Seen]:
    """Rasters of few values that are called labels; if there are none, all of few values."""
    few = [one for one in seen if len(one.values) >= 2]
    return [one for one in few if _is_called_labels(one)] or [one for one in few if one.bands == 1 and not is_height(one)]


def _train_and_test(labelled: list[Seen], rest: list[Seen]) -> tuple[Seen | None, Seen | None]:
    """The two label rasters of one place of which one is for training and one for testing; else none."""
    train, test = ([one for one in labelled if _tells(split, one)] for split in (TRAIN, TEST))
    alone = len(labelled) == 2 and not any(_tells(split, one) for one in rest for split in (TRAIN, TEST))
    if not alone or len(train) != 1 or len(test) != 1 or train == test:
        return None, None
    return train[0], test[0]


def _tells(split: re.Pattern[str], one: Seen) -> bool:
    return any(split.fullmatch(part) for part in _parts(one.path))


def _reasons(unused: dict[str, str]) -> str:
    told = [f"{file}: {why}" for file, why in unused.items() if why != "no raster"][:FEW]
    return f" (not used: {'; '.join(told)})" if told else ""


def _groups(seen: list[Seen], footprints: set[str]) -> list[Group]:
    """Sensors, or labels: rasters that are alike, or that differ in type and grid but each are of a footprint that is known."""
    found: list[Group] = []
    for members in _apart(_loosely, seen):
        loose = _split(members)
        known = all(len(group.files) > 1 and set(group.files) <= footprints for group in loose)
        found += loose if known else _by(_closely, members)
    return found


def _by(alike: Callable[[Seen], tuple[object, ...]], seen: list[Seen]) -> list[Group]:
    return [group for members in _apart(alike, seen) for group in _split(members)]


def _apart(alike: Callable[[Seen], tuple[object, ...]], seen: list[Seen]) -> list[list[Seen]]:
    found: dict[tuple[object, ...], list[Seen]] = {}
    for one in seen:
        found.setdefault(alike(one), []).append(one)
    return list(found.values())


def _loosely(one: Seen) -> tuple[object, ...]:
    """What all rasters of a sensor share: the build of their names, bands, and if they are heights."""
    return one.bands, is_height(one), len(_words(one.path)), Path(one.path).suffix


def _closely(one: Seen) -> tuple[object, ...]:
    """And what most share besides: type and grid."""
    return *_loosely(one), one.dtype, one.crs if one.crs is None else (one.crs, one.resolution)


def _split(members: list[Seen]) -> list[Group]:
    """Files of one build: words that vary tell bands, sensors or footprints; those that vary together tell the same."""
    words = {one.path: _words(one.path) for one in members}
    columns = list(zip(*words.values(), strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    bands = [i for i in varying if all(BAND.fullmatch(word) for word in columns[i])]
    together: dict[tuple[int, ...], list[int]] = {}
    for i in varying:
        if i not in bands:
            together.setdefault(_partition(columns[i]), []).append(i)
    sensors = [i for part, same in together.items() if _tells_sensor(part, [columns[i] for i in same], together) for i in same]
    keys = [i for i in varying if i not in bands and i not in sensors]
    fixed = [i for i in range(len(columns)) if i not in varying]
    groups: dict[str, Group] = {}
    for one in sorted(members, key=lambda one: natural(one.path)):
        own = words[one.path]
        name = "_".join(own[i] for i in sorted([*fixed, *sensors]))
        key = _footprint([own[i] for i in keys]) if keys else "all"
        groups.setdefault(name, Group(name)).files.setdefault(key, []).append(one)
    return list(groups.values())


def _footprint(words: list[str]) -> str:
    """The name of what these words tell; 03 is 3."""
    return plain("_".join(re.sub(r"\d+", lambda digits: str(int(digits[0])), word) for word in words))


def _partition(column: tuple[str, ...]) -> tuple[int, ...]:
    """Which files share a word, whatever it is."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(word, len(numbers)) for word in column)


def _tells_sensor(part: tuple[int, ...], columns: list[tuple[str, ...]], every: Iterable[tuple[int, ...]]) -> bool:
    """Few words with letters, each of which goes with all that vary beside: `before` and `after`, but not a place or a number."""
    count = len(set(part))
    lettered = any(all(re.search("[a-z]", word, re.I) for word in column) for column in columns)
    others = Counter(zip(*(other for other in every if other != part), strict=True))
    return lettered and count <= 8 and len(others) > count and all(number % count == 0 for number in others.values())


def _name_apart(sensors: list[Group]) -> None:
    """Names of the words that others do not have, as short as they can be."""
    common = set.intersection(*(set(_words(group.name)) for group in sensors))
    taken: set[str] = set()
    for group in sensors:
        own = [word for word in _words(group.name) if word not in common] or _words(group.name) or ["sensor"]
        short = plain("_".join(dict.fromkeys(own[-2:]))).lower()
        while short in taken or short in ("labels", "valid", "x", "y", "spatial_ref", "truth"):
            short += "_2"
        taken.add(short)
        group.name = short


def _is_called_labels(one: Seen) -> bool:
    words = _words(one.path)
    if _tells(TRAIN, one) or _tells(TEST, one):
        words += _parts(one.path)
    return any(LABEL.fullmatch(_letters(word)) for word in words)


def is_height(one: Seen) -> bool:
    return one.bands == 1 and any(HEIGHT.fullmatch(_letters(word)) for word in _words(one.path))


def _words(path: str) -> list[str]:
    """A path's parts without its ending; a space parts nothing, since places are called so."""
    return [word for word in re.split(r"[/_\-.:]+", re.sub(r"\.\w+(?=$|:)", "", path)) if word]


def _parts(path: str) -> list[str]:
    """Its words, and the words that capitals make of one: TRLabel is TR and Label."""
    return [part for word in _words(path) for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)]


def _letters(word: str) -> str:
    """A word without the number behind it: a year, a version."""
    return re.sub(r"\d+$", "", word) or word


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def plain(text: str) -> str:
    """A name of letters, digits, '_' and '-'."""
    bare = "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", bare).strip("_-")[:60] or "data"
