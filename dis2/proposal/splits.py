"""How a proposed run is split: as folders and names tell, by whole places, or by blocks of each."""

from __future__ import annotations

import math
import re

from dis2.proposal.grouping import TOUCH, Proposal, overlap
from dis2.raster.survey import Seen

TOLD = {"train": r"train(ing)?", "validation": r"val(id|idation)?", "test": r"test(ing)?"}
"""Parts of a name, mostly a folder's, that tell to which split a footprint belongs."""


def splits_of(found: Proposal) -> tuple[dict[str, str], str]:
    """The split of each footprint with labels, and why so; none where they are too few, or others are for testing."""
    if found.test:
        return {}, ""
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
    shown = {key: min((it.files[key][0] for it in found.sensors if key in it.files), key=_ground) for key in found.labelled}
    member = {key: key for key in shown}
    by_west = sorted((one.degrees[0], one.degrees[2], key) for key, one in shown.items() if one.degrees)
    for i, (_, east, key) in enumerate(by_west):
        for west, _, other in by_west[i + 1 :]:
            if west >= east:
                break
            if member[key] != member[other] and overlap(shown[key], shown[other]) > TOUCH:
                left = member[other]
                member |= {it: member[key] for it, place in member.items() if place == left}
    places: dict[str, list[str]] = {}
    for key, place in member.items():
        places.setdefault(place, []).append(key)
    return list(places.values())
