"""Splits share no pixel, and by block no training pixel is near what is tested."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from dis2.raster.grid import Window
from dis2.tiles.split import PATCH, in_split, labels_used
from tests.made import data_of

SCENE = {"sensors": {"thermal": "t.tif"}, "labels": "l.tif"}
HEIGHT, WIDTH = 150, 190
SPLITS = ("train", "validation", "test")


def blocks_of(name="pond", **split):
    return data_of({name: SCENE}, split={"by": "block", "size": 32, "gap": 5} | split)


def masks(data, height=HEIGHT, width=WIDTH, scene="pond"):
    return [in_split(data, scene, split, Window(0, 0, height, width), height, width) for split in SPLITS]


@given(st.integers(0, 99), st.integers(0, 20), st.sampled_from([16, 20, 33]), st.integers(3, 6))
@settings(max_examples=25, deadline=None)
def test_no_pixel_is_within_the_gap_of_one_that_matters_more(seed, gap, size, folds):
    gap = min(gap, size)
    data = blocks_of(seed=seed, gap=gap, size=size, folds=folds)
    train, validation, test = masks(data)
    assert test.any()
    assert not (train & validation).any() and not (train & test).any() and not (validation & test).any()
    near_test, near_validation = (maximum_filter(mask, 2 * gap + 1, mode="constant") for mask in (test, validation_blocks(data)))
    assert not (near_test & (train | validation)).any() and not (near_validation & train).any()


def validation_blocks(data):
    """Whole validation blocks, with the rim that their distance to the tests takes from them."""
    told = data.model_copy(update={"split": data.split.model_copy(update={"gap": 0})})
    return masks(told)[1]


def test_only_the_gap_is_lost():
    train, validation, test = masks(blocks_of(gap=0))
    assert (train | validation | test).all()
    lost = ~np.any(masks(blocks_of()), axis=0)
    assert 0 < lost.mean() < 0.5 and np.array_equal(masks(blocks_of())[2], test)


def test_the_seed_and_the_fold_change_the_deal_and_nothing_else_does():
    deal = masks(blocks_of())[2]
    assert np.array_equal(deal, masks(blocks_of())[2])
    assert not np.array_equal(deal, masks(blocks_of(seed=1))[2])
    assert not (deal & masks(blocks_of(fold=1))[2]).any()
    assert not np.array_equal(deal, masks(blocks_of("lake"), scene="lake")[2])


@given(st.integers(0, 99), st.sampled_from([16, 20, 33]), st.integers(3, 6))
@settings(max_examples=15, deadline=None)
def test_every_block_is_tested_whole_in_one_fold_and_validates_in_another(seed, size, folds):
    of_fold = [masks(blocks_of(seed=seed, gap=8, size=size, folds=folds, fold=fold)) for fold in range(folds)]
    within = [validation_blocks(blocks_of(seed=seed, gap=8, size=size, folds=folds, fold=fold)) for fold in range(folds)]
    tested = np.stack([test for _, _, test in of_fold])
    assert (tested.sum(0) == 1).all() and (np.sum(within, 0) == 1).all()
    assert not any((validation & test).any() for validation, test in zip(within, tested, strict=True))
    rows, columns = (np.arange(side) // size for side in (HEIGHT, WIDTH))
    block = rows[:, None] * (columns[-1] + 1) + columns
    assert all(len({*block[mask]} & {*block[~mask]}) == 0 for mask in tested)


def test_a_scene_may_be_a_split_of_its_own_beside_blocks_that_are_dealt_to_the_others():
    scenes = {"pond": SCENE, "sea": SCENE | {"split": "test"}}
    data = data_of(scenes, split={"by": "block", "size": 32, "gap": 5, "parts": ["train", "validation"]})
    assert data.scenes_of("train") == data.scenes_of("validation") == ("pond",) and data.scenes_of("test") == ("sea",)
    train, validation, test = masks(data)
    assert train.any() and not test.any() and np.array_equal(validation, masks(blocks_of())[2])
    assert [mask.mean() for mask in masks(data, scene="sea")] == [0, 0, 1]


def test_a_scene_without_labels_beside_blocks_is_only_mapped():
    scenes = {"pond": SCENE, "sea": {"sensors": SCENE["sensors"]}}
    data = data_of(scenes, split={"by": "block", "size": 32, "gap": 5})
    assert data.scenes_of(*SPLITS) == ("pond",) and not np.any(masks(data, scene="sea"))


def test_scenes_of_one_block_are_dealt_to_all_splits():
    names = [f"pond{i}" for i in range(30)]
    data = data_of(dict.fromkeys(names, SCENE), split={"by": "block", "size": 32, "gap": 5})
    assert all(any(masks(data, 30, 30, name)[split].all() for name in names) for split in range(3))


@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_a_window_tells_what_the_whole_scene_tells(y, x, height, width):
    window = Window(y, x, min(height, HEIGHT - y), min(width, WIDTH - x))
    data = blocks_of()
    for split, mask in zip(SPLITS, masks(data), strict=True):
        assert np.array_equal(in_split(data, "pond", split, window, HEIGHT, WIDTH), mask[window.slices])


@pytest.mark.parametrize("split", [*SPLITS, None])
def test_by_scene_a_scene_is_of_its_split_alone(split):
    told = masks(data_of({"pond": SCENE | {"split": split}}))
    assert [mask.all() for mask in told] == [split == name for name in SPLITS] == [mask.any() for mask in told]


def test_fewer_labels_are_patches_of_more_and_only_training_has_fewer():
    whole = Window(0, 0, 600, 700)
    by_share = {}
    for share in (0.05, 0.2, 0.5, 1.0):
        data = data_of({"pond": SCENE | {"split": "train"}}, split={"labels": share})
        by_share[share] = labels_used(data, "pond", "train", whole, 600, 700)
        assert abs(by_share[share].mean() - share) < 0.1
        window = Window(100, 33, 50, 90)
        assert (labels_used(data, "pond", "train", window, 600, 700) == by_share[share][window.slices]).all()
    shares = sorted(by_share)
    assert all((by_share[few] <= by_share[more]).all() for few, more in zip(shares, shares[1:], strict=False))
    patches = by_share[0.5][: 9 * PATCH, : 10 * PATCH].reshape(9, PATCH, 10, PATCH)
    assert (patches.all((1, 3)) == patches.any((1, 3))).all()
    data = data_of({"pond": SCENE | {"split": "validation"}}, split={"labels": 0.05})
    assert labels_used(data, "pond", "validation", whole, 600, 700).all()
