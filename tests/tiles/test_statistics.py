"""Statistics are those of all training pixels at once, and of no others."""

import json

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.raster import moments as module
from dis2.raster.relief import relief
from dis2.tiles.split import in_split
from dis2.tiles.statistics import _windows, read_statistics, statistics
from dis2.tiles.store import open_store
from tests.made import CLASSES, SENSORS, data_of, store

SIDE = 80


def written(tiles, name, seed, sensors=("thermal", "lidar"), holes=True):
    """A store of noise with holes; what it holds."""
    rng = np.random.default_rng(seed)
    images = {
        "thermal": rng.integers(0, 4000, (2, SIDE, SIDE)).astype("uint16"),
        "lidar": rng.normal(80, 9, (1, SIDE, SIDE)).astype("float32"),
    }
    images = {sensor: images[sensor] for sensor in sensors}
    valid = {sensor: rng.random((SIDE, SIDE)) > 0.2 * holes for sensor in images}
    labels = rng.choice(np.uint8([0, 1, 2, 255]), (SIDE, SIDE))
    store(tiles, name, images, labels, valid=valid)
    return images, valid, labels


def scenes(**splits):
    return {name: {"split": split, "sensors": {"thermal": "t", "lidar": "l"}, "labels": "y"} for name, split in splits.items()}


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "SIDE", 32)


def told(data, tiles):
    statistics(data, tiles, tiles / "s.json")
    return read_statistics(tiles / "s.json")


def test_only_valid_training_pixels_of_all_scenes_count(tmp_path, small_parts):
    first, second = written(tmp_path, "a", 1), written(tmp_path, "b", 2, sensors=("thermal",))
    found = told(data_of(scenes(a="train", b="train", c="test")), tmp_path)
    wanted = np.concatenate([images["thermal"][:, valid["thermal"]] for images, valid, _ in (first, second)], 1)
    assert (
        found["sensors"]["thermal"]["mean"] == pytest.approx(wanted.mean(1))
        and found["sensors"]["thermal"]["pixels"] == wanted.shape[1]
    )
    assert found["sensors"]["thermal"]["std"] == pytest.approx(wanted.std(1))
    assert found["sensors"]["lidar"]["mean"] == pytest.approx([first[0]["lidar"][0][first[1]["lidar"]].mean()])
    labels = np.concatenate([it[2][valid_anywhere(it[1])] for it in (first, second)])
    assert found["classes"] == {name: int((labels == index).sum()) for index, name in enumerate(CLASSES)}
    assert set(found["stores"]) == {"a", "b"} and found["resolution"] == 1


def valid_anywhere(valid):
    """Where any sensor of a scene measured."""
    return np.any(list(valid.values()), 0)


def test_windows_are_smaller_the_more_bands_there_are_and_change_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    images = {"thermal": rng.integers(0, 4000, (2, 300, 300)).astype("uint16"), "lidar": rng.normal(size=(1, 300, 300))}
    store(tmp_path, "a", images, rng.integers(0, 3, (300, 300)).astype("uint8"))
    there = open_store(tmp_path / "a.zarr")
    monkeypatch.setattr(module, "SIDE", 1024)
    whole, sides = told(data_of(scenes(a="train")), tmp_path), [window.height for window in _windows(there)]
    monkeypatch.setattr(module, "BYTES", 400 * 400 * 8)
    parts, smaller = told(data_of(scenes(a="train")), tmp_path), [window.height for window in _windows(there)]
    assert sides == [300] and smaller == [256, 256, 44, 44]
    for sensor in images:
        for what in ("mean", "std", "low", "high"):
            assert parts["sensors"][sensor][what] == pytest.approx(whole["sensors"][sensor][what], rel=1e-12, abs=1e-12)


