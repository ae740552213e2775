"""Samples show what their split may see and nothing else, every pixel is scored once, and rare classes are met."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.raster.grid import Window, windows
from dis2.tiles.augment import Sample, padded
from dis2.tiles.dataset import CELL, Sampler, Scenes, batches, fresh, stacked
from dis2.tiles.split import in_split
from tests.made import data_of, store

SIDE = 96
RNG = np.random.default_rng
SCENE = {"sensors": {"thermal": "t", "lidar": "l"}, "labels": "y"}
ONLY_THERMAL = {"sensors": {"thermal": "t"}, "labels": "y"}


def images_of(height, width, seed=0, sensors=("thermal", "lidar")):
    rng = RNG(seed)
    made = {
        "thermal": rng.integers(1, 99, (2, height, width), dtype="uint16"),
        "lidar": rng.normal(size=(1, height, width)).astype("float32"),
    }
    return {sensor: made[sensor] for sensor in sensors}


def labels_of(height=SIDE, width=SIDE, seed=0):
    return RNG(seed).integers(0, 3, (height, width), dtype="uint8")


def same(first: Sample, second: Sample) -> bool:
    arrays = [[*it.images.values(), *it.valid.values(), it.labels] for it in (first, second)]
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


@pytest.mark.parametrize("cache", [0, 2**30], ids=["store", "memory"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_what_other_splits_hold_changes_no_sample(tmp_path, split, cache):
    data = data_of({"fen": SCENE}, split={"by": "block", "size": 24, "gap": 6})
    here = in_split(data, "fen", split, Window(0, 0, SIDE, SIDE), SIDE, SIDE)
    images, labels, seen = images_of(SIDE, SIDE), labels_of(), []
    for folder in ("clean", "poisoned"):
        store(tmp_path / folder, "fen", images, labels)
        scenes = Scenes(data, tmp_path / folder, split, cache)
        sampler = Sampler(scenes, 32, whole_only=True)
        seen.append([scenes.sample(*place) for place in scenes.fixed(32)] + [sampler.draw(RNG(i)) for i in range(20)])
        images = {
            sensor: np.where(here, bands, 9999 if bands.dtype.kind == "u" else np.nan).astype(bands.dtype)
            for sensor, bands in images.items()
        }
        labels = np.where(here, labels, (labels + 1) % 3).astype("uint8")
    assert 0 < here.sum() < SIDE**2 and len(seen[0]) == len(seen[1])
    assert all(same(*pair) for pair in zip(*seen, strict=True))


@pytest.mark.parametrize("cache", [0, 2**30], ids=["store", "memory"])
def test_a_sample_is_its_window_of_the_store(tmp_path, cache):
    images, there = images_of(SIDE, SIDE), RNG(3).random((SIDE, SIDE)) > 0.4
    store(tmp_path, "fen", images, labels_of(), valid={"lidar": there})
    sample = Scenes(data_of({"fen": SCENE | {"split": "train"}}), tmp_path, "train", cache).sample("fen", Window(7, 11, 20, 30))
    part = np.s_[7:27, 11:41]
    assert np.array_equal(sample.images["thermal"], images["thermal"][:, *part]) and sample.valid["thermal"].all()
    assert np.array_equal(sample.images["lidar"], np.where(there, images["lidar"], 0)[:, *part])
    assert np.array_equal(sample.valid["lidar"], there[part]) and np.array_equal(sample.labels, labels_of()[part])


def test_a_scene_that_lacks_a_sensor_stands_in_a_batch_with_one_that_has_it(tmp_path):
    store(tmp_path, "fen", images_of(32, 32), labels_of(32, 32))
    store(tmp_path, "bog", images_of(32, 32, sensors=("thermal",)), labels_of(32, 32))
    data = data_of({"fen": SCENE | {"split": "train"}, "bog": ONLY_THERMAL | {"split": "train"}})
    scenes = Scenes(data, tmp_path, "train")
    images, valid, labels = stacked([scenes.sample(name, Window(0, 0, 32, 32)) for name in ("fen", "bog")])
    assert images["lidar"].shape == (2, 1, 32, 32) and labels.shape == (2, 32, 32)
    assert valid["lidar"][0].all() and not valid["lidar"][1].any() and not images["lidar"][1].any() and valid["thermal"].all()
    assert {Sampler(scenes, 32, whole_only=False).draw(RNG(i)).scene for i in range(30)} == {"fen", "bog"}
    assert {Sampler(scenes, 32, whole_only=True).draw(RNG(i)).scene for i in range(30)} == {"fen"}


@given(st.integers(1, 70), st.integers(1, 70), st.integers(8, 40))
@settings(max_examples=30, deadline=None)
def test_every_pixel_is_fresh_once(height, width, size):
    seen, counted = np.zeros((height, width), bool), np.zeros((height, width), int)
    for window in windows(height, width, size):
        counted[window.slices] += fresh(window, seen)
    assert (counted == 1).all()


CHIPS = {"a": Window(0, 0, 40, 60), "b": Window(0, 60, 20, 25), "c": Window(40, 0, 33, 33)}


@pytest.fixture
def chips(tmp_path):
    """Chips of different sizes whose labels tell which chip it is; between them nothing is labelled."""
    labels = np.full((80, 120), IGNORE, "uint8")
    for index, window in enumerate(CHIPS.values()):
        labels[window.slices] = index
    store(tmp_path, "fen", images_of(80, 120), labels, chips=CHIPS, crs=None)
    made = dict.fromkeys(CHIPS, SCENE)
    return Scenes(data_of({"fen": {"split": "train", "chips": made}}), tmp_path, "train")


def test_tiles_never_cross_chips(chips):
    sampler = Sampler(chips, 32, whole_only=True)
    drawn = [sampler.draw(RNG(i)) for i in range(60)]
    for window, labels in [(s.window, s.labels) for s in drawn] + [(w, chips.sample(n, w).labels) for n, w in chips.fixed(32)]:
        assert len(set(labels[labels != IGNORE])) == 1
        assert any(c.y <= window.y and window.y + window.height <= c.y + c.height and c.x <= window.x for c in CHIPS.values())
    assert {int(s.labels[s.labels != IGNORE][0]) for s in drawn} == {0, 1, 2} and all(s.labels.shape == (32, 32) for s in drawn)


def test_fixed_windows_cover_every_labelled_pixel(chips):
    seen = np.zeros((80, 120), bool)
    for _, window in chips.fixed(32):
        seen[window.slices] = True
    assert seen.sum() == sum(chip.height * chip.width for chip in CHIPS.values())


def test_too_many_fixed_windows_are_thinned_evenly_and_always_alike(chips):
    every, few = chips.fixed(16), chips.fixed(16, at_most=5)
    assert len(few) == 5 == len(set(few)) and few == chips.fixed(16, at_most=5)
    assert few[0] == every[0] and few[-1] == every[-1] and set(few) <= set(every)


def test_neighbours_of_equal_shape_come_together(chips):
    listed = chips.fixed(32)
    groups = list(batches(listed, 2))
    assert [place for group in groups for place in group] == listed
    assert all(len(group) <= 2 and len({window[2:] for _, window in group}) == 1 for group in groups)


def test_a_padded_sample_ends_with_what_is_neither_valid_nor_labelled(chips):
    sample = padded(chips.sample("fen", CHIPS["b"]), 32)
    assert sample.images["thermal"].shape == (2, 32, 32)
    for name, mask in sample.valid.items():
        assert mask[:20, :25].all() and mask.sum() == 20 * 25 and not sample.images[name][:, 20:].any()
    assert (
        (sample.labels[:20, :25] == 1).all()
        and (sample.labels == 1).sum() == 20 * 25
        and set(sample.labels.ravel()) == {1, IGNORE}
    )


def test_tiles_of_more_or_less_ground_are_drawn_to_the_same_size(tmp_path):
    labels = np.kron(np.arange(4, dtype="uint8").reshape(2, 2) % 3, np.ones((SIDE // 2, SIDE // 2), "uint8"))
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels)
    scenes = Scenes(data_of({"fen": SCENE | {"split": "train"}}), tmp_path, "train")
    sampler = Sampler(scenes, 32, whole_only=True, zoom=2.0)
    places = [sampler.place(RNG(i)) for i in range(200)]
    sides = np.array([place.side for place in places])
    assert sides.min() < 18 and sides.max() > 60 and abs(np.median(sides) - 32) < 4
    assert all(place.window.height == min(place.side, SIDE) for place in places)
    assert {scenes.tile(place, 32).labels.shape for place in places} == {(32, 32)}


def test_unlabelled_tiles_are_drawn_where_every_sensor_measured_and_only_as_often_as_asked_for(tmp_path):
    labels, lidar = np.full((SIDE, SIDE), IGNORE, "uint8"), np.zeros((SIDE, SIDE), bool)
    labels[:CELL, :CELL], lidar[-48:, -48:] = 1, True
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels, valid={"lidar": lidar})
    scenes = Scenes(data_of({"fen": SCENE | {"split": "train"}}), tmp_path, "train")
    for share in (0.0, 0.4):
        sampler = Sampler(scenes, 16, whole_only=False, unlabelled=share)
        tiles = [sampler.draw(RNG(i)) for i in range(400)]
        unlabelled = [tile for tile in tiles if (tile.labels == IGNORE).all()]
        assert all(tile.valid["lidar"].any() for tile in unlabelled)
        assert abs(len(unlabelled) / 400 - share) < 0.08


def test_scenes_without_any_label_are_drawn_from_where_tiles_without_labels_are_asked_for(tmp_path):
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels_of())
    store(tmp_path, "bog", images_of(SIDE, SIDE), None)
    bare = {key: value for key, value in SCENE.items() if key != "labels"}
    data = data_of({"fen": SCENE | {"split": "train"}, "bog": bare | {"split": "train"}})
    scenes = Scenes(data, tmp_path, "train")
    for share in (0.0, 0.5):
        sampler = Sampler(scenes, 16, whole_only=False, unlabelled=share)
        drawn = [sampler.place(RNG(i)).scene for i in range(400)]
        assert abs(drawn.count("bog") / 400 - share / 2) < 0.08


def test_cells_that_may_be_drawn_are_the_same_in_memory_and_from_the_store_and_show_none_of_another_split(tmp_path):
    data = data_of({"fen": SCENE}, split={"by": "block", "size": 24, "gap": 6})
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels_of())
    kept, read = (Sampler(Scenes(data, tmp_path, "train", cache), 16, False, unlabelled=0.5) for cache in (2**30, 0))
    here = in_split(data, "fen", "train", Window(0, 0, SIDE, SIDE), SIDE, SIDE)
    assert len(kept.whole) > 3 and all(here[y : y + CELL, x : x + CELL].all() for _, _, y, x in read.whole)
    for name in ("places", "holds", "whole"):
        assert np.array_equal(getattr(kept, name), getattr(read, name)), name


@pytest.mark.parametrize("aligned", [False, True])
def test_a_tile_of_any_size_shows_the_cell_for_which_it_is_drawn(tmp_path, aligned):
    labels = np.full((SIDE, SIDE), IGNORE, "uint8")
    labels[3 * CELL : 4 * CELL, 2 * CELL : 3 * CELL] = 1
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels)
    scenes = Scenes(data_of({"fen": SCENE | {"split": "train"}}), tmp_path, "train")
    sampler = Sampler(scenes, 32, whole_only=True, aligned=aligned, zoom=4.0)
    assert all((scenes.labels("fen", sampler.place(RNG(i)).window) == 1).any() for i in range(300))


def test_half_of_the_tiles_are_drawn_for_a_class_so_that_rare_ones_are_met(tmp_path):
    labels = np.zeros((SIDE, SIDE), "uint8")
    labels[70, 20] = 2
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels)
    sampler = Sampler(Scenes(data_of({"fen": SCENE | {"split": "train"}}), tmp_path, "train"), 32, whole_only=True)
    assert list(sampler.classes) == [0, 2]
    met = np.mean([(sampler.draw(RNG(i)).labels == 2).any() for i in range(300)])
    assert met > 0.25  # a quarter for the class alone, some by chance
    assert np.mean([(sampler.draw(RNG(i)).labels != IGNORE).any() for i in range(50)]) == 1


def test_the_same_generator_draws_the_same_tiles(chips):
    sampler = Sampler(chips, 32, whole_only=True)
    first, again = RNG(5), RNG(5)
    assert all(same(sampler.draw(first), sampler.draw(again)) for _ in range(5))
    assert not all(same(sampler.draw(first), sampler.draw(RNG(6))) for _ in range(5))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": ["mud", "reed"]}, "classes mud, reed, sand are not the config's mud, reed; run tile again"),
        ({"sensors": {"thermal": {"bands": 3}, "lidar": {"bands": 1}}}, "thermal has 2 bands, the config says 3; run tile again"),
    ],
)
def test_a_store_of_another_config_is_one_line(tmp_path, changes, told):
    store(tmp_path, "fen", images_of(32, 32), labels_of(32, 32))
    with pytest.raises(UserError, match=told):
        Scenes(data_of({"fen": SCENE | {"split": "train"}}, **changes), tmp_path, "train")


@pytest.mark.parametrize("labelled", [True, False])
def test_a_split_that_cannot_be_used_is_one_line(tmp_path, labelled):
    store(tmp_path, "fen", images_of(32, 32, sensors=("thermal",)), labels_of(32, 32) if labelled else None)
    scenes = Scenes(data_of({"fen": ONLY_THERMAL | {"split": "train"}}), tmp_path, "train")
    with pytest.raises(UserError, match="no training scene has every sensor" if labelled else "no labelled training pixel"):
        Sampler(scenes, 32, whole_only=labelled)
    if not labelled:
        with pytest.raises(UserError, match="train: no labelled pixel in scenes fen"):
            scenes.fixed(32)
