"""The config of a run: what is right is taken as meant, and each fault is one line that says file, key and remedy."""

import copy
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dis2.config.data import SPLITS
from dis2.config.run import read_run, schema, section
from dis2.errors import UserError
from dis2.models.registry import METHODS

CONFIG = Path(__file__).parents[2] / "config"

MINE: dict[str, Any] = {
    "data": {
        "name": "mine",
        "sensors": {"eye": {"bands": 3}, "echo": {"bands": 2, "nodata": float("nan")}},
        "classes": ["land", "water"],
        "scenes": {
            "north": {"split": "train", "sensors": {"eye": "n_eye.tif", "echo": ["n_vv.tif", "n_vh.tif"]}, "labels": "n.tif"},
            "east": {"split": "validation", "sensors": {"eye": "e_eye.tif"}, "labels": {"file": "e.gpkg", "attribute": "kind"}},
            "south": {"split": "test", "sensors": {"eye": "s_eye.tif", "echo": "s_echo.tif"}, "labels": "s.tif"},
            "new": {"sensors": {"echo": "new.tif"}},
        },
    }
}


def mine(**changes: Any) -> dict[str, Any]:
    """That config with other values at `data__scenes__north`-like paths; a value of None removes the key."""
    config = copy.deepcopy(MINE)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return config


def read(tmp_path: Path, config: dict[str, Any] | str):
    """The run of a config file."""
    file = tmp_path / "mine.yaml"
    file.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    return read_run([file], METHODS)


def faults(tmp_path: Path, config: dict[str, Any] | str) -> list[str]:
    """What is said of a wrong config, without the file that it begins with."""
    with pytest.raises(UserError) as error:
        read(tmp_path, config)
    file = f"{tmp_path / 'mine.yaml'}: "
    lines = str(error.value).splitlines()
    assert all(line.startswith(file) for line in lines)
    return [line.removeprefix(file) for line in lines]


