"""A table beside the rasters: which chips are of one scene, and in which split each is."""

import numpy as np
import pytest
import yaml

from dis2.config.run import read_run
from dis2.models.registry import METHODS
from dis2.proposal.grouping import sorted_out
from dis2.proposal.propose import propose
from dis2.proposal.splits import splits_of
from dis2.proposal.table import with_table
from dis2.raster.survey import survey
from tests.made import raster
from tests.proposal.made import image, land

NAMES = [f"{number:03}" for number in range(12)]
SCENES = {name: f"place {'abcdef'[number // 2]}" for number, name in enumerate(NAMES)}
SPLITS = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "Test", "f": "train"}


@pytest.fixture
def folder(tmp_path):
    """Twelve chips of two sensors without georeferencing, their names alone telling no scene."""
    found = tmp_path / "in"
    for name in NAMES:
        for kind, values in (("radar", image(2)), ("eye", image(3)), ("labels", land(np.random.default_rng(0)))):
            raster(found / kind / f"{name}.tif", values, None, crs=None)
    return found


def write(folder, header, row, names=NAMES, file="tiles.csv"):
    (folder / file).write_text("\n".join([header, *(row(name) for name in names)]) + "\n")


def told_of(folder):
    found = with_table(sorted_out(*survey(folder), folder), folder)
    return found, *splits_of(found)


def test_the_config_has_the_scenes_and_splits_of_the_table(folder, tmp_path, capsys):
    write(folder, "tile, scene, split", lambda name: f"{name}.tif, {SCENES[name]}, {SPLITS[SCENES[name][-1]]}")
    propose(folder, tmp_path / "mine.yaml", None)
    assert "0 files not used\nsplits: split as tiles.csv tells\n" in capsys.readouterr().out
    scenes = yaml.safe_load((tmp_path / "mine.yaml").read_text())["data"]["scenes"]
    assert {name: one["split"] for name, one in scenes.items()} == {
        f"place_{letter}": {"val": "validation", "Test": "test"}.get(split, split) for letter, split in SPLITS.items()
    }
    assert list(scenes["place_d"]["chips"]) == ["6", "7"]
    run = read_run([tmp_path / "mine.yaml"], METHODS)
    assert run.data.scenes_of("test") == ("place_e",)


def test_scenes_alone_are_split_whole(folder):
    write(folder, "chip,event_id", lambda name: f"{name},{SCENES[name]}")
    found, splits, why = told_of(folder)
    assert why == "split by scene, which tiles.csv tells" and "tiles.csv" not in found.unused
    assert splits == {str(i): {4: "validation", 5: "test"}.get(i // 2, "train") for i in range(12)}


def test_a_table_without_validation_has_whole_scenes_of_training_for_it(folder):
    write(folder, "chip,scene,set", lambda name: f"{name},{SCENES[name]},{'test' if SCENES[name][-1] == 'a' else 'train'}")
    _, splits, why = told_of(folder)
    assert why == "split as tiles.csv tells, and part of training validates"
    assert [name for name, split in splits.items() if split == "validation"] == ["10", "11"]


def test_splits_alone_are_followed(folder):
    parts = dict(zip(NAMES, ["train"] * 8 + ["valid"] * 2 + ["testing"] * 2, strict=True))
    write(folder, "name;x", lambda name: f"{name};1", file="a.csv")
    write(folder, "scene,split", lambda name: f"{name},{parts[name]}")
    found, splits, why = told_of(folder)
    assert why == "split as tiles.csv tells" and list(found.unused) == ["a.csv"] and not found.scenes
    assert list(splits.values()) == ["train"] * 8 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("chip,scene,split", lambda name: f"{name},{SCENES[name]},train", NAMES[:-1]),
        ("chip,scene,split", lambda name: f"{name},{SCENES[name]},train", [*NAMES, NAMES[0]]),
        ("chip,split", lambda name: f"{name},{'train' if name < '006' else 'who knows'}", NAMES),
        ("chip,scene", lambda name: f"{name},{'a' if name < '006' else ''}", NAMES),
        ("chip,scene", lambda name: f"{name},all", NAMES),
        ("", lambda name: "", NAMES),
    ],
)
def test_a_table_that_does_not_tell_of_every_chip_once_is_not_used(folder, header, row, names):
    write(folder, header, row, names)
    found, _, why = told_of(folder)
    assert "a table: if it says which chips" in found.unused["tiles.csv"] and "tiles.csv" not in why


def test_what_is_no_table_is_not_used(folder):
    (folder / "tiles.csv").write_bytes(b"\xff\xfe\x00chip")
    assert "tiles.csv" in told_of(folder)[0].unused


def test_a_scene_in_two_splits_is_told_and_the_table_not_followed(folder):
    write(folder, "chip,scene,split", lambda name: f"{name},{SCENES[name]},{'train' if name < '003' else 'test'}")
    found, _, why = told_of(folder)
    assert found.unused["tiles.csv"].startswith("scene place_b is in several splits by it") and "tiles.csv" not in why


def test_names_that_part_scenes_are_not_followed(tmp_path):
    for name in NAMES:
        part = "test" if name in ("001", "011") else "train"
        for kind, values in (("radar", image(2)), ("eye", image(3)), ("labels", land(np.random.default_rng(0)))):
            raster(tmp_path / part / kind / f"{name}.tif", values, None, crs=None)
    write(tmp_path, "chip,scene", lambda name: f"{'test' if name in ('001', '011') else 'train'}_{name},{SCENES[name]}")
    found, splits, why = told_of(tmp_path)
    assert found.scenes and "chips of scene place_a are in several" in why
    assert sorted(name for name, split in splits.items() if split == "test") == ["test_1", "test_11", "train_0", "train_10"]
