"""How a proposed run is split: as a table, folders and names tell, by whole places, or by blocks of each."""

from __future__ import annotations

import math

from dis2.proposal.grouping import TOUCH, Proposal, overlap
from dis2.proposal.table import in_several
from dis2.proposal.words import SPLIT_WORDS, splits_in
from dis2.raster.survey import Seen


def splits_of(found: Proposal) -> tuple[dict[str, str], str]:
    """The split of each footprint with labels, and why so; those without one are too few: blocks of them are dealt.

    What is called test does not train unless all is called so.
    """
    if found.test:
        return {}, ""
    told = found.splits or {key: split for key in found.labelled if (split := _called_in(key))}
    if (as_told := _as_told(found, told))[0]:
        return as_told
    tests = _called(found, told, "test")
    others = [key for key in found.labelled if key not in tests]
    if tests and others:
        rest, how = _beside_tests(found, told, others)
        return dict.fromkeys(tests, "test") | rest, f"what is called test tests{how}"
    dealt, how = _dealt(found, found.labelled, ("test", "validation"))
    told = told or {key: "test" for key in found.labelled if _called_in(found.labels.files[key][0].path) == "test"}
    if told:
        return dealt, f"{how}, whatever names tell: {_lacking(told, found)}"
    return dealt, how if dealt else ""


def _beside_tests(found: Proposal, told: dict[str, str], others: list[str]) -> tuple[dict[str, str], str]:
    """The splits of footprints that do not test, where names do not tell all of them, and how that is done."""
    validation = [key for key in _called(found, told, "validation") if key in others]
    if 0 < len(validation) < len(others):
        splits = dict.fromkeys(others, "train") | dict.fromkeys(validation, "validation")
        return splits, ", and what is called validation validates"
    dealt, how = _dealt(found, others, ("validation",))
    return dealt, f"; as {_lacking(told, found)}, the others are {how}"


def _called(found: Proposal, told: dict[str, str], part: str) -> list[str]:
    """The footprints that are called so, and those that lie over one of them."""
    return [key for place in _places(found, found.labelled) if part in map(told.get, place) for key in place]


def blocks_of(found: Proposal, splits: dict[str, str]) -> list[str]:
    """Where footprints without a split are too few, blocks of each are dealt."""
    dealt = [key for key in found.labelled if key not in splits]
    size = int(min(256, max(16, math.sqrt(min(map(found.area, dealt)) / 40) // 16 * 16)))
    told, parts = "few scenes: blocks of each are dealt to five folds, apart by a gap", ""
    if found.test or splits:
        parts = "parts: [train, validation], "
    if found.test:
        told = "blocks of the training labels validate; the test labels are a scene of their own"
    elif len(_places(found, dealt)) < len(dealt):
        told += "; scenes lie over each other, so ground that is held out in one may train in another"
    return [f"  split: {{by: block, {parts}size: {size}, gap: {size // 4}, folds: 5, fold: 0}}    # {told}"]


def _dealt(found: Proposal, keys: list[str], parts: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Whole places of these footprints, of which the last ones are held out for each part, and how that is done."""
    places = _places(found, keys)
    complete = [place for place in places if _is_complete(found, place)]
    if len(complete) <= len(parts) or len(places) < len(parts) + (1 if found.scenes else 2):
        return {}, "dealt by blocks"
    held = max(1, min(round(len(places) / 5), (len(complete) - 1) // len(parts)))
    turns = [part for part in parts for _ in range(held)]
    held_out = {key: part for part, place in zip(turns, reversed(complete), strict=False) for key in place}
    how = "split by their order, as neighbours often continue each other" if found.pixels else "split by place"
    if found.scenes:
        parted = f"; its splits part scene {found.parted}, so they are not followed" if found.parted else ""
        how = f"split by scene, as in {found.table}{parted}"
    return {key: held_out.get(key, "train") for key in keys}, how


def _as_told(found: Proposal, told: dict[str, str]) -> tuple[dict[str, str], str]:
    """What is told, if it is of all with labels: a part that is missing is taken from training, or what validates tests."""
    why = f"split as in {found.table}" if found.splits else "split as names tell"
    if len(told) < len(found.labelled) or in_several(found.scenes, told) or not {"train"} < set(told.values()):
        return {}, ""
    if "test" not in told.values():
        told = {key: "test" if split == "validation" else split for key, split in told.items()}
        why += "; none is called test, so validation tests"
    if "validation" not in told.values():
        train = [key for key, split in told.items() if split == "train"]
        places = [place for place in _places(found, train) if _is_complete(found, place)]
        held = max(1, round(len(places) / 5))
        if len(places) <= held:
            return {}, ""
        told = told | {key: "validation" for place in places[-held:] for key in place}
        why += ", and part of training validates"
    if over := next((place for place in _places(found, found.labelled) if len({told[key] for key in place}) > 1), None):
        other = next(key for key in over if told[key] != told[over[0]])
        why += f"; {over[0]} and {other} are of one place, which flatters scores"
    return told, why


def _lacking(told: dict[str, str], found: Proposal) -> str:
    """Why names alone do not tell the splits."""
    if scene := in_several(found.scenes, told):
        return f"chips of scene {scene} are in several"
    every, names = len(told) == len(found.labelled), set(told.values())
    if every and len(names) == 1:
        return f"all are called {names.pop()}"
    if "train" not in names:
        return "none is called train"
    return "too few are called train" if every else "not all are called so"


def _called_in(name: str) -> str | None:
    """The split that a part of a name tells; what is called test in any part is for testing."""
    return next((split for split in reversed(SPLIT_WORDS) if split in splits_in(name)), None)


def _ground(one: Seen) -> float:
    """How much ground a raster covers, in square degrees."""
    west, south, east, north = one.degrees or (0, 0, 0, 0)
    return (east - west) * (north - south)


def _is_complete(found: Proposal, place: list[str]) -> bool:
    return all(key in group.files for key in place for group in found.sensors)


def _places(found: Proposal, keys: list[str]) -> list[list[str]]:
    """These footprints, those together that are of one scene or lie over each other: dates of one place, tiles that overlap."""
    shown = {key: min((it.files[key][0] for it in found.sensors if key in it.files), key=_ground) for key in keys}
    first: dict[str, str] = {}
    member = {key: first.setdefault(found.scenes.get(key, key), key) for key in shown}
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