WRONG = {
    "unknown section": (mine(trainning={}), "trainning: unknown key; did you mean training?; valid here: data_root, data,"),
    "unknown key": (mine(training__bach=4), "training.bach: unknown key; did you mean batch?; valid here: tile, batch,"),
    "unknown key of a sensor": (
        mine(data__sensors__eye={"band": 1, "bands": 1}),
        "data.sensors.eye.band: unknown key; did you mean bands?",
    ),
    "missing key": (mine(data__name=None), "data.name: missing; add this key"),
    "no data": ({"methods": ["dis2"]}, "data: missing; add this key"),
    "wrong type": (mine(training__batch="many"), "training.batch: input should be a valid integer"),
    "too small": (mine(training__batch=0), "training.batch: input should be greater than or equal to 1, 0 given"),
    "no multiple": (mine(training__tile=100), "training.tile: input should be a multiple of 16, 100 given"),
    "not one of": (
        mine(data__sensors__eye={"bands": 1, "kind": "radar"}),
        "data.sensors.eye.kind: input should be 'image' or 'surface'",
    ),
    "one sensor": (mine(data__sensors={"eye": {"bands": 3}}), "data.sensors: dictionary should have at least 2 items"),
    "nine sensors": (
        mine(data__sensors={f"date{n}": {"bands": 3} for n in range(9)}),
        "data.sensors: 9 sensors have 511 combinations, and each is scored; give at most 8: dates or bands of one instrument can",
    ),
    "one class": (mine(data__classes=["land"]), "data.classes: dictionary should have at least 2 items"),
    "class twice": (mine(data__classes=["land", "land"]), "data.classes: a class is listed twice"),
    "value of two classes": (
        mine(data__classes={"land": {"values": [1]}, "water": {"values": [1]}}),
        "data.classes: label value 1 has two meanings; give each value to one class",
    ),
    "value ignored too": (
        mine(data__classes={"land": {"values": [255]}, "water": {}}),
        "data.classes: label value 255 has two meanings",
    ),
    "color": (mine(data__classes={"land": {"color": "green"}, "water": {}}), "data.classes.land.color: string should match"),
    "name of a folder": (mine(data__name="../x"), "data.name: '../x' is not a name: use letters, digits"),
    "name of a store's part": (
        mine(data__sensors={"labels": {"bands": 1}, "eye": {"bands": 3}}),
        "data.sensors.labels: 'labels' names a part of the tile store: choose another name",
    ),
    "stranger among a scene's sensors": (
        mine(data__scenes__north__sensors={"ecko": "a.tif"}),
        "data.scenes.north.sensors.ecko: not one of the sensors (eye, echo); did you mean echo?",
    ),
    "scene of nothing": (
        mine(data__scenes__north={"split": "train"}),
        "data.scenes.north: give either sensors (with labels) or chips",
    ),
    "no labels": (
        mine(data__scenes__south__labels=None),
        "data.scenes.south.labels: missing; a scene that validates or tests has labels",
    ),
    "no labels to learn from": (
        mine(data__scenes__west={"split": "train", "sensors": {"eye": "w.tif"}}),
        "data.scenes.west.labels: missing; a scene that trains has labels, or every sensor and `training: {unlabelled",
    ),
    "no labels and not every sensor": (
        mine(
            data__scenes__west={"split": "train", "sensors": {"eye": "w.tif"}},
            training={"unlabelled": 0.3, "distillation": True},
        ),
        "data.scenes.west.labels: missing; a scene that trains has labels, or every sensor and `training: {unlabelled",
    ),
    "method of the whole batch": (
        mine(methods=["dis2", "paper"], training={"accumulate": 2}),
        "training.devices x accumulate: 2: paper looks at the whole batch at once; set both to 1, or leave it out of methods",
    ),
    "no labels for the teacher": (
        mine(
            data__scenes__north__labels=None,
            data__scenes__west={"split": "train", "sensors": {"eye": "w.tif"}, "labels": "l.tif"},
            training={"unlabelled": 0.3, "distillation": True},
        ),
        "data.scenes: no training scene has labels and every sensor, which the teacher needs; add one",
    ),
    "split of a scene": (
        mine(data__scenes__north__split="training"),
        "data.scenes.north.split: input should be 'train', 'validation' or 'test'",
    ),
    "no test scene": (mine(data__scenes__south__split="train"), "data.scenes: no scene with split: test; give at least one"),
    "no scene": (mine(data__scenes={}), "data.scenes: empty; list at least one scene"),
    "teacher without a sensor": (
        mine(data__scenes__north__sensors={"eye": "a.tif"}),
        "data.scenes: no training scene has labels and every sensor, which the teacher needs; add one",
    ),
    "split of a scene beside blocks": (
        mine(data__split={"by": "block"}),
        "data.scenes.north.split: blocks of the scenes are dealt to train; remove it, or leave train out of data.split.parts",
    ),
    "blocks that none train": (
        mine(data__split={"by": "block", "parts": ["validation", "test"]}),
        "data.split.parts: blocks are dealt to train, and to validation or test or both; name each once",
    ),
    "no scene for what blocks leave out": (
        mine(
            data__split={"by": "block", "parts": ["train", "test"]},
            data__scenes={"all": {"sensors": {"eye": "eye.tif", "echo": "echo.tif"}, "labels": "l.tif"}},
        ),
        "data.scenes: no scene with split: validation; give at least one, or add it to data.split.parts",
    ),
    "blocks without labels": (
        mine(data__split={"by": "block"}, data__scenes={"all": {"sensors": {"eye": "eye.tif", "echo": "echo.tif"}}}),
        "data.scenes: none has labels and no split of its own, so there are no blocks to deal; add one",
    ),
    "fold": (mine(data__split={"folds": 3, "fold": 3}), "data.split: fold 3 is not one of 3 folds"),
    "reference": (mine(grid__reference="nose"), "grid.reference: 'nose' is not one of the sensors (eye, echo)"),
    "crs alone": (mine(grid__crs="EPSG:32633"), "grid.resolution: missing; an explicit crs needs"),
    "chips on no pixel grid": (
        mine(
            data__scenes__north={
                "split": "train",
                "chips": {"a": {"sensors": {"eye": "a.tif", "echo": "b.tif"}, "labels": "c.tif"}},
            }
        ),
        "data.scenes.north.chips: chips need `grid: pixels`",
    ),
    "method": (mine(methods=["dis2", "sensor-dropuot"]), "methods: 'sensor-dropuot' is not a method; there are dis2, "),
    "method twice": (mine(methods=["dis2", "dis2"]), "methods: an entry is listed twice"),
    "decoders of many sensors": (
        mine(**{f"data__sensors__{name}": {"bands": 1} for name in "abcd"}, model={"own_decoders": True}),
        "model.own_decoders: for up to 5 sensors, data.sensors has 6; leave it out",
    ),
    "method of two sensors": (
        mine(data__sensors__nose={"bands": 1}, methods=["dis2", "paper"]),
        "methods: 'paper' takes 2 sensors, data.sensors has 3 (eye, echo, nose); leave it out",
    ),
    "unlabelled tiles that nothing learns from": (
        mine(training__unlabelled=0.3),
        "training.unlabelled: dis2 learns from tiles without labels by distillation alone; add `distillation: true`",
    ),
    "no method": (mine(methods=[]), "methods: tuple should have at least 1 item"),
    "seed": (mine(seeds=["one"]), "seeds.0: input should be a valid integer"),
    "width": (mine(model__heads=3), "model.heads: 3 does not divide"),
    "scene to show": (
        mine(report__scenes={"souht": []}),
        "report.scenes.souht: not one of the scenes (north, east, south, new); did you mean south?",
    ),
    "scene to explain": (
        mine(report__explain=["nwe"]),
        "report.explain.nwe: not one of the scenes (north, east, south, new); did you mean new?",
    ),
    "combination to show": (
        mine(report__scenes={"south": ["eye+nose"]}),
        "report.scenes.south: 'nose' is not one of the sensors (eye, echo)",
    ),
    "combination of what is not there": (
        mine(report__scenes={"east": ["echo"]}),
        "report.scenes.east: the scene has no echo, so 'echo' cannot",
    ),
    "combination in another order": (
        mine(report__scenes={"south": ["echo+eye"]}),
        "report.scenes.south: write 'echo+eye' as eye+echo",
    ),
    "simulated and given": (
        mine(simulate={"sensors": {"eye": "multispectral", "echo": "radar"}, "scenes": {"a": {"split": "train"}}}),
        "data.scenes: not used beside simulate, which makes its own scenes; remove one of the two",
    ),
    "simulated sensors": (
        mine(
            simulate={"sensors": {"eye": "multispectral"}, "scenes": {n: {"split": n} for n in ("train", "validation", "test")}},
            data__scenes=None,
        ),
        "simulate.sensors: must name the sensors of data.sensors (eye, echo)",
    ),
    "key twice": ("data:\n  name: a\n  name: b\n", "line 3: 'name' is given twice; give each name once"),
    "scene twice": ("data:\n  scenes:\n    a: {}\n    b: {}\n    a: {}\n", "line 5: 'a' is given twice"),
    "key that YAML takes for a boolean": (
        "data:\n  sensors:\n    on: {bands: 1}\n",
        "line 3: YAML reads this key as True; put it in quotes",
    ),
    "key that YAML takes for a number": ("data:\n  scenes:\n    12: {}\n", "line 3: YAML reads this key as 12; put it in quotes"),
    "name that YAML takes for a boolean": (mine(data__name=True), "data.name: input should be a valid string, True given"),
    "no YAML": ("data: [1\nseeds: 2", "line 2: not YAML ("),
    "no mapping": ("- data\n", "empty or not a mapping; a config begins with data:"),
    "empty file": ("", "empty or not a mapping"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_is_one_line_with_key_and_remedy(name, tmp_path):
    config, line = WRONG[name]
    said = faults(tmp_path, config)
    assert len(said) == 1 and said[0].startswith(line), said


def test_several_faults_are_all_told_at_once(tmp_path):
    assert len(faults(tmp_path, mine(training__batch=0, model__width=3, seeds=["x"], data__name=None))) == 4


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00data")
    for file, line in (
        ("none.yaml", "cannot be read (No such file or directory); give the path"),
        ("mine.yaml", "not UTF-8 text"),
    ):
        with pytest.raises(UserError, match=f"{file}: ") as error:
            read_run([tmp_path / file], METHODS)
        assert line in str(error.value) and "\n" not in str(error.value)


def test_a_config_without_any_default_name_is_taken_as_meant(tmp_path):
    run = read(tmp_path, MINE)
    assert run.folder.as_posix() == "results/mine"
    assert run.data.scenes["north"].sensors == {"eye": ("n_eye.tif",), "echo": ("n_vv.tif", "n_vh.tif")}
    assert run.data.scenes["east"].labels.attribute == "kind" and run.data.scenes["north"].labels.attribute is None
    assert run.data.scenes_of("train", "test") == ("north", "south") and run.data.scenes["new"].split is None
    assert run.data.values == {"land": (0, "land"), "water": (1, "water")}
    assert run.maps == {"south": ("eye+echo", "eye", "echo")}


def test_the_data_root_stands_before_every_file_and_the_environment_gives_it_too(tmp_path, monkeypatch):
    assert read(tmp_path, mine(data_root="/rasters")).data.scenes["south"].files == (
        "/rasters/s_eye.tif",
        "/rasters/s_echo.tif",
        "/rasters/s.tif",
    )
    monkeypatch.setenv("DIS2_DATA", "/elsewhere")
    assert read(tmp_path, MINE).data.scenes["new"].files == ("/elsewhere/new.tif",)
    assert read(tmp_path, mine(data_root="/rasters")).data.scenes["new"].files == ("/rasters/new.tif",)


def test_the_files_have_the_same_paths_however_the_data_root_is_written(tmp_path, monkeypatch):
    folder = tmp_path.resolve() / "rasters"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    for root in (folder, "rasters", "./rasters/", "link", tmp_path / "link"):
        assert read(tmp_path, mine(data_root=str(root))).data.scenes["new"].files == (f"{folder}/new.tif",)


@pytest.mark.parametrize("labels", [{"file": "s.tif", "resampling": "mode"}, {"file": "s.gpkg", "attribute": "cover"}])
def test_the_data_root_changes_nothing_of_labels_but_their_place(tmp_path, labels):
    rooted = read(tmp_path, mine(data_root="/rasters", data__scenes__south__labels=labels)).data.scenes["south"].labels
    assert rooted.model_dump(exclude_none=True) == labels | {"file": f"/rasters/{labels['file']}"}


def test_chips_on_a_pixel_grid_and_blocks_as_splits(tmp_path):
    chips = {name: {"sensors": {"eye": f"{name}.tif", "echo": "b.tif"}, "labels": "c.tif"} for name in ("a", "b")}
    run = read(
        tmp_path, mine(grid="pixels", data__scenes={"all": {"chips": chips}}, data__split={"by": "block", "size": 64, "gap": 8})
    )
    assert run.grid.pixels and len(run.data.scenes["all"].footprints) == 2
    assert run.data.scenes_of("train") == run.data.scenes_of("test") == ("all",)


def test_no_rasters_with_their_labels_are_in_two_splits_but_with_labels_of_other_pixels(tmp_path):
    first = {"split": "train", "sensors": {"eye": "a.tif", "echo": "b.tif"}, "labels": "c.tif"}
    scenes = {"north": first, "south": first | {"split": "validation"}, "east": first | {"split": "test", "labels": "e.tif"}}
    with pytest.raises(
        UserError, match="data.scenes.south: in validation, but c.tif and its rasters are those of north, in train"
    ):
        read(tmp_path, mine(data__scenes=scenes))
    for labels in ({"file": "c.tif", "band": 2}, {"file": "c.tif", "attribute": "test"}):
        scenes["south"] = scenes["south"] | {"labels": labels}
        assert read(tmp_path, mine(data__scenes=scenes)).data.scenes_of("test") == ("east",)


@pytest.mark.parametrize(
    ("sensors", "alike"),
    [
        ({"echo": "b.tif", "eye": "a.tif"}, True),
        ({"eye": "a.tif"}, True),
        ({"eye": "d.tif", "echo": "b.tif"}, False),
    ],
)
def test_one_raster_of_labels_may_be_of_many_scenes_but_not_of_one_in_two_splits(tmp_path, sensors, alike):
    """Which scene it is the sensor tells that gives the grid; heights, too, may be of many."""
    first = {"split": "train", "sensors": {"eye": "a.tif", "echo": "b.tif"}, "labels": "c.tif"}
    scenes = {
        "north": first,
        "south": first | {"split": "validation", "sensors": sensors},
        "east": first | {"split": "test", "labels": "e.tif"},
    }
    with pytest.raises(UserError, match="data.scenes.south: in validation, but c.tif") if alike else nullcontext():
        read(tmp_path, mine(data__scenes=scenes))


def test_a_scene_whose_blocks_are_dealt_is_no_test_scene_as_well(tmp_path):
    dealt = {"sensors": {"eye": "a.tif", "echo": "b.tif"}, "labels": "c.tif"}
    split = {"by": "block", "parts": ["train", "validation"], "size": 64}
    with pytest.raises(UserError, match="south: in test, but c.tif and its rasters are those of north, in all splits"):
        read(tmp_path, mine(data__scenes={"north": dealt, "south": dealt | {"split": "test"}}, data__split=split))


@given(st.integers(2, 5), st.integers(2, 12), st.integers(1, 400))
def test_any_number_of_sensors_classes_and_bands(sensors, classes, bands):
    names = [f"s{i}" for i in range(sensors)]
    scenes = {
        split: {"split": split, "sensors": {name: f"{split}/{name}.tif" for name in names}, "labels": f"{split}/l.tif"}
        for split in ("train", "validation", "test")
    }
    data = {
        "name": "any",
        "sensors": {name: {"bands": bands} for name in names},
        "classes": [f"c{i}" for i in range(classes)],
        "scenes": scenes,
    }
    run = read_run([], METHODS, merged={"data": data})
    assert len(run.maps["test"]) == sensors + 1 and len(run.data.colors) == classes


@pytest.mark.parametrize("file", sorted(CONFIG.glob("*.yaml")), ids=lambda file: file.name)
def test_the_configs_of_the_project_are_right(file, tmp_path, monkeypatch):
    """Those that list chips in a table are given one of three scenes."""
    listing = yaml.safe_load(file.read_text())["data"].get("listing") or {}
    if listing.get("table"):
        columns = {"scene": "scene", "split": "split"} | listing["columns"]
        called = {name: name for name in SPLITS} | {name: told for told, name in listing.get("splits", {}).items()}
        rows = [{"scene": f"s{n}", "chip": f"c{n}", "split": called[name]} for n, name in enumerate(SPLITS)]
        lines = [",".join(columns.values()), *(",".join(row[key] for key in columns) for row in rows)]
        (tmp_path / listing["table"]).parent.mkdir(parents=True)
        (tmp_path / listing["table"]).write_text("\n".join(lines))
    monkeypatch.setenv("DIS2_DATA", str(tmp_path))
    assert read_run([file], METHODS).data.scenes_of("test")


def test_the_schema_that_is_kept_is_that_of_the_code():
    assert (CONFIG / "schema.json").read_text() == schema(), "write it again: python -m dis2 schema --out config/schema.json"


@pytest.mark.parametrize("config", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_here_fits_the_schema_by_which_editors_judge_it(config):
    jsonschema.validate(yaml.safe_load(config.read_text()), json.loads(schema()))


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("classes", ["wood"]),
        ("classes", {"wood": {"values": [1]}}),
        ("sensors", {"eye": {"bands": 1, "relief": -1}, "echo": {"bands": 1}}),
        ("sensors", {"eye": {"bands": 1, "relief": [0, -1]}, "echo": {"bands": 1}}),
    ],
)
def test_the_schema_refuses_what_the_code_refuses(part, wrong):
    told = yaml.safe_load((CONFIG / "config.yaml").read_text())
    told["data"][part] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, json.loads(schema()))