def test_by_block_only_training_blocks_count(tmp_path, small_parts):
    images, valid, labels = written(tmp_path, "a", 1)
    scene = {"sensors": {"thermal": "t", "lidar": "l"}, "labels": "y"}
    data = data_of({"a": scene}, split={"by": "block", "size": 16, "gap": 4})
    here = in_split(data, "a", "train", open_store(tmp_path / "a.zarr").chips[""], SIDE, SIDE)
    found = told(data, tmp_path)
    assert 0 < here.sum() < SIDE**2 and found["sensors"]["thermal"]["pixels"] == (valid["thermal"] & here).sum()
    assert found["sensors"]["lidar"]["mean"] == pytest.approx([images["lidar"][0][valid["lidar"] & here].mean()])
    assert sum(found["classes"].values()) == (labels[here & valid_anywhere(valid)] != 255).sum()


def test_a_sensor_with_relief_is_measured_as_the_network_sees_it(tmp_path):
    images, valid, _ = written(tmp_path, "a", 1)
    sensors = SENSORS | {"lidar": {"bands": 1, "relief": 5}}
    found = told(data_of(scenes(a="train"), sensors), tmp_path)["sensors"]["lidar"]
    wanted = relief(images["lidar"], valid["lidar"], 5)[0][valid["lidar"]]
    assert (
        found["relief"] == [5]
        and found["mean"] == pytest.approx([wanted.mean()], abs=1e-4)
        and found["std"] == pytest.approx([wanted.std()], rel=1e-4)
    )


def test_a_band_without_any_spread_is_not_divided_by_zero(tmp_path):
    images = {"thermal": np.full((2, 8, 8), 7, "uint8"), "lidar": np.zeros((1, 8, 8), "float32")}
    store(tmp_path, "a", images, np.zeros((8, 8), "uint8"))
    assert told(data_of(scenes(a="train")), tmp_path)["sensors"]["thermal"]["std"] == [1, 1]


@pytest.mark.parametrize("lacking", ["lidar", "labels"])
def test_training_pixels_that_lack_something_are_one_line(tmp_path, lacking):
    images = {"thermal": np.zeros((2, 8, 8), "uint8"), "lidar": np.zeros((1, 8, 8), "float32")}
    valid = {"lidar": np.full((8, 8), lacking != "lidar")}
    store(tmp_path, "a", images, np.full((8, 8), 255 if lacking == "labels" else 0, "uint8"), valid=valid)
    with pytest.raises(UserError, match="no valid training pixel of lidar|no labelled training pixel") as caught:
        told(data_of(scenes(a="train")), tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "s.json").exists()


def test_a_sensor_that_left_the_config_does_not_matter(tmp_path):
    written(tmp_path, "a", 1)
    data = data_of(
        {"a": {"split": "train", "sensors": {"thermal": "t"}, "labels": "y"}}, {"thermal": {"bands": 2}, "radar": {"bands": 1}}
    )
    with pytest.raises(UserError, match="no valid training pixel of radar"):
        told(data, tmp_path)


def test_the_same_pixels_give_the_same_file(tmp_path, small_parts):
    for folder in ("x", "y"):
        written(tmp_path / folder, "a", 1)
        told(data_of(scenes(a="train")), tmp_path / folder)
    assert json.loads((tmp_path / "x" / "s.json").read_text()) == json.loads((tmp_path / "y" / "s.json").read_text())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a": 1}, "s.json: no statistics of training pixels; give the file that `dis2 statistics` wrote"),
        ([1], "s.json: no statistics of training pixels"),
        ({"sensors": {"eye": 4}, "classes": ["a"]}, "s.json: no statistics of training pixels"),
        ({"sensors": {"eye": {"mean": [1]}}}, "s.json: no statistics of training pixels"),
        ({"sensors": {}, "classes": {}, "split": {}}, "s.json: resolution: missing; run `dis2 statistics` again"),
    ],
)
def test_another_file_is_one_line(tmp_path, found, said):
    (tmp_path / "s.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=said):
        read_statistics(tmp_path / "s.json")
