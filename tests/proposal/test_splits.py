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


def test_footprints_that_lie_over_each_other_are_in_one_split(tmp_path):
    names = {f"{'nopqrs'[place]}_{date}": 500 * place + 10 * date for place in range(6) for date in range(2)}
    splits, why = splits_of(found_in(tmp_path, names))
    assert all(splits[f"{place}_0"] == splits[f"{place}_1"] for place in "nopqrs") and why == "split by place"
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 8 + ["validation"] * 2


def test_neighbours_touch_and_are_places_of_their_own(tmp_path):
    names = {f"n_{place}": 62 * place for place in range(6)}
    splits, _ = splits_of(found_in(tmp_path, names))
    assert sorted(splits.values()) == ["test"] + ["train"] * 4 + ["validation"]
    raster(tmp_path / "region_dem.tif", np.tile(image(1), 40), PLACE)
    assert splits_of(sorted_out(*survey(tmp_path), tmp_path))[0] == splits


def test_dates_of_one_place_are_split_by_blocks_with_a_word_on_what_that_means(tmp_path):
    found = found_in(tmp_path, {f"d{date}": 0 for date in range(5)})
    assert splits_of(found) == ({}, "")
    assert "ground that tests in one may train in another" in blocks_of(found)[0]
