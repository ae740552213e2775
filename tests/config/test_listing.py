"""Scenes and chips from a table or from patterns: what is meant is found, and what does not add up is one line."""

import pytest
import yaml

from dis2.config.plan import Plan
from dis2.config.run import read_run
from dis2.errors import UserError
from dis2.models.registry import METHODS, method_of

SPLITS = {"train": ("a", "b"), "validation": ("c",), "test": ("d",)}
SENSORS = {"eye": "{scene}/eye_{chip}.tif", "echo": ["{scene}/vv_{chip}.tif", "{scene}/vh_{chip}.tif"]}
TABLE = "chip,scene,split\n" + "".join(f"{s}{n},{s},{split}\n" for split, names in SPLITS.items() for s in names for n in (1, 2))


def read(folder, split=None, **listing):
    """The run of a config whose scenes are listed, with rasters in the same folder."""
    data = {
        "name": "mine",
        "sensors": {"eye": {"bands": 3}, "echo": {"bands": 2}},
        "classes": ["land", "water"],
        "source": "a shop in Delft",
        "listing": {"sensors": SENSORS, "labels": "{scene}/labels_{chip}.tif"} | listing,
        "split": split or {"by": "scene"},
    }
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"data_root": str(folder), "data": data, "grid": "pixels"}, sort_keys=False))
    return read_run([file], METHODS)


def told(folder, **listing):
    """The one line that is said of a listing, after the config's name."""
    with pytest.raises(UserError) as error:
        read(folder, **listing)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{folder}/mine.yaml: data.listing")
    return line.removeprefix(f"{folder}/mine.yaml: data.listing")


def test_a_table_tells_the_chips_and_the_split_of_each_scene(tmp_path):
    text = TABLE.replace("chip,", " tile ,").replace("validation", "val").replace("\na2,", "\n a2 ,")
    (tmp_path / "table.csv").write_text("\ufeff" + text, encoding="utf-8")
    data = read(tmp_path, table="table.csv", columns={"chip": "tile"}, splits={"val": "validation"}).data
    assert {name: scene.split for name, scene in data.scenes.items()} == {n: s for s, names in SPLITS.items() for n in names}
    assert list(data.scenes["a"].chips) == ["a1", "a2"]
    chip = data.scenes["a"].chips["a2"]
    assert chip.sensors["echo"] == (f"{tmp_path}/a/vv_a2.tif", f"{tmp_path}/a/vh_a2.tif")
    assert chip.labels.file == f"{tmp_path}/a/labels_a2.tif" and data.listing is None


def test_a_table_may_have_an_index_and_other_columns_that_share_a_name(tmp_path):
    header, *lines = TABLE.splitlines()
    rows = [f"{number},{line},fine,dry, " for number, line in enumerate(lines)]
    (tmp_path / "table.csv").write_text("\n".join([f",{header},note,note", *rows]))
    assert list(read(tmp_path, table="table.csv", columns={"chip": "chip"}).data.scenes["a"].chips) == ["a1", "a2"]


def test_rows_without_chips_are_scenes_and_other_columns_are_for_patterns(tmp_path):
    rows = "".join(f"{s},{split},{n}\n" for n, (split, names) in enumerate(SPLITS.items()) for s in names)
    (tmp_path / "table.csv").write_text("scene,split,year\n" + rows)
    sensors = {"eye": "{year}/{scene}.tif", "echo": "{split}/{scene}.tif"}
    data = read(tmp_path, table="table.csv", sensors=sensors, labels="l_{scene}.tif").data
    assert data.scenes["d"].sensors == {"eye": (f"{tmp_path}/2/d.tif",), "echo": (f"{tmp_path}/test/d.tif",)}
    assert not data.scenes["d"].chips


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (TABLE + "a1,a,train\n", "lines 2 and 10: chip a1 is there twice; keep one of them"),
        (TABLE + "a3,a,test\n", "lines 2 and 10: scene a is in train and in test; a scene has one split, or its chips leak"),
        (TABLE + "a3,a,val\n", "line 10: split 'val' is none of train, validation, test; mend it, or say what it means"),
        (TABLE + "a3,a,\n", "line 10: no split; fill it in"),
        (TABLE + "a3,a\n", "line 10: no split; fill it in"),
        (TABLE + ",a,train\n", "line 10: no chip; fill it in"),
        (TABLE + "a 3,a,train\n", "line 10: 'a 3' is not a name: use letters, digits"),
        (TABLE.replace("chip", "tile"), "no column 'chip' in its first line (tile, scene, split); name the right ones"),
        (TABLE.replace(",", ";"), "no column 'scene' in its first line (chip;scene;split); put commas between columns"),
        ("chip,split,scene,split\n", "two columns are called 'split' in its first line; rename one, or remove it"),
        (TABLE + "a3,a,train,b\n", "line 10: 4 cells, but its first line has 3; put quotes around a cell that has a comma"),
        ("chip,scene,split\n", "no rows; give a table"),
        ("", "no column 'scene' in its first line (empty)"),
        (
            None,
            "cannot be read (No such file or directory); correct the path, or data_root ($DIS2_DATA). The data: a shop in Delft",
        ),
    ],
)
def test_a_table_that_does_not_add_up_is_one_line_with_its_place(tmp_path, table, line):
    if table is not None:
        (tmp_path / "table.csv").write_text(table)
    said = told(tmp_path, table="table.csv", columns={"chip": "chip"})
    assert said.startswith(f": {tmp_path}/table.csv: {line}")


