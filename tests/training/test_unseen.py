"""No model is scored on what it has learnt from, however scenes are called to splits since."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.training.unseen import check_unseen, learnt_from
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
    return SimpleNamespace(training={"learnt_from": learnt_from(used, tiles)})


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
        ({"ant": "test"}, "test", "pixels of ant are of the test split here, but trained it"),
        ({"cat": "test"}, "test", "pixels of cat are of the test split here, but chose its weights"),
        ({"bee": "validation"}, "validation", "pixels of bee are of the validation split here, but trained it"),
        ({"dog": "validation", "cat": "train"}, "validation", None),
    ],
)
def test_scenes_that_trained_it_are_not_scored_nor_tested_those_that_chose_its_weights(tiles, splits, split, refused):
    card = told(tiles, data())
    expected = f"^model: {refused}; score it on others$"
    with pytest.raises(UserError, match=expected) if refused else nullcontext():
        check_unseen("model", card, split_as(**splits), tiles, split)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"labels": 0.5}, False),
        ({"parts": ["test", "validation", "train"]}, False),
        ({"fold": 1}, True),
        ({"gap": 4}, True),
    ],
)
def test_blocks_are_scored_only_as_they_were_dealt(tiles, change, refused):
    card = told(tiles, dealt())
    for split in ("validation", "test"):
        if refused:
            with pytest.raises(UserError, match=f"pixels of ant are of the {split} split here, but some of them trained it"):
                check_unseen("model", card, dealt(**change), tiles, split)
        else:
            check_unseen("model", card, dealt(**change), tiles, split)


def test_a_scene_whose_blocks_trained_it_is_not_scored_as_a_whole(tiles):
    with pytest.raises(UserError, match="pixels of dog are of the test split here, but some of them trained it"):
        check_unseen("model", told(tiles, dealt()), data(), tiles, "test")


def test_what_its_origin_had_learnt_from_stays_known_as_it_was_then(tiles, tmp_path):
    """However the scenes of that time are called now, and though others are called as they were."""
    origin = told(tiles, dealt())
    images, valid, labels = scene("ant", 9)
    write(tmp_path, "ant", images, valid, np.zeros_like(labels))
    write(tmp_path, "cat", *scene("cat", 11))
    later = data(scenes={name: SCENE_FILES[name] for name in ("ant", "cat")})
    model = SimpleNamespace(training={"learnt_from": learnt_from(later, tmp_path, origin)})
    check_unseen("model", model, dealt(), tiles, "test")  # the blocks that tested its origin
    check_unseen("model", model, split_as(ant="validation", cat="train"), tmp_path, "test")
    with pytest.raises(UserError, match="pixels of ant are of the validation split here, but trained it"):
        check_unseen("model", model, split_as(ant="validation", cat="train"), tmp_path, "validation")
    with pytest.raises(UserError, match="pixels of dog are of the test split here, but some of them trained it"):
        check_unseen("model", model, data(), tiles, "test")
    with pytest.raises(UserError, match="pixels of ant are of the test split here, but some of them trained it"):
        check_unseen("model", model, dealt(fold=1), tiles, "test")


def test_other_pixels_of_that_name_are_scored_and_older_cards_are_believed(tiles, tmp_path):
    images, valid, labels = scene("ant", 9)
    write(tmp_path, "ant", images, valid, np.zeros_like(labels))
    check_unseen("model", told(tiles, data()), split_as(ant="test", dog="train"), tmp_path, "test")
    card = told(tiles, data())
    card.training.clear()
    check_unseen("model", card, split_as(ant="test"), tiles, "test")
