"""Tiles read ahead are those that were decided on, in order and bit for bit, whoever reads them and wherever from."""

import os
import pickle
import signal
from multiprocessing import active_children

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.raster.grid import Window
from dis2.tiles import dataset as module
from dis2.tiles.augment import Draw
from dis2.tiles.dataset import Sampler, Scenes
from dis2.tiles.loader import reading
from tests.made import data_of, store
from tests.tiles.test_dataset import ONLY_THERMAL, RNG, SCENE, images_of, labels_of, same

SIDE = 300
"""More than one chunk."""


@pytest.fixture
def data(tmp_path):
    """Two training scenes, one of which lacks a sensor."""
    store(tmp_path, "fen", images_of(SIDE, SIDE), labels_of(SIDE, SIDE), valid={"lidar": RNG(3).random((SIDE, SIDE)) > 0.4})
    store(tmp_path, "bog", images_of(90, 60, 1, ("thermal",)), labels_of(90, 60))
    return data_of({"fen": SCENE | {"split": "train"}, "bog": ONLY_THERMAL | {"split": "train"}})


def scenes_of(data, folder, cache="none"):
    return Scenes(data, folder, "train", 0 if cache == "none" else 2**30, folder / "cache" if cache == "disk" else None)


def groups(scenes, count=4, aligned=False):
    sampler = Sampler(scenes, 64, whole_only=False, aligned=aligned)
    return [[sampler.place(RNG([index, draw])) for draw in range(3)] for index in range(count)]


@pytest.mark.parametrize(
    ("cache", "workers"), [("none", 0), ("none", 1), ("none", 2), ("memory", 0), ("memory", 2), ("disk", 0), ("disk", 1)]
)
def test_any_number_of_workers_and_any_cache_give_the_same_tiles(data, tmp_path, cache, workers):
    plain, scenes = scenes_of(data, tmp_path), scenes_of(data, tmp_path, cache)
    wanted = groups(plain)
    with reading(scenes, iter(wanted), 64, workers) as tiles:
        found = list(tiles)
    assert len(found) == len(wanted) and {draw.scene for group in wanted for draw in group} == {"fen", "bog"}
    for group, samples in zip(wanted, found, strict=True):
        assert all(same(plain.tile(draw, 64), sample) for draw, sample in zip(group, samples, strict=True))
        assert all(
            (sample.scene, sample.window) == (draw.scene, draw.window) for draw, sample in zip(group, samples, strict=True)
        )


@pytest.mark.parametrize("workers", [0, 1])
def test_sequential_windows_are_read_as_they_are(data, tmp_path, workers):
    scenes = scenes_of(data, tmp_path)
    places = scenes.fixed(128)
    with reading(scenes, [[Draw(*place)] for place in places], workers=workers) as tiles:
        for (scene, window), (sample,) in zip(places, tiles, strict=True):
            assert same(sample, scenes.sample(scene, window)) and sample.labels.shape == window[2:]


def test_a_generator_of_groups_is_not_run_far_ahead(data, tmp_path):
    scenes, asked = scenes_of(data, tmp_path), []
    with reading(scenes, (asked.append(1) or group for group in groups(scenes, 20)), 64) as tiles:
        next(tiles)
        assert len(asked) <= 2


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_is_the_same_line_whoever_meets_it(data, tmp_path, workers):
    scenes = scenes_of(data, tmp_path)
    file = tmp_path / "fen.zarr/thermal/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    told = f"{tmp_path}/fen.zarr: thermal/c/0/0/0 cannot be read (its checksum does not fit); the store is damaged: "
    whole = Draw("fen", Window(0, 0, SIDE, SIDE))
    with pytest.raises(UserError) as caught, reading(scenes, [[whole]], workers=workers) as tiles:
        next(tiles)
    assert str(caught.value) == told + "delete it and run tile again"


def test_a_worker_that_is_killed_is_one_line(data, tmp_path):
    scenes = scenes_of(data, tmp_path)
    line = "was killed.*; lower training.workers and run again"
    with pytest.raises(UserError, match=line), reading(scenes, iter(groups(scenes) * 50), 64, workers=1) as tiles:
        next(tiles)
        os.kill(active_children()[0].pid, signal.SIGKILL)
        list(tiles)


def test_scenes_are_told_to_a_process_in_few_words(data, tmp_path):
    for cache in ("none", "memory", "disk"):
        scenes = scenes_of(data, tmp_path, cache)
        assert len(pickle.dumps(scenes)) < 5000
        there = pickle.loads(pickle.dumps(scenes))
        assert same(there.sample("fen", Window(5, 7, 50, 60)), scenes.sample("fen", Window(5, 7, 50, 60)))
        assert not there.in_memory and bool(there.cache) == (cache == "disk")


@pytest.mark.parametrize(("size", "step"), [(128, 128), (64, 64), (96, 32), (192, 128)])
def test_aligned_tiles_hold_their_cell_and_begin_on_the_lattice_or_at_a_border(tmp_path, size, step):
    chips = {"a": Window(0, 0, 500, 300), "b": Window(0, 300, 400, 333)}
    labels = np.full((500, 633), 255, "uint8")
    rng = RNG(0)
    for y, x in rng.integers(0, 400, (40, 2)):
        labels[y, x] = 1
    store(tmp_path, "fen", images_of(500, 633), labels, chips=chips, crs=None)
    data = data_of({"fen": {"split": "train", "chips": dict.fromkeys(chips, SCENE)}})
    sampler = Sampler(scenes_of(data, tmp_path), size, whole_only=True, aligned=True)
    starts = set()
    for index in range(200):
        draw = sampler.place(RNG(index))
        chip = next(chip for chip in chips.values() if chip.x <= draw.window.x < chip.x + chip.width)
        for at, begin, length in ((draw.window.y, chip.y, chip.height), (draw.window.x, chip.x, chip.width)):
            assert at % step == 0 or at in (begin, begin + length - size)
        assert chip.x <= draw.window.x <= chip.x + chip.width - size
        assert (labels[draw.window.slices] != 255).any()
        starts.add(draw.window[:2])
    assert len(starts) > 4


def test_a_cache_on_disk_is_used_again_and_not_for_other_pixels(data, tmp_path, monkeypatch):
    scenes_of(data, tmp_path, "disk")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(kept) == 2 and not any(name.endswith("part") for name in kept)
    with monkeypatch.context() as patch:
        patch.setattr(module.Scenes, "_read", None)
        scenes_of(data, tmp_path, "disk")
    store(tmp_path, "fen", images_of(SIDE, SIDE, seed=9), labels_of(SIDE, SIDE))
    again = scenes_of(data, tmp_path, "disk")
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(now) == 2 and len(set(now.items()) & set(kept.items())) == 1
    assert np.array_equal(
        again.sample("fen", Window(0, 0, 9, 9)).images["thermal"], images_of(SIDE, SIDE, 9)["thermal"][:, :9, :9]
    )


def test_what_does_not_fit_the_cache_is_read_from_the_store(data, tmp_path):
    size = SIDE**2 * (2 * 2 + 1 + 4 + 1 + 1) + 90 * 60 * (2 * 2 + 1 + 1)
    assert not Scenes(data, tmp_path, "train", size - 1).cache and Scenes(data, tmp_path, "train", size).in_memory


def test_a_cache_that_finds_no_room_is_one_line_and_leaves_nothing(data, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(UserError, match="fen@train@.*: cannot be written") as caught:
        scenes_of(data, tmp_path, "disk")
    assert "\n" not in str(caught.value)
