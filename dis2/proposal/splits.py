"""How a proposed run is split: as folders and names tell, by whole places, or by blocks of each."""

from __future__ import annotations

import math
import re

import numpy as np

from dis2.proposal.grouping import TOUCH, Proposal
from dis2.raster.survey import Seen

TOLD = {"train": r"train(ing)?", "validation": r"val(id|idation)?", "test": r"test(ing)?"}
"""Parts of a name, mostly a folder's, that tell to which split a footprint belongs."""


def splits_of(found: Proposal) -> tuple[dict[str, str], str]:
    """The split of each footprint with labels, and why so; none where there are too few to test on what was not seen."""
    if (told := _told(found))[0]:
        return told
    places = _places(found)
    complete = [place for place in places if _is_complete(found, place)]
    if len(complete) < 3 or len(places) < 4:
        return {}, ""
    held = max(1, min(round(len(places) / 5), (len(complete) - 1) // 2))
    test, validation = (sum(some, []) for some in (complete[-held:], complete[-2 * held : -held]))
    held_out = dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")
    why = "neighbours often continue each other: so they are split by their order" if found.pixels else "split by place"
    return {key: held_out.get(key, "train") for key in found.labelled}, why


def blocks_of(found: Proposal) -> list[str]:
    """Where footprints are too few, blocks of each are dealt."""
    size = int(min(256, max(16, math.sqrt(min(map(found.area, found.labelled)) / 40) // 16 * 16)))
    told, parts = "few scenes: blocks of each are dealt to five folds, apart by a gap", ""
    if found.test:
        parts = "parts: [train, validation], "
        told = "blocks of the training labels validate; the test labels are a scene of their own"
    elif len(_places(found)) < len(found.labelled):
        told += "; scenes lie over each other, so ground that tests in one may train in another"
    return [f"  split: {{by: block, {parts}size: {size}, gap: {size // 4}, folds: 5, fold: 0}}    # {told}"]


def _told(found: Proposal) -> tuple[dict[str, str], str]:
    """What names tell, if all with labels do: a part that is missing is taken from training, or tests instead of validating."""
    told = {key: split for key in found.labelled for split, name in TOLD.items() if _is_part(name, key)}
    why = "split as names tell"
    if len(told) < len(found.labelled) or not {"train"} < set(told.values()):
        return {}, ""
    if "test" not in told.values():
        told = {key: "test" if split == "validation" else split for key, split in told.items()}
        why += "; none is called test, so validation tests"
    if "validation" not in told.values():
        train = [key for key, split in told.items() if split == "train" and _is_complete(found, [key])]
        held = max(1, round(len(train) / 5))
        if len(train) <= held:
            return {}, ""
        told |= dict.fromkeys(train[-held:], "validation")
        why += ", and part of training validates"
    return told, why


def _is_part(name: str, key: str) -> bool:
    return any(re.fullmatch(name, part, re.I) for part in re.split(r"[_-]", key))


def _ground(one: Seen) -> float:
    """How much ground a raster covers, in square degrees."""
    west, south, east, north = one.degrees or (0, 0, 0, 0)
    return (east - west) * (north - south)


def _is_complete(found: Proposal, place: list[str]) -> bool:
    return all(key in group.files for key in place for group in found.sensors)


def _places(found: Proposal) -> list[list[str]]:
    """Footprints with labels, those together that lie over each other: dates of one place, or tiles that overlap."""
    shown = {key: [group.files[key][0] for group in found.sensors if key in group.files] for key in found.labelled}
    extents = [min(ones, key=_ground) for ones in shown.values()]
    same = len({one.crs for one in extents}) == 1
    bounds = np.array([(one.bounds if same else one.degrees) or (math.nan,) * 4 for one in extents])
    places: dict[int, list[str]] = {}
    member = np.arange(len(bounds))
    for i, box in enumerate(bounds):
        sides = np.minimum(box[2:], bounds[:, 2:]) - np.maximum(box[:2], bounds[:, :2])
        smaller = np.minimum(np.prod(box[2:] - box[:2]), np.prod(bounds[:, 2:] - bounds[:, :2], axis=1))
        over = (sides > 0).all(1) & (np.prod(sides, axis=1) > TOUCH * smaller)
        member[np.isin(member, member[over])] = member[i]
    for key, place in zip(found.labelled, member.tolist(), strict=True):
        places.setdefault(place, []).append(key)
    return list(places.values())
