"""The plan of a run: each job is told all that it needs of the config, and nothing whose change is none of its business."""

import copy
import json
from argparse import Namespace
from typing import Any

import pytest

from dis2.arguments import Settings
from dis2.config.plan import Plan
from dis2.config.run import read_run, section
from dis2.errors import UserError
from dis2.models.registry import METHODS, method_of

FULL = {"eye": ["eye.tif"], "echo": ["vv.tif", "vh.tif"]}
MINE: dict[str, Any] = {
    "data": {
        "name": "mine",
        "sensors": {"eye": {"bands": 3}, "echo": {"bands": 2, "nodata": float("nan")}},
        "classes": {"water": {"color": "#0000ff"}, "land": {}},
        "scenes": {
            "north": {"split": "train", "sensors": FULL, "labels": "n.tif"},
            "east": {"split": "validation", "sensors": FULL, "labels": {"file": "e.gpkg", "attribute": "kind"}},
            "south": {"split": "test", "sensors": {"eye": "s.tif"}, "labels": "s.tif"},
            "new": {"sensors": FULL},
        },
    },
    "report": {"scenes": {"south": ["eye"], "new": ["eye+echo", "echo"]}},
}

TRAININGS = {"train teacher", "train sensor-dropout", "train singles+sd", "train dis2"}


def plan(change=lambda config: None) -> Plan:
    """The plan of that config after a change."""
    config = copy.deepcopy(MINE)
    change(config)
    return Plan(read_run([], METHODS, merged=config), method_of)


def jobs(it: Plan) -> dict[str, str]:
    """What every job is told."""
    data = it.data
    return {
        **{f"tile {scene}": it.scene_settings(scene, "grid") for scene in data.scenes},
        **{f"predict {scene}": it.map_settings(scene) for scene in it.run.maps},
        "statistics": it.split_settings(["train"]),
        **{f"train {method}": it.training_settings(method) for method in ("teacher", "sensor-dropout", "singles+sd", "dis2")},
        "evaluate": it.split_settings(["test"], "evaluation"),
        "report": it.report_settings(),
    }


def changed(change) -> set[str]:
    """The jobs that are told something else after a change, or that are new."""
    before = jobs(plan())
    return {name for name, told in jobs(plan(change)).items() if before.get(name) != told}


def put(path: str, value: Any):
    """A change of one value."""

    def change(config: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            config = config.setdefault(parent, {})
        config[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("data.scenes.west", {"split": "test", "sensors": FULL, "labels": "w.tif"}), {"tile west", "evaluate", "report"}),
        (
            put("data.scenes.west", {"split": "train", "sensors": FULL, "labels": "w.tif"}),
            {"tile west", "statistics", *TRAININGS, "report"},
        ),
        (put("data.scenes.west", {"sensors": FULL}), {"tile west", "report"}),
        (put("data.scenes.north.labels", "other.tif"), {"tile north", "report"}),
        (put("data.classes.land", {"color": "#00ff00"}), {"predict south", "predict new", "report"}),
        (put("data.sensors.eye.relief", 32), {"statistics", *TRAININGS, "evaluate", "predict south", "predict new", "report"}),
        (put("training", {"weights": {"dice": 0.5}}), TRAININGS),
        (put("training", {"weights": {"logits": 0.5}}), {"train singles+sd", "train dis2"}),
        (put("training", {"unlabelled": 0.5, "distillation": True}), {"train singles+sd", "train dis2"}),
        (put("training", {"student_steps": 5}), TRAININGS - {"train teacher"}),
        (put("training", {"even_views": 1}), {"train singles+sd", "train dis2"}),
        (put("training", {"views": 7}), TRAININGS - {"train teacher"}),
        (put("training", {"teacher_steps": 5}), TRAININGS),
        (put("training", {"distillation": True}), {"train dis2"}),
        (put("training", {"workers": 2, "cache": "disk", "cache_mb": 9, "save_every": 7, "tensorboard": True}), set()),
        (put("model", {"width": 8}), TRAININGS),
        (put("model", {"compensation": False, "certainty": True, "own_decoders": True}), {"train dis2"}),
        (put("evaluation", {"bins": 20}), {"evaluate"}),
        (put("prediction", {"overlap": 0.5}), {"predict south", "predict new"}),
        (put("report.title", "Mine"), {"report"}),
        (put("report.scenes", {"south": ["eye"]}), {"report"}),
        (put("seeds", [0, 1]), set()),
        (put("methods", ["dis2"]), set()),
        (put("data.split.seed", 5), {"statistics", *TRAININGS, "evaluate", "report"}),
    ],
)
def test_a_change_is_told_to_those_whom_it_concerns(change, told):
    assert changed(change) == told


