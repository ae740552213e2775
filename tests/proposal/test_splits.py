"""Splits of a proposed run: as names tell, and never with the same ground on both sides."""

import numpy as np
import pytest
from affine import Affine

from dis2.proposal.grouping import sorted_out
from dis2.proposal.splits import blocks_of, splits_of
from dis2.raster.survey import survey
from tests.made import PLACE, raster
from tests.proposal.made import image, land


def found_in(folder, places):
    """Two sensors and labels of footprints by name, each so far east."""
    for name, east in places.items():
        at = PLACE @ Affine.translation(east, 0)
        for kind, values in (("opt", image(3)), ("sar", image(2)), ("gt", land(np.random.default_rng(0)))):
            raster(folder / f"{name}_{kind}.tif", values, at)
    return sorted_out(*survey(folder), folder)


@pytest.mark.parametrize(
    ("folders", "splits", "why"),
    [
        ({"train": 5, "val": 2, "test": 2}, {"train": 5, "validation": 2, "test": 2}, "split as names tell"),
        (
            {"training": 6, "testing": 2},
            {"train": 5, "validation": 1, "test": 2},
            "split as names tell, and part of training validates",
        ),
        (
            {"train": 5, "valid": 3},
            {"train": 4, "validation": 1, "test": 3},
            "split as names tell; none is called test, so validation tests, and part of training validates",
        ),
    ],
)
def test_folders_that_are_called_so_are_the_splits(tmp_path, folders, splits, why):
    names = [f"{folder}/{i}" for folder, count in folders.items() for i in range(count)]
    found, told = splits_of(found_in(tmp_path, {name: 500 * i for i, name in enumerate(names)}))
    assert {split: list(found.values()).count(split) for split in splits} == splits and told == why
    assert all(found[key] != "train" for key in found if key.startswith(("test", "val")))


@pytest.mark.parametrize(
    ("folders", "splits", "why"),
    [
        ({"test": 8, "validation": 8}, [6, 2], "; as none is called train, the others are split by place"),
        ({"test": 2, "more": 5}, [4, 1], "; as none is called train, the others are split by place"),
        ({"test": 2, "train": 3, "more": 2}, [4, 1], "; as not all are called so, the others are split by place"),
        ({"test": 1, "val": 2, "more": 4}, [4, 2], ", and what is called validation validates"),
        ({"test": 5, "train": 1}, [0, 0], "; as too few are called train, the others are dealt by blocks"),
        ({"test": 4, "val": 2}, [0, 0], "; as none is called train, the others are dealt by blocks"),
    ],
)
def test_what_is_called_test_never_trains_where_anything_else_may(tmp_path, folders, splits, why):
    names = [f"{folder}/{i}" for folder, count in folders.items() for i in range(count)]
    places = found_in(tmp_path, {name: 500 * i for i, name in enumerate(names)})
    found, told = splits_of(places)
    assert told == f"what is called test tests{why}"
    assert [key for key, split in found.items() if split == "test"] == [f"test_{i}" for i in range(folders["test"])]
    assert [list(found.values()).count(split) for split in ("train", "validation")] == splits
    if not splits[0]:
        assert "parts: [train, validation]" in blocks_of(places, found)[0]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["test"], "all are called test"),
        (["test", "testing"], "all are called test"),
        (["train", "training"], "all are called train"),
        (["val", "x"], "none is called train"),
    ],
)
def test_names_that_leave_nothing_for_a_part_are_not_followed_and_that_is_told(tmp_path, names, why):
    keys = [f"{name}/{i}" for name in names for i in range(6 // len(names))]
    found, told = splits_of(found_in(tmp_path, {key: 500 * i for i, key in enumerate(keys)}))
    assert sorted(found.values()) == ["test"] + ["train"] * 4 + ["validation"]
    assert told == f"split by place, whatever names tell: {why}"


def test_footprints_that_lie_over_each_other_are_in_one_split(tmp_path):
    names = {f"{'nopqrs'[place]}_{date}": 500 * place + 10 * date for place in range(6) for date in range(2)}
    splits, why = splits_of(found_in(tmp_path, names))
    assert all(splits[f"{place}_0"] == splits[f"{place}_1"] for place in "nopqrs") and why == "split by place"
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 8 + ["validation"] * 2


def test_what_lies_over_a_test_does_not_train(tmp_path):
    names = {"test/0": 0, "test/1": 500, **{f"more/{i}": 500 * i for i in range(6)}}
    found, _ = splits_of(found_in(tmp_path, names))
    assert {key for key, split in found.items() if split == "test"} == {"test_0", "test_1", "more_0", "more_1"}
    assert list(found.values()).count("train") == 3


def test_splits_that_names_tell_of_one_place_are_followed_and_that_is_said(tmp_path):
    names = {"train/0": 0, "train/1": 500, "train/2": 1000, "val/0": 1500, "test/0": 505}
    splits, why = splits_of(found_in(tmp_path, names))
    assert splits["test_0"] == "test" and splits["train_1"] == "train"
    assert why == "split as names tell; test_0 and train_1 are of one place, which flatters scores"


def test_neighbours_touch_and_are_places_of_their_own(tmp_path):
    names = {f"n_{place}": 62 * place for place in range(6)}
    splits, _ = splits_of(found_in(tmp_path, names))
    assert sorted(splits.values()) == ["test"] + ["train"] * 4 + ["validation"]
    raster(tmp_path / "region_dem.tif", np.tile(image(1), 40), PLACE)
    assert splits_of(sorted_out(*survey(tmp_path), tmp_path))[0] == splits


def test_dates_of_one_place_are_split_by_blocks_with_a_word_on_what_that_means(tmp_path):
    found = found_in(tmp_path, {f"d{date}": 0 for date in range(5)})
    assert splits_of(found) == ({}, "")
    assert "ground that is held out in one may train in another" in blocks_of(found, {})[0]
