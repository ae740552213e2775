"""No model is scored on what it has learnt from, however scenes are called to splits since."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.models.unseen import check_unseen, learnt_from
from dis2.tiles.manifest import digest_of
from dis2.tiles.store import store_path
from tests.training.tiny import SCENE_FILES, SCENES, data, scene, write

BLOCKS = {"by": "block", "size": 16, "gap": 0, "folds": 3}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unseen")
    for seed, name in enumerate(SCENES):
        write(folder, name, *scene(name, seed))
    return folder


def told(tiles, used):
    """What the card of a model of this data says."""
    known = {name: digest_of(store_path(tiles, name)) for name in (*used.scenes_of("train"), *used.scenes_of("validation"))}
    return SimpleNamespace(provenance={"data": known}, training=learnt_from(used))


def split_as(**splits):
    """The data with other splits for some scenes."""
    return data(scenes={name: one | {"split": splits.get(name, one["split"])} for name, one in SCENE_FILES.items()})


def dealt(**split):
    """The data with blocks of all scenes dealt to the splits."""
    return data(scenes={name: one | {"split": None} for name, one in SCENE_FILES.items()}, split=BLOCKS | split)


@pytest.mark.parametrize(
    ("splits", "split", "refused"),
    [
        ({}, "test", None),
        ({}, "validation", None),
        ({"ant": "test"}, "test", "ant is of the test split here, but the model has learnt from its pixels"),
        ({"cat": "test"}, "test", "cat is of the test split here"),
        ({"bee": "validation"}, "validation", "bee is of the validation split here"),
        ({"dog": "validation", "cat": "train"}, "validation", None),
    ],
)
def test_scenes_that_trained_it_are_not_scored_nor_tested_those_that_chose_its_weights(tiles, splits, split, refused):
    card = told(tiles, data())
    expected = f"model: {refused}.*; give the config that it was trained with, or train it again"
    with pytest.raises(UserError, match=expected) if refused else nullcontext():
        check_unseen("model", card, split_as(**splits), tiles, split)


@pytest.mark.parametrize(("change", "refused"), [({}, False), ({"labels": 0.5}, False), ({"fold": 1}, True), ({"gap": 4}, True)])
def test_blocks_are_scored_only_as_they_were_dealt(tiles, change, refused):
    card = told(tiles, dealt())
    for split in ("validation", "test"):
        if refused:
            with pytest.raises(UserError, match="data.split deals ant otherwise than for the model"):
                check_unseen("model", card, dealt(**change), tiles, split)
        else:
            check_unseen("model", card, dealt(**change), tiles, split)


def test_a_scene_whose_blocks_trained_it_is_not_scored_as_a_whole(tiles):
    with pytest.raises(UserError, match="dog is of the test split here"):
        check_unseen("model", told(tiles, dealt()), data(), tiles, "test")


def test_other_pixels_of_that_name_are_scored_and_older_cards_are_believed(tiles, tmp_path):
    images, valid, labels = scene("ant", 9)
    write(tmp_path, "ant", images, valid, np.zeros_like(labels))
    check_unseen("model", told(tiles, data()), split_as(ant="test", dog="train"), tmp_path, "test")
    card = told(tiles, data())
    card.training.clear()
    check_unseen("model", card, split_as(ant="test"), tiles, "test")