def test_a_training_is_told_of_what_changes_no_result_in_another_part():
    it = plan(put("training", {"workers": 2, "batch": 16}))
    told = Settings(Namespace(settings=[it.training_settings("teacher"), it.indifferent_settings()], config=None))("training")
    assert (told.workers, told.batch) == (2, 16)
    assert json.loads(it.indifferent_settings()) == {"training": {"workers": 2}}
    with pytest.raises(UserError, match="training"):
        Settings(Namespace(settings=[it.training_settings("teacher"), '{"training": 5}'], config=None))("training")


def test_a_change_of_the_grid_is_told_to_every_scene():
    assert changed(put("grid", {"reference": "eye"})) == {name for name in jobs(plan()) if name.split()[0] in ("tile", "predict")}


@pytest.mark.parametrize("name", jobs(plan()))
def test_what_a_job_is_told_is_read_back_in_the_config_s_order(name):
    told = json.loads(jobs(plan())[name])
    data = section("data", told.pop("data"))
    assert list(data.sensors) == ["eye", "echo"] and list(data.classes) == ["water", "land"]
    assert data.sensors["echo"].nodata != data.sensors["echo"].nodata
    for other, value in told.items():
        section(other, value)


def test_the_splits_are_told_without_files_and_scenes_without_their_split():
    it = plan()
    assert not any(
        ".tif" in told or ".gpkg" in told for told in (it.split_settings(["train", "validation"]), it.split_settings(["test"]))
    )
    assert json.loads(it.scene_settings("north"))["data"]["scenes"] == {"north": {"sensors": FULL, "labels": {"file": "n.tif"}}}


def test_chips_are_told_to_training_as_one_scene():
    def chips(config):
        chip = {"sensors": FULL, "labels": "l.tif"}
        config["data"]["scenes"] = {"all": {"chips": {"a": {"sensors": {"eye": "a.tif"}}, "b": chip}}}
        config.update({"grid": "pixels", "report": {}})
        config["data"]["split"] = {"by": "block"}

    it = plan(chips)
    data = section("data", json.loads(it.split_settings(["train"]))["data"])
    assert data.scenes["all"].has == ("eye", "echo") and not data.scenes["all"].chips and data.split.by == "block"
    assert it.rasters("all") == ["a.tif", "eye.tif", "vv.tif", "vh.tif"] and it.files("all")[-1] == "l.tif"


def test_the_teacher_is_trained_and_scored_only_where_a_method_starts_from_it():
    assert plan().trained == ("teacher", "dis2", "sensor-dropout") and plan().scored == (
        "dis2",
        "sensor-dropout",
        "teacher-zeros",
    )
    alone = plan(put("methods", ["sensor-dropout"]))
    assert alone.trained == alone.scored == ("sensor-dropout",)
    assert Plan.model("teacher-zeros") == "teacher" and Plan.model("dis2") == "dis2"


def test_specialists_are_a_network_for_each_combination_in_the_folder_of_their_seed():
    it = plan(put("methods", ["dis2", "specialist"]))
    assert it.combinations == ("eye+echo", "eye", "echo")
    assert it.folders("specialist", 3) == ["specialist/3/eye+echo", "specialist/3/eye", "specialist/3/echo"]
    assert it.folders("dis2", 3) == ["dis2/3"] and it.folders("{method}", "{seed}") == ["{method}/{seed}"]


@pytest.mark.parametrize(("method", "told"), [("specialist", 0), ("zero-filling", 0), ("unet", 1), ("dis2", 2)])
def test_a_method_is_told_of_the_views_that_it_has_and_of_no_others(method, told):
    settings = {"views": 7, "even_views": 1}
    both = plan(lambda config: config.update(methods=[method], training=settings)).training_settings(method)
    assert json.loads(both)["training"] == dict([*settings.items()][:told])


def test_scenes_without_a_split_are_prepared_where_they_are_mapped():
    assert plan().prepared == ("north", "east", "south", "new")
    assert plan(put("report", {})).prepared == ("north", "east", "south")
    assert plan().mapped() == {("eye",): ["south"], ("eye+echo", "echo"): ["new"]}


def test_the_first_mapped_scene_with_labels_is_explained_by_our_own_method_unless_others_are_named():
    assert plan().explained == ["dis2/south"] and plan(put("report.scenes", {"new": []})).explained == []
    assert plan(put("methods", ["unet", "dis2"])).explained == ["dis2/south"]
    assert plan(put("methods", ["unet", "singles"])).explained == ["unet/south"]
    named = plan(lambda config: put("report", {"explain": ["new", "east"]})(config))
    assert named.explained == ["dis2/new", "dis2/east"] and named.prepared == ("north", "east", "south", "new")
    assert plan(put("report.explain", [])).explained == []