def test_a_word_alone_is_a_section_too():
    assert section("grid", "pixels").pixels


def test_every_setting_is_explained_in_the_schema():
    models = json.loads(schema())["$defs"].values()
    assert all(model.get("description") for model in models)


@pytest.mark.parametrize("nodata", [float("nan"), float("-inf")])
def test_a_section_survives_as_json_with_its_order_and_what_is_no_number(tmp_path, nodata):
    run = read(tmp_path, mine(grid="pixels", data__classes=["water", "land"], data__sensors__echo__nodata=nodata))
    for name in ("data", "grid", "model", "training", "evaluation", "prediction", "report"):
        text = json.dumps(getattr(run, name).model_dump(mode="json"), allow_nan=False)
        assert json.dumps(section(name, json.loads(text)).model_dump(mode="json")) == text


CODED = {"land": {"values": ["#ffffff"]}, "water": {"values": ["#0000ff"]}, "clutter": {"values": ["#ff0000"]}}


def test_an_ignored_class_is_none_and_the_others_keep_their_values(tmp_path):
    data = read(tmp_path, mine(data__classes=CODED, data__ignore=["clutter", "#000000"])).data
    assert list(data.classes) == ["land", "water"]
    assert data.label_colors == {0xFFFFFF: 0, 0x0000FF: 1, 0xFF0000: 255, 0x000000: 255}
    listed = read(tmp_path, mine(data__classes=["none", "land", "water"], data__ignore=["none", 9])).data
    assert listed.values == {"land": (1, "land"), "water": (2, "water")} and set(listed.ignore) == {"none", 9, 0}
    told = listed.model_dump_json()
    assert section("data", json.loads(told)).model_dump_json() == told


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data__classes__land__values": ["#fff"]}, "data.classes: '#fff' is no colour; write red, green and blue as '#rrggbb'"),
        ({"data__classes__land__values": ["#0000ff"]}, "data.classes: label value #0000ff has two meanings"),
        ({"data__ignore": ["#0000FF"]}, "data.classes: label value #0000ff has two meanings"),
        ({"data__sensors__eye__within": "ear"}, "data.sensors.eye.within: 'ear' is not another of the sensors"),
        ({"data__sensors__eye__within": "eye"}, "data.sensors.eye.within: 'eye' is not another of the sensors"),
        ({"data__sensors__eye__take": [1, 4]}, "data.sensors.eye.take: 2 bands, but bands: 3; mend one"),
        ({"data__sensors__eye__take": [0, 1, 2]}, "data.sensors.eye.take: each band once, and the first one is 1"),
        ({"data__sensors__eye": {"bands": 3, "relief": 9, "relative": True}}, "data.sensors.eye.relative: heights cannot be"),
        ({"data__sensors__eye": {"bands": 3, "relief": [4, 0, 4]}}, "data.sensors.eye.relief: each radius once; remove one"),
    ],
)
def test_colours_and_bands_that_cannot_be_are_told(tmp_path, changes, line):
    (said,) = faults(tmp_path, mine(**{"data__classes": copy.deepcopy(CODED)} | changes))
    assert said.startswith(line)