BLOCKS = {"by": "block", "size": 64, "gap": 8}
OWN = {"sensors": {"eye": "{tile}/eye.tif", "echo": "{tile}/echo.tif"}, "labels": "{tile}/labels.tif"}
"""Patterns that name a column by its own name."""


def test_a_column_is_no_split_and_no_chip_unless_it_is_named_so(tmp_path):
    (tmp_path / "table.csv").write_text("tile,split,chip,scene\na,test,,\nb,any,x,y\n")
    data = read(tmp_path, BLOCKS, table="table.csv", columns={"scene": "tile", "split": None}, **OWN).data
    assert {name: (scene.split, len(scene.chips)) for name, scene in data.scenes.items()} == {"a": (None, 0), "b": (None, 0)}
    assert data.scenes["b"].sensors == {"eye": (f"{tmp_path}/b/eye.tif",), "echo": (f"{tmp_path}/b/echo.tif",)}


def test_a_chip_that_no_column_is_named_for_is_told_with_its_line(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    said = told(tmp_path, table="table.csv")
    assert said.startswith(f": {tmp_path}/table.csv: line 2: {{scene}}/eye_{{chip}}.tif: {{chip}} is not known; there are")
    assert "{scene}, {split}; a table's column for it is named in data.listing.columns." in said
    said = told(tmp_path, table="table.csv", sensors={"eye": "{scene}.tif", "echo": "b.tif"}, labels="{scene}.tif")
    assert said.startswith(
        f": {tmp_path}/table.csv: lines 2 and 3: scene a is there twice; keep one of them, or name the column of chips in"
    )


PLAIN = {"sensors": {"eye": "{scene}.tif", "echo": "{scene}_echo.tif"}, "labels": "{scene}_labels.tif"}


@pytest.mark.parametrize(
    ("listing", "place"),
    [
        ({"table": "table.csv", "columns": {"chip": "chip"}}, "{root}/table.csv: line 2: scene a: chip a1: {root}/a/eye_a1.tif"),
        ({"table": "scenes.csv"} | PLAIN, "{root}/scenes.csv: line 2: scene a: {root}/a.tif"),
        ({"scenes": SPLITS} | PLAIN, "scene a: {root}/a.tif"),
    ],
)
def test_a_missing_file_is_told_where_its_scene_or_chip_is_listed(tmp_path, listing, place):
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "scenes.csv").write_text("scene,split\na,train\nb,validation\nc,test\n")
    with pytest.raises(UserError) as error:
        Plan(read(tmp_path, **listing), method_of).check_files(["mine.yaml"])
    first, *_, last = str(error.value).splitlines()
    assert first.startswith(f"mine.yaml: data.listing: {place.format(root=tmp_path)}: no such file; correct the path")
    assert last == "mine.yaml: the data: a shop in Delft"


def touched(folder, but=()):
    """The files of three chips for every scene but those."""
    for scene in "abcd":
        for chip in ("p7", "p8", "p12"):
            for kind in ("eye", "vv", "vh", "labels"):
                path = folder / scene / f"{kind}_{chip}.tif"
                path.parent.mkdir(exist_ok=True)
                if path.name not in but:
                    path.touch()


def test_chips_of_two_scenes_may_share_a_name_but_not_their_files(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE + "a1,d,test\n")
    data = read(tmp_path, table="table.csv", columns={"chip": "chip"}).data
    assert data.scenes["d"].chips["a1"].sensors["echo"] == (f"{tmp_path}/d/vv_a1.tif", f"{tmp_path}/d/vh_a1.tif")
    said = told(tmp_path, table="table.csv", columns={"chip": "chip"}, sensors={"eye": "{chip}.tif", "echo": "all.tif"})
    assert said.startswith(
        f": {tmp_path}/table.csv: lines 2 and 10: chip a1 is there twice, in train and in test; keep one of them"
    )


