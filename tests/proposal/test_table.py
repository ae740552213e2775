"""A table beside the rasters: which chips are of one scene, and in which split each is."""

import numpy as np
import pytest
import yaml
from affine import Affine

from dis2.config.run import read_run
from dis2.models.registry import METHODS
from dis2.proposal import table
from dis2.proposal.grouping import sorted_out
from dis2.proposal.propose import propose
from dis2.proposal.splits import splits_of
from dis2.proposal.table import in_several, with_table
from dis2.proposal.words import plain
from dis2.raster.survey import survey
from tests.made import PLACE, UTM, raster
from tests.proposal.made import image, land

NAMES = [f"{number:03}" for number in range(12)]
SCENES = {name: f"place {'abcdef'[number // 2]}" for number, name in enumerate(NAMES)}
SPLITS = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "Test", "f": "train"}


def chips(folder, called, at=None, crs=None):
    """Two sensors and labels of twelve chips."""
    for name in NAMES:
        for kind, values in (("radar", image(2)), ("eye", image(3)), ("labels", land(np.random.default_rng(0)))):
            raster(folder / called(name, kind), values, at and at(name), crs=crs)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Chips without georeferencing, their names alone telling no scene."""
    return chips(tmp_path / "in", lambda name, kind: f"{kind}/{name}.tif")


def write(folder, header, row, names=NAMES, file="tiles.csv"):
    (folder / file).write_text("\n".join([header, *(row(name) for name in names)]) + "\n")


def told_of(folder):
    found = with_table(sorted_out(*survey(folder), folder), folder)
    return found, *splits_of(found)


def test_the_config_has_the_scenes_and_splits_of_the_table(folder, tmp_path, capsys):
    write(folder, "tile, scene, split", lambda name: f"{name}.tif, {SCENES[name]}, {SPLITS[SCENES[name][-1]]}")
    propose(folder, tmp_path / "mine.yaml", None)
    assert "0 files not used\nsplits: split as in tiles.csv\n" in capsys.readouterr().out
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
    assert why == "split by scene, as in tiles.csv" and "tiles.csv" not in found.unused
    assert splits == {str(i): {4: "validation", 5: "test"}.get(i // 2, "train") for i in range(12)}


def test_a_table_without_validation_has_whole_scenes_of_training_for_it(folder):
    write(folder, "chip,scene,set", lambda name: f"{name},{SCENES[name]},{'test' if SCENES[name][-1] == 'a' else 'train'}")
    _, splits, why = told_of(folder)
    assert why == "split as in tiles.csv, and part of training validates"
    assert [name for name, split in splits.items() if split == "validation"] == ["10", "11"]


def test_splits_alone_are_followed(folder):
    parts = dict(zip(NAMES, ["train"] * 8 + ["valid"] * 2 + ["testing"] * 2, strict=True))
    write(folder, "name;x", lambda name: f"{name};1", file="a.csv")
    write(folder, "scene,split", lambda name: f"{name},{parts[name]}")
    found, splits, why = told_of(folder)
    assert why == "split as in tiles.csv" and list(found.unused) == ["a.csv"] and not found.scenes
    assert list(splits.values()) == ["train"] * 8 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize("cell", ["in/{}", r"C:\in\{}.tif", "radar/{}.tif", "{}.tif", "{}"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_chips_are_known_by_their_files_and_not_by_the_numbers_of_rows(folder, cell, mark):
    lines = [(str(i), cell.format(name), SCENES[name]) for i, name in enumerate(reversed(NAMES))]
    (folder / "TILES.CSV").write_text("\n".join(map(mark.join, [("", "path", "scene"), *lines])) + "\n", encoding="utf-8-sig")
    assert told_of(folder)[0].scenes == {str(int(name)): plain(scene) for name, scene in SCENES.items()}


def test_files_of_which_all_are_called_alike_are_known_by_their_names(tmp_path):
    chips(tmp_path, lambda name, kind: f"{kind}/tile_{name}.tif")
    write(tmp_path, "n,tile,scene", lambda name: f"{11 - int(name)},tile_{name},{SCENES[name]}")
    assert told_of(tmp_path)[0].scenes == {str(int(name)): plain(scene) for name, scene in SCENES.items()}


def test_numbers_that_two_columns_give_chips_otherwise_name_none(folder):
    write(folder, "a,b,scene", lambda name: f"{int(name)},{11 - int(name)},{SCENES[name]}")
    assert "tiles.csv" in told_of(folder)[0].unused
    write(folder, "a,chip,scene", lambda name: f"{11 - int(name)},{int(name)},{SCENES[name]}")
    assert told_of(folder)[0].scenes["0"] == "place_a"


def test_rows_of_one_chip_that_agree_tell_as_one(folder):
    write(folder, "chip,scene,file", lambda name: f"{name},{SCENES[name]},x", [*NAMES, *NAMES])
    assert told_of(folder)[0].scenes["3"] == "place_b"
    write(folder, "chip,scene", lambda name: f"{name},{SCENES[name]}", NAMES)
    with (folder / "tiles.csv").open("a") as file:
        file.write("003,elsewhere\n")
    assert not told_of(folder)[0].scenes


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("chip,scene,split", lambda name: f"{name},{SCENES[name]},train", NAMES[:-1]),
        ("chip,split", lambda name: f"{name},{'train' if name < '006' else 'who knows'}", NAMES),
        ("chip,split", lambda name: f"{name},train", NAMES),
        ("chip,scene", lambda name: f"{name},{'a' if name < '006' else ''}", NAMES),
        ("chip,scene", lambda name: f"{name},all", NAMES),
        ("chip,scene", lambda name: f"{name},{'east' if name < '006' else 'west'}", NAMES),
        ("chip,scene", lambda name: f"{name},scene {name}", NAMES),
        ("", lambda name: "", NAMES),
    ],
)
def test_a_table_that_tells_nothing_of_some_chips_or_parts_nothing_is_not_used(folder, header, row, names):
    write(folder, header, row, names)
    found, _, why = told_of(folder)
    assert "a table: if it says which chips" in found.unused["tiles.csv"] and why.startswith("split by their order")


def test_what_is_no_table_or_is_far_too_long_is_not_used(folder, monkeypatch):
    (folder / "tiles.csv").write_bytes(b"\xff\xfe\x00chip")
    assert "tiles.csv" in told_of(folder)[0].unused
    write(folder, "chip,scene", lambda name: f"{name},{SCENES[name]}")
    monkeypatch.setattr(table, "ROWS", 11)
    monkeypatch.setattr(table, "TIMES", 0)
    assert "tiles.csv" in told_of(folder)[0].unused


def test_splits_that_part_scenes_are_left_for_whole_scenes_and_that_is_told(folder):
    write(folder, "chip,scene,split", lambda name: f"{name},{SCENES[name]},{'train' if name < '003' else 'test'}")
    found, splits, why = told_of(folder)
    assert why == "split by scene, as in tiles.csv; its splits part scene place_b, so they are not followed"
    assert set(splits.values()) == {"train", "validation", "test"} and in_several(found.scenes, splits) is None


def test_of_several_columns_those_are_taken_that_fit_together(folder):
    parts = {name: {"d": "val", "e": "test"}.get(SCENES[name][-1], "train") for name in NAMES}
    write(folder, "chip,source,region,site,split", lambda name: f"{name},train,{int(name) % 3},{SCENES[name]},{parts[name]}")
    write(folder, "chip,region", lambda name: f"{name},{int(name) % 3}", file="a.csv")
    found, _, why = told_of(folder)
    assert why == "split as in tiles.csv" and list(found.unused) == ["a.csv"]
    assert found.scenes["11"] == "place_f" and found.splits["9"] == "test"


def test_a_column_of_one_split_leaves_what_folders_tell(tmp_path):
    chips(tmp_path, lambda name, kind: f"{'test' if name > '008' else 'train'}/{kind}/{name}.tif")
    write(tmp_path, "chip,origin", lambda name: f"{name},training")
    _, splits, why = told_of(tmp_path)
    assert why == "split as names tell, and part of training validates" and splits["test_9"] == "test"


def test_scenes_in_another_script_are_numbered(folder):
    write(folder, "chip,scene", lambda name: f"{name},{['京都府', '大阪府', '奈良県'][int(name) % 3]}")
    found, splits, _ = told_of(folder)
    assert found.scenes["4"] == "scene_1" and splits["4"] == splits["1"] != splits["2"]


def test_chips_without_labels_are_scenes_to_be_mapped(folder, tmp_path):
    for name in NAMES[:2]:
        (folder / f"labels/{name}.tif").unlink()
    (folder / "labels/011.tif").unlink()
    write(folder, "chip,scene", lambda name: f"{name},{'1' if name in ('002', '004') else SCENES[name] if name != '011' else ''}")
    propose(folder, tmp_path / "mine.yaml", None)
    said = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    alone = {name: one for name, one in said["data"]["scenes"].items() if "chips" not in one}
    assert list(alone) == ["0", "1_unlabelled", "11"] == list(said["report"]["scenes"])
    assert "labels" not in alone["0"] and "split" not in alone["0"]
    read_run([tmp_path / "mine.yaml"], METHODS)


def test_the_name_of_a_table_is_told_in_one_line(folder, tmp_path):
    write(folder, "chip,scene", lambda name: f"{name},{SCENES[name]}", file="a\nb: [.csv")
    propose(folder, tmp_path / "mine.yaml", None)
    read_run([tmp_path / "mine.yaml"], METHODS)


@pytest.mark.parametrize(
    ("file", "header", "row"),
    [
        ("{}.txt", "", lambda name: f"{name}.tif"),
        ("splits/{}_ids.txt", "", lambda name: name),
        ("{}.csv", "tile,event", lambda name: f"{name},{SCENES[name]}"),
        ("{}_chips.txt", "", lambda name: str(int(name))),
    ],
)
def test_a_table_or_list_for_each_split_tells_as_one(folder, file, header, row):
    (folder / "splits").mkdir()
    (folder / "a").mkdir()
    write(folder, "chip,day", lambda name: f"{name},{int(name) % 2}", file="other.csv")
    write(folder, "epoch,loss", lambda name: f"e{name},.5", file="a/train_log.csv")
    write(folder, "class,iou", lambda name: f"class {name},.5", file="test.csv" if "csv" not in file else "a/test.csv")
    for split, letters in {"train": "abcf", "val": "d", "test": "e"}.items():
        write(folder, header, row, [name for name in NAMES if SCENES[name][-1] in letters], file.format(split))
    found, splits, why = told_of(folder)
    assert why == f"split as in {', '.join(sorted(file.format(split) for split in ('train', 'val', 'test')))}"
    assert splits == {str(i): {3: "validation", 4: "test"}.get(i // 2, "train") for i in range(12)}
    assert len(found.unused) == 3 and "a/train_log.csv" in found.unused and bool(found.scenes) == ("event" in header)


def test_lists_of_splits_and_a_table_of_scenes_tell_together(folder):
    write(folder, "chip,scene", lambda name: f"{name},{SCENES[name]}")
    write(folder, "", str, NAMES[:8], "train.txt")
    write(folder, "", str, NAMES[8:], "test.txt")
    found, _, why = told_of(folder)
    assert why == "split as in test.txt, train.txt, tiles.csv, and part of training validates" and found.scenes["11"] == "place_f"
    write(folder, "", str, NAMES[:7], "train.txt")
    write(folder, "", str, NAMES[7:], "test.txt")
    why = told_of(folder)[2]
    assert why.endswith("as in test.txt, train.txt, tiles.csv; its splits part scene place_d, so they are not followed")


def test_a_row_of_digits_without_end_is_no_name(folder):
    write(folder, "", lambda name: "01" * 5000, file="test_bits.txt")
    assert "test_bits.txt" in told_of(folder)[0].unused


def test_a_column_that_only_some_of_the_tables_have_tells_nothing(folder):
    write(folder, "tile,set", lambda name: f"{name},{'val' if name < '003' else 'train'}", NAMES[:9], "train.csv")
    write(folder, "tile", str, NAMES[9:], "test.csv")
    assert told_of(folder)[1] == {str(i): "train" if i < 7 else "validation" if i < 9 else "test" for i in range(12)}


@pytest.mark.parametrize("also", ["train_val.txt", "notes.txt"])
def test_a_list_of_no_split_or_of_two_changes_nothing(folder, also):
    write(folder, "", str, NAMES[:9], "train.txt")
    write(folder, "", str, NAMES[9:], "val.txt")
    write(folder, "", str, NAMES, also)
    found, _, why = told_of(folder)
    assert why == "split as in train.txt, val.txt; none is called test, so validation tests, and part of training validates"
    assert list(found.unused) == [also]


@pytest.mark.parametrize("last", [NAMES[9:11], NAMES[8:]])
def test_lists_that_lack_a_chip_or_tell_one_twice_are_not_followed(folder, last):
    write(folder, "", str, NAMES[:9], "train.txt")
    write(folder, "", str, last, "test.txt")
    found, _, why = told_of(folder)
    assert (
        "name each chip with labels once" in found.unused["train.txt"]
        and "test.txt" in found.unused
        and why.startswith("split by their order")
    )


def test_places_with_a_grid_are_split_by_scene(tmp_path):
    east = {name: PLACE @ Affine.translation(500 * number, 0) for number, name in enumerate(NAMES)}
    chips(tmp_path / "in", lambda name, kind: f"{kind}/{name}.tif", at=east.get, crs=UTM)
    write(tmp_path / "in", "name,city", lambda name: f"{name},{SCENES[name]}")
    propose(tmp_path / "in", tmp_path / "mine.yaml", None)
    data = read_run([tmp_path / "mine.yaml"], METHODS).data
    assert (data.scenes_of("validation"), data.scenes_of("test")) == (("8", "9"), ("10", "11"))


def test_names_that_part_scenes_are_not_followed(tmp_path):
    chips(tmp_path, lambda name, kind: f"{'test' if name in ('001', '011') else 'train'}/{kind}/{name}.tif")
    write(tmp_path, "chip,scene", lambda name: f"{name},{SCENES[name]}")
    found, splits, why = told_of(tmp_path)
    assert found.scenes and "chips of scene place_a are in several" in why
    assert sorted(name for name, split in splits.items() if split == "test") == ["test_1", "test_11", "train_0", "train_10"]