def test_simulated_scenes_are_told_only_what_makes_them():
    def simulated(config, **scenes):
        del config["data"]["scenes"]
        config["report"] = {}
        splits = {"a": {"split": "train"}, "b": {"split": "validation", "lacks": ["echo"]}, "c": {"split": "test"}} | scenes
        config["simulate"] = {"sensors": {"eye": "multispectral", "echo": "radar"}, "scenes": splits}

    one, other = plan(simulated), plan(lambda config: simulated(config, a={"split": "test"}, d={"split": "train"}))
    assert one.simulate_settings("a") == other.simulate_settings("a")
    assert one.simulated() == {("eye", "echo"): ["a", "c"], ("eye",): ["b"]}
    told = json.loads(one.simulate_settings("b"))
    assert section("simulate", told["simulate"]).scenes["b"].lacks == ("echo",) and section("data", told["data"])
    one.check_files(["x.yaml"])


def test_a_file_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in {file for scene in plan().data.scenes for file in plan().files(scene)} - {"e.gpkg"}:
        (tmp_path / name).touch()
    with pytest.raises(UserError) as error:
        plan().check_files(["config/mine.yaml"])
    assert str(error.value).startswith("config/mine.yaml: data.scenes.east: e.gpkg: no such file; correct the path")
    assert "\n" not in str(error.value)


def test_settings_too_long_for_a_command_line_go_through_a_file_of_their_own(tmp_path, monkeypatch):
    def chips(config):
        chip = {"sensors": FULL, "labels": "a/long/way/to/the/labels.tif"}
        config["data"]["scenes"] = {"all": {"chips": {f"c{number}": chip for number in range(2000)}}}
        config.update({"grid": "pixels", "report": {}})
        config["data"]["split"] = {"by": "block"}

    monkeypatch.chdir(tmp_path)
    it = plan(chips)
    told = it.scene_settings("all", "grid")
    assert told.startswith("@results/mine/settings/") and told == it.scene_settings("all", "grid")
    assert told != plan(lambda config: (chips(config), put("grid", {"pixels": True, "reference": "eye"})(config))).scene_settings(
        "all", "grid"
    )
    data = Settings(Namespace(settings=[told], config=None))("data")
    assert len(data.scenes["all"].chips) == 2000 and len(it.split_settings(["train"])) < 1000
    whole = (tmp_path / told[1:]).read_text()
    (tmp_path / told[1:]).write_text(whole.replace("vh.tif", "vv.tif"))
    assert it.scene_settings("all", "grid") == told and (tmp_path / told[1:]).read_text() == whole


def test_the_report_is_told_files_by_name_as_examples_and_no_folder():
    told = json.loads(plan(put("data.scenes.north.labels", "some/folder/other.tif")).report_settings())["data"]["scenes"]
    assert told["north"] == {"split": "train", "sensors": FULL, "labels": {"file": "other.tif"}}


def test_the_report_is_told_the_folders_of_chips_that_are_called_the_same():
    def chips(config):
        files = {"eye": ["a/pre/7.png", "a/post/7.png"], "echo": "b/pre/7.png"}
        config["data"]["scenes"] = {"all": {"chips": {"c7": {"sensors": files, "labels": "root/b/flood/7.png"}}}}
        config.update({"grid": "pixels", "report": {}})
        config["data"]["split"] = {"by": "block"}

    told = json.loads(plan(chips).report_settings())["data"]["scenes"]["all"]
    assert told["sensors"] == {"eye": ["a/pre/7.png", "a/post/7.png"], "echo": ["b/pre/7.png"]}
    assert told["labels"] == {"file": "b/flood/7.png"}


def test_an_array_in_a_file_is_that_file_to_the_workflow():
    it = plan(put("data.scenes.north.sensors", {"eye": ["in/a.mat:eye"], "echo": ["in/a.mat:echo", "in/b.mat"]}))
    assert it.rasters("north") == ["in/a.mat", "in/b.mat"]


def test_a_plan_without_a_scene_is_that_of_a_config_without_it():
    extra = {"split": "test", "sensors": {"eye": "w.tif"}, "labels": "w.tif"}
    left = plan(put("data.scenes.west", extra)).without({"west"})
    assert jobs(left) == jobs(plan()) and left.prepared == plan().prepared
    assert "new" not in plan().without(["new"]).prepared and list(plan().without(["new"]).run.maps) == ["south"]


def test_a_test_scene_can_be_mapped_instead_of_one_that_is_left_out():
    def two(config):
        del config["report"]
        config["preparation"] = {"broken": "skip"}
        config["data"]["scenes"]["west"] = {"split": "test", "sensors": FULL, "labels": "w.tif"}

    it = plan(two)
    assert it.run.maps == {"south": ("eye",)} and it.without(["south"]).run.maps == {"west": ("eye+echo", "eye", "echo")}
    assert it.mapped() == {("eye",): ["south"], ("eye+echo", "eye", "echo"): ["west"]}


def test_a_scene_that_a_user_asks_for_and_that_is_none_is_told():
    for files in (plan().files, plan().rasters):
        with pytest.raises(UserError, match=r"^zebra: not one of the scenes \(north, east, south, new\)$"):
            files("zebra")
