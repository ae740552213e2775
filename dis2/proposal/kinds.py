"""What a raster is: labels, a mask, heights or an image, by what it is called and by its values."""

from __future__ import annotations

import re
from itertools import pairwise

from dis2.proposal.words import letters_of, parts_of, words_of
from dis2.raster.survey import VALUES, Seen

LABEL = re.compile(
    r"labels?|lbls?|gts?|groundtruth|truth|masks?|msks?|landcover|landuse|worldcover|corine|clc|lulc|croptypes?|classes"
    r"|annotations?|targets|reference|nlcd|dfc|lc",
    re.I,
)
"""A word, or two behind each other, that labels are called by."""
MASK = re.compile(r"ma?sks?", re.I)
"""What labels are called by, and masks of clouds."""
QUALITY = re.compile(r"clouds?|cloudmasks?|cld|qa|scl|udm|fmask|shadows?", re.I)
"""A word of a raster of few values that is neither labels nor measured."""
LANDSAT = re.compile(r"l[cetmo]0\d", re.I)
"""A satellite that is called like land cover."""
TRAIN, TEST = re.compile(r"train(ing)?|tr", re.I), re.compile(r"test(ing)?|te|ts", re.I)
"""A part of the name of labels that are for one split alone, such as TrainImage, TSLabel or gt_test."""
ERODED = re.compile(r"no_?boundar|eroded", re.I)
HEIGHT = re.compile(r"n?ds?[emt]m?s?|elevations?|heights?|srtm|chm|lidar|altitude", re.I)


def apart_from_labels(seen: list[Seen], others: dict[str, str]) -> tuple[list[Seen], list[Seen], dict[str, str]]:
    """Labels, other rasters that may be used, and why each other file may not."""
    unused = dict(others)
    placed = [one for one in seen if one.crs is not None]
    if placed and len(placed) < len(seen):
        unused |= {one.path: "has no CRS, others have: give it one" for one in seen if one.crs is None}
        seen = placed
    unused |= {one.path: "no valid pixel" for one in seen if not one.valid}
    seen = [one for one in seen if one.valid]
    quality = {one.path: one for one in seen if _is_quality(one)}
    labelled = _labels_of([one for one in seen if one.path not in quality])
    labelled = labelled or _labels_of([one for one in quality.values() if _is_called_labels(one)])
    taken = {one.path for one in labelled}
    rest = [one for one in seen if one.path not in taken]
    unused |= {one.path: "a mask, or tells of quality" for one in rest if one.path in quality}
    if not labelled or any(map(_is_called_labels, labelled)):
        unused |= {one.path: _oddity(one) for one in rest if one.path not in quality and _is_called_labels(one)}
    return labelled, [one for one in rest if one.path not in unused], unused


def _labels_of(seen: list[Seen]) -> list[Seen]:
    """Rasters of few values that are called labels, some of one value alone; if there are none, all of several."""
    called = [one for one in seen if one.values and _is_called_labels(one)]
    if len(set().union(*(one.values for one in called))) > 1:
        return called
    return [one for one in seen if len(one.values) > 1 and one.bands == 1 and not is_height(one)]


def _oddity(one: Seen) -> str:
    """Why what is called labels is not taken for them."""
    if one.bands not in (1, 3):
        return f"called like labels, but of {one.bands} bands: name one in a config (labels: {{file: ..., band: 1}})"
    return f"called like labels, but not of 2 to {VALUES} values or colours"


def _is_quality(one: Seen) -> bool:
    """Of few values and called so, but called labels by nothing more than a mask."""
    if not one.values or one.bands > 1 or _is_called_labels(one, but=MASK):
        return False
    return any(QUALITY.fullmatch(word) for word in (*words_of(one.path), *parts_of(one.path)))


def has_few_values(one: Seen) -> bool:
    """Of one band of few whole numbers, which are not heights: no image."""
    return bool(one.values) and one.bands == 1 and "int" in one.dtype and not is_height(one)


def train_and_test(labelled: list[Seen], rest: list[Seen]) -> tuple[Seen | None, Seen | None]:
    """The two label rasters of one place of which one is for training and one for testing; else none."""
    train, test = ([one for one in labelled if _tells(split, one)] for split in (TRAIN, TEST))
    alone = len(labelled) == 2 and not any(_tells(split, one) for one in rest for split in (TRAIN, TEST))
    names = {
        tuple(part for part in parts_of(one.path) if not TRAIN.fullmatch(part) and not TEST.fullmatch(part)) for one in labelled
    }
    if not alone or len(names) > 1 or len(train) != 1 or len(test) != 1 or train == test:
        return None, None
    return train[0], test[0]


def _tells(split: re.Pattern[str], one: Seen) -> bool:
    return any(split.fullmatch(part) for part in parts_of(one.path))


def _is_called_labels(one: Seen, but: re.Pattern[str] | None = None) -> bool:
    """Whether a word of its name, or two behind each other, means labels, and not only what is left out."""
    words = [word for word in words_of(one.path) if not LANDSAT.fullmatch(word)]
    parts = [part for word in words for part in parts_of(word)]
    pairs = [first + second for first, second in pairwise(parts)]
    told = [letters_of(word) for word in (*words, *parts, *pairs)]
    return any(LABEL.fullmatch(word) and not (but and but.fullmatch(word)) for word in told)


def is_eroded(one: Seen) -> bool:
    """Labels whose boundaries are left out by its name: others are preferred, unless there are twice as many or more."""
    return bool(ERODED.search(one.path))


def is_height(one: Seen) -> bool:
    """Of one band, and a word of its name means heights."""
    return one.bands == 1 and any(HEIGHT.fullmatch(letters_of(word)) for word in words_of(one.path))