def test_named_scenes_have_the_chips_whose_files_there_are(tmp_path):
    touched(tmp_path)
    (tmp_path / "a" / "eye_p7.tif.aux.xml").touch()
    data = read(tmp_path, scenes=SPLITS).data
    assert {name: tuple(scene.chips) for name, scene in data.scenes.items()} == dict.fromkeys("abcd", ("p12", "p7", "p8"))
    assert data.scenes["c"].split == "validation"


def test_chips_that_lack_a_file_are_told_unless_that_is_wanted(tmp_path):
    touched(tmp_path, but=("vh_p7.tif", "vh_p12.tif"))
    assert told(tmp_path, scenes=SPLITS).startswith(
        ": sensors.echo: scene a: 1 of 3 chips have a file like {scene}/vh_{chip}.tif, not p12, p7; add these files"
    )
    data = read(tmp_path, scenes=SPLITS, incomplete=True).data
    assert [tuple(chip.sensors) for chip in data.scenes["a"].chips.values()] == [("eye",), ("eye",), ("eye", "echo")]


@pytest.mark.parametrize("name", ["a 1", "(a)", "tö1", "_a"])
def test_a_chip_whose_name_is_none_is_told_and_not_passed_over(tmp_path, name):
    touched(tmp_path)
    for kind in ("eye", "vh"):
        (tmp_path / f"c/{kind}_{name}.tif").touch()
    said = told(tmp_path, scenes=SPLITS)
    assert said.startswith(f": {tmp_path}/c/eye_{name}.tif: '{name}' is not a name: use letters, digits, ")
    assert "; rename or remove it" in said


def test_a_lone_file_whose_name_is_none_is_of_no_chip(tmp_path):
    touched(tmp_path)
    (tmp_path / "c/eye_p7 (copy).tif").touch()
    assert tuple(read(tmp_path, scenes=SPLITS).data.scenes["c"].chips) == ("p12", "p7", "p8")


def test_numbers_of_a_name_have_as_many_digits_as_the_pattern_says(tmp_path):
    scenes = {"train": ["2_10"], "validation": ["7_9"], "test": ["area1"]}
    sensors = {"eye": "top_{scene}.tif", "echo": "dsm_{scene:02}.tif"}
    data = read(tmp_path, scenes=scenes, sensors=sensors, labels="{scene}.tif").data
    files = [scene.sensors["echo"][0].removeprefix(f"{tmp_path}/") for scene in data.scenes.values()]
    assert files == ["dsm_02_10.tif", "dsm_07_09.tif", "dsm_area01.tif"]


def test_labels_may_differ_from_split_to_split(tmp_path):
    labels = {"train": "{scene}.tif", "validation": "{scene}.tif", "test": "{scene}_eroded.tif"}
    data = read(tmp_path, scenes=SPLITS, sensors={"eye": "e{scene}.tif", "echo": "o{scene}.tif"}, labels=labels).data
    assert [scene.labels.file.rsplit("/")[-1] for scene in data.scenes.values()] == ["a.tif", "b.tif", "c.tif", "d_eroded.tif"]


@pytest.mark.parametrize("listing", [{"scenes": ["a", "b"]}, {"table": "table.csv", "columns": {"split": None}}])
def test_labels_by_split_need_splits(tmp_path, listing):
    (tmp_path / "table.csv").write_text("scene\na\nb\n")
    listing |= {"sensors": {"eye": "e{scene}.tif", "echo": "o{scene}.tif"}, "labels": {"train": "{scene}.tif"}}
    assert told(tmp_path, split=BLOCKS, **listing).startswith(".labels: patterns by split need a split for each scene; list")


@pytest.mark.parametrize(
    ("listing", "line"),
    [
        ({}, ": give either table or scenes"),
        ({"scenes": {"train": [2_10]}}, ".scenes: a name is the number 210 to YAML (as 2_10 is 210); put names in quotes"),
        ({"scenes": {"train": ["a"], "val": ["b"]}}, ".scenes.val: no split; there are train, validation, test"),
        ({"scenes": {"train": ["a"], "test": ["a"]}}, ": scenes: a is in train and in test; a scene has one split"),
        (
            {"scenes": SPLITS, "sensors": {"eye": "{plot}.tif"}, "labels": "l.tif"},
            ": {plot}.tif: {plot} is not known; there are {scene}",
        ),
        ({"scenes": SPLITS}, ": scene a: no file like "),
    ],
)
def test_a_listing_that_does_not_add_up_is_one_line(tmp_path, listing, line):
    assert told(tmp_path, **listing).startswith(line)
