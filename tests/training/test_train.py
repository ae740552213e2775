"""The training stage: what it writes, what it must not read, and what it refuses."""

import platform
import shutil
import subprocess

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from dis2 import __version__, load
from dis2.config.data import Sensor
from dis2.errors import UserError
from dis2.files import read_json, write_json
from dis2.models.files import read_card
from dis2.models.registry import method_of
from dis2.raster.grid import Window
from dis2.tiles.manifest import digest_of
from dis2.tiles.split import in_split
from dis2.tiles.statistics import statistics
from dis2.tiles.store import store_path
from dis2.training import train as module
from dis2.training.loop import Loop
from dis2.training.request import _speckle
from dis2.training.train import _revision, _steps
from tests.training.tiny import (
    CLASSES,
    MODEL,
    SCENE_FILES,
    SCENES,
    SENSORS,
    SIZE,
    data,
    history,
    made,
    scene,
    settings,
    trained,
    unchanged,
    write,
)


def test_the_card_says_all_that_is_needed_to_use_and_to_trust_a_model(tiles, model):
    folder = model("dis2")
    card = read_card(folder)
    assert (card.method, card.sensors, card.classes, card.reference, card.resolution) == ("dis2", SENSORS, CLASSES, "eye", 1.0)
    assert list(card.sensors) == list(SENSORS) and card.settings == MODEL and card.seed == 3
    assert card.statistics == read_json(tiles / "statistics.json")["sensors"]
    assert card.parameters == sum(x.numel() for x in load_file(folder / "weights.safetensors").values())
    best = max((line for line in history(folder) if "validation" in line), key=lambda line: line["mean_miou"])
    assert card.validation == best["validation"] and len(card.validation) == 7 and card.training["best_step"] == best["step"]
    assert card.training["settings"] == settings().model_dump(mode="json") and card.training["steps"] == 6
    assert {"seconds", "tiles_per_second", "peak_memory_mb", "device", "threads"} <= set(card.training)
    assert set(card.provenance["data"]) == {"ant", "bee", "cat"} and card.provenance["teacher"]
    assert set(card.provenance) == {"code", "data", "origin", "teacher", "versions", "revision"}
    versions = {"dis2": __version__, "python": platform.python_version(), "torch": torch.__version__}
    assert card.provenance["versions"] == versions
    assert card.training["peak_memory_mb"] > (50 if card.training["device"] == "cpu" else 0)  # with Python and PyTorch


def test_the_revision_is_that_of_the_source_and_says_if_it_was_changed_since(needs, tmp_path, monkeypatch):
    def git(*told):
        command = [needs("git", "install git"), "-c", "user.name=it", "-c", "user.email=it@example.org", *told]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    source = tmp_path / "train.py"
    source.write_text("one")
    monkeypatch.setattr(module, "__file__", str(source))
    assert _revision() is None
    git("init")
    git("commit", "-m", "another project's", "--allow-empty", "--no-gpg-sign")
    assert _revision() is None
    git("add", ".")
    git("commit", "-m", "one", "--no-gpg-sign")
    revision = git("rev-parse", "HEAD")[:12]
    assert _revision() == revision
    git("tag", "a-name", "-m", "which", "--no-sign")
    source.write_text("two")
    assert _revision() == f"{revision}-dirty"


def test_a_teacher_s_card_tells_nothing_of_the_student_s_training(model):
    told = {name: set(read_card(model(name)).training["settings"]) for name in ("dis2", "teacher")}
    assert told["dis2"] - told["teacher"] == {"student_steps"} and not told["teacher"] - told["dis2"]


def test_an_ablation_is_in_the_card_and_a_part_that_a_teacher_lacks_anyway_asks_for_no_other_one(tiles, teacher, tmp_path):
    """Without compensation or certainty a student starts from the same teacher, without class-wise features from its own."""
    small = MODEL.model_copy(update={"compensation": False})
    folder = trained(tiles, "dis2", tmp_path / "dis2", teacher, model=small, distillation=False)
    card = read_card(folder)
    assert card.settings == small and not card.training["settings"]["distillation"]
    assert not {"features", "logits", "compensation"} & set(history(folder)[-1])
    assert not any(name.startswith("compensation") for name in load_file(folder / "weights.safetensors"))
    unsure = trained(tiles, "dis2", tmp_path / "unsure", teacher, model=MODEL.model_copy(update={"certainty": False}))
    assert not read_card(unsure).settings.certainty and read_card(teacher).settings.certainty
    with pytest.raises(UserError, match="train it again"):
        trained(tiles, "dis2", tmp_path / "other", teacher, model=MODEL.model_copy(update={"classwise": False}))


def test_distillation_is_a_choice_of_dis2_alone_and_a_rival_that_is_made_of_it_keeps_it(tiles, teacher, tmp_path):
    for method, expected in ("dis2", False), ("plain-distillation", True), ("singles+sd", True):
        line = history(trained(tiles, method, tmp_path / method, teacher, distillation=False))[-1]
        assert ("logits" in line) == expected, method


def test_how_far_rare_classes_weigh_more_is_the_config_s_to_say(tiles, tmp_path):
    """Seen in the first step's cross entropy, which is of the same tiles and weights; Dice knows no class weights."""
    first = [history(trained(tiles, "teacher", tmp_path / str(balance), balance=balance))[0] for balance in (0.0, 1.0)]
    assert first[0]["dice"] == first[1]["dice"] and first[0]["cross_entropy"] != first[1]["cross_entropy"]


def test_the_teacher_trains_on_whole_scenes_and_is_validated_with_every_sensor(teacher):
    assert set(read_card(teacher).validation) == {"eye+echo+relief"}


def test_a_specialist_is_the_teacher_s_training_with_exactly_its_sensors(tiles, tmp_path):
    """Its scenes need no other sensor, nothing of another sensor is in its model, and it knows no other combination."""
    poisoned = shutil.copytree(tiles, tmp_path / "poisoned")
    for seed, name in enumerate(("ant", "bee", "cat")):
        images, valid, labels = scene(name, seed)
        others = {"echo"} & set(images)
        write(poisoned, name, images | {s: images[s] * np.nan for s in others}, valid | {s: ~valid[s] for s in others}, labels)
    both = tiles, unchanged(poisoned)
    folders = [trained(it, "specialist", tmp_path / f"model-{it.name}", combination="eye+relief") for it in both]
    one, other = (load_file(folder / "weights.safetensors") for folder in folders)
    assert all(torch.equal(one[name], other[name]) for name in one)
    card = read_card(folders[0])
    assert card.sensors == {"eye": 4, "relief": 1} == {s: SENSORS[s] for s in card.statistics}
    assert card.method == "specialist" and set(card.validation) == {"eye+relief"} and card.training["steps"] == 12
    assert not any("echo" in name for name in one)


def test_scenes_that_lack_a_sensor_of_a_specialist_are_not_drawn_for_it(tiles, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Loop, "run", lambda loop: drawn.append(loop.sampler.names) or (_ for _ in ()).throw(UserError("enough")))
    for combination in ("eye", "echo+relief"):
        with pytest.raises(UserError, match="enough"):
            trained(tiles, "specialist", tmp_path, combination=combination)
    assert drawn == [["ant", "bee"], ["ant"]]


@pytest.mark.parametrize(
    ("method", "distillation", "share"),
    [("dis2", True, 0.4), ("dis2", False, 0.0), ("singles+sd", False, 0.4), ("teacher", True, 0.0), ("unet", True, 0.0)],
)
def test_tiles_without_labels_are_drawn_for_methods_that_learn_from_them_alone(
    method, distillation, share, tiles, teacher, tmp_path, monkeypatch, capsys
):
    drawn = []
    monkeypatch.setattr(Loop, "run", lambda loop: drawn.append(loop.sampler) or (_ for _ in ()).throw(UserError("enough")))
    guide = teacher if method_of(method).teacher else None
    with pytest.raises(UserError, match="enough"):
        trained(tiles, method, tmp_path, guide, unlabelled=0.4, distillation=distillation)
    assert drawn[0].unlabelled == share and bool(len(drawn[0].whole)) == bool(share)
    said = "dis2: training.unlabelled is not used, since it learns from labels alone" in capsys.readouterr().err
    assert said == (method == "dis2" and not distillation)


def test_test_pixels_are_not_read(tiles, model, teacher, tmp_path):
    """NaN and false labels in the test scene, and no test scene at all, leave the trained weights bit-equal."""
    poisoned, without = (shutil.copytree(tiles, tmp_path / name) for name in ("poisoned", "without"))
    images, valid, labels = scene("dog", 9)
    write(
        poisoned,
        "dog",
        {s: x * np.nan for s, x in images.items()},
        {s: ~v for s, v in valid.items()},
        (labels + 1) % len(CLASSES),
    )
    shutil.rmtree(without / "dog.zarr")
    (without / "dog.manifest.json").unlink()
    models = [trained(it, "dis2", tmp_path / f"model-{it.name}", teacher) for it in (poisoned, without)]
    clean, *others = (load_file(it / "weights.safetensors") for it in (model("dis2"), *models))
    assert all(torch.equal(clean[name], other[name]) for other in others for name in clean)


def test_test_blocks_are_not_read(tiles, tmp_path):
    """The same where the splits are blocks of one scene."""
    blocks = {"by": "block", "size": 24, "gap": 0, "folds": 3, "fold": 1}
    scenes = {"ant": {"sensors": {s: f"{s}.tif" for s in SENSORS}, "labels": "labels.tif"}}
    described = data(scenes=scenes, split=blocks)
    test = in_split(described, "ant", "test", Window(0, 0, *SIZE), *SIZE)
    assert 0.1 < test.mean() < 0.6
    clean, poisoned = (shutil.copytree(tiles, tmp_path / name) for name in ("clean", "poisoned"))
    images, valid, labels = scene("ant", 0)
    images = {s: np.where(test, np.float32(np.nan), x) for s, x in images.items()}
    valid = {s: np.where(test, ~v, v) for s, v in valid.items()}
    write(poisoned, "ant", images, valid, np.where(test, (labels + 1) % len(CLASSES), labels).astype(np.uint8))
    for folder in (clean, poisoned):
        statistics(described, folder, folder / "statistics.json")
    models = [trained(it, "teacher", tmp_path / f"model-{it.name}", data=described) for it in (clean, poisoned)]
    clean, other = (load_file(model / "weights.safetensors") for model in models)
    assert all(torch.equal(clean[name], other[name]) for name in clean)


@pytest.mark.parametrize(
    ("method", "steps"),
    [("teacher", 30), ("dis2", 12), ("singles+sd", 12), ("plain-distillation", 12), ("unet", 42), ("specialist", 42)],
)
def test_a_rival_gets_the_steps_of_teacher_and_student_together_unless_it_starts_from_the_teacher(method, steps):
    assert _steps(settings(teacher_steps=30, student_steps=12), method_of(method)) == steps


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("magix", {}, "magix: not a method; there are teacher, dis2, "),
        ("teacher", {"seed": -1}, "--seed -1: must be a number from 0 to 9223372036854775807"),
        ("teacher", {"seed": 2**63}, "--seed 9223372036854775808: must be a number from 0"),
        ("specialist", {}, r"--combination: missing; specialist is trained for one, such as eye\+echo\+relief"),
        ("specialist", {"combination": "eye+ear"}, r"--combination eye\+ear: 'ear' is not one of the sensors"),
        ("teacher", {"combination": "eye"}, "--combination: teacher takes any combination; leave the option out"),
        ("dis2", {}, "--teacher: missing"),
        ("sensor-dropout", {"teacher": "teacher"}, "--teacher: sensor-dropout starts from fresh weights"),
        ("dis2", {"teacher": "nowhere"}, "model.json: cannot be read"),
        (
            "dis2",
            {"teacher": "teacher", "model": MODEL.model_copy(update={"width": 8})},
            "model: the teacher has width=4 .*width=8",
        ),
        (
            "dis2",
            {"teacher": "teacher", "model": MODEL.model_copy(update={"depth": 2})},
            "model: the teacher has .*depth=1 .*depth=2",
        ),
        ("teacher", {"data": data(SENSORS | {"echo": 3})}, "statistics.json: made for other sensors, bands"),
        ("teacher", {"data": data(classes=["a", "b", "c"])}, "statistics.json: made for other sensors, bands"),
        ("teacher", {"data": data(split={"labels": 0.5})}, "statistics.json: made of other scenes, or another split"),
        (
            "dis2",
            {"teacher": "teacher", "data": data(dict(reversed(SENSORS.items())))},
            "sensors: the model has eye .*the config relief",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line_and_no_file(method, changes, said, tiles, teacher, tmp_path):
    if "teacher" in changes:
        changes = changes | {"teacher": teacher.parent / changes["teacher"]}
    with pytest.raises(UserError, match=said) as error:
        trained(tiles, method, tmp_path / "out", **changes)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_network_is_shown_heights_with_their_relief_and_told_of_as_one_band(tiles, tmp_path):
    """Relief beside heights is a band more for the network, and none for who gives it rasters."""
    folder, plain = shutil.copytree(tiles, tmp_path / "tiles"), data()
    sensors = plain.sensors | {"relief": Sensor(bands=1, kind="surface", relief=(0, 3))}
    described = plain.model_copy(update={"sensors": sensors})
    statistics(described, folder, folder / "statistics.json")
    out = trained(folder, "teacher", tmp_path / "model", data=described)
    card, known = read_card(out), read_card(out).statistics["relief"]
    assert card.sensors == SENSORS and card.channels == SENSORS | {"relief": 2} and known["relief"] == [0, 3]
    assert len(known["mean"]) == 2 and abs(known["mean"][1]) < 0.1 < known["std"][1]
    assert load_file(out / "weights.safetensors")["encoders.relief.stem.0.weight"].shape[1] == 3
    rasters = {sensor: np.ones((bands, 32, 32), np.float32) for sensor, bands in SENSORS.items()}
    assert load(out).predict(rasters).classes.shape == (32, 32)
    with pytest.raises(UserError, match="made for other sensors, bands, relief or classes"):
        trained(folder, "teacher", tmp_path / "other")


def test_statistics_that_an_earlier_version_wrote_are_refused(tiles, tmp_path):
    """It told one radius as a number, and not yet of which stores they are."""
    other = shutil.copytree(tiles, tmp_path / "tiles")
    told = {key: value for key, value in read_json(other / "statistics.json").items() if key != "stores"}
    write_json(other / "statistics.json", told)
    with pytest.raises(UserError, match="statistics.json: made of other scenes"):
        trained(other, "teacher", tmp_path / "out")
    told["sensors"]["eye"]["relief"] = 0
    write_json(other / "statistics.json", told)
    with pytest.raises(UserError, match="statistics.json: made for other sensors, bands"):
        trained(other, "teacher", tmp_path / "out")


def test_a_teacher_of_other_statistics_is_refused(tiles, teacher, tmp_path):
    other = shutil.copytree(tiles, tmp_path / "tiles")
    told = read_json(other / "statistics.json")
    told["sensors"]["eye"]["mean"][0] += 1e-6
    write_json(other / "statistics.json", told)
    with pytest.raises(UserError, match="statistics: the teacher was trained with others"):
        trained(other, "dis2", tmp_path / "out", teacher)


@pytest.mark.parametrize("method", ["dis2", "sensor-dropout"])
def test_a_model_goes_on_from_its_weights_and_its_view_of_the_sensors(method, tiles, model, tmp_path):
    """With a rate of nearly nothing it stays what it was, whatever the statistics of the new scenes are; no teacher is needed."""
    other = shutil.copytree(tiles, tmp_path / "tiles")
    told = read_json(other / "statistics.json")
    told["sensors"]["eye"]["mean"][0] += 5
    write_json(other / "statistics.json", told)
    out = trained(other, method, tmp_path / "out", origin=model(method), learning_rate=1e-12, ema=0.0)
    before, after = (load_file(folder / "weights.safetensors") for folder in (model(method), out))
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)
    cards = [read_json(folder / "model.json") for folder in (model(method), out)]
    assert cards[0]["statistics"] == cards[1]["statistics"] and cards[1]["provenance"]["origin"]
    assert cards[0]["validation"] == cards[1]["validation"]


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("sensor-dropout", {}, "a model of dis2, not of sensor-dropout; name that method, or another model"),
        ("dis2", {"model": MODEL.model_copy(update={"width": 8})}, "model: it has width=4 .*, the config width=8"),
        ("dis2", {"data": data(dict(reversed(SENSORS.items())))}, "sensors: the model has eye .*the config relief"),
    ],
)
def test_a_model_that_does_not_fit_is_not_gone_on_from(method, changes, said, tiles, model, tmp_path):
    with pytest.raises(UserError, match=said):
        trained(tiles, method, tmp_path / "out", origin=model("dis2"), **changes)


def test_a_model_is_not_gone_on_from_where_what_it_has_learnt_from_is_to_score_it(tiles, model, tmp_path):
    moved = {name: one | {"split": {"ant": "test", "dog": "train"}.get(name, one["split"])} for name, one in SCENE_FILES.items()}
    here, described = shutil.copytree(tiles, tmp_path / "tiles"), data(scenes=moved)
    statistics(described, here, here / "statistics.json")
    with pytest.raises(
        UserError,
        match=f"^--from {model('teacher')}: pixels of ant are of the test split here, but trained it; score it on others$",
    ):
        trained(here, "teacher", tmp_path / "out", origin=model("teacher"), data=described)


def test_what_a_model_had_learnt_from_before_it_went_on_is_in_its_card(tiles, model, tmp_path):
    elsewhere = {name: one | {"split": {"bee": None}.get(name, one["split"])} for name, one in SCENE_FILES.items()}
    here, described = shutil.copytree(tiles, tmp_path / "tiles"), data(scenes=elsewhere)
    statistics(described, here, here / "statistics.json")
    card = read_card(trained(here, "dis2", tmp_path / "out", origin=model("dis2"), data=described))
    trained_on = {one["store"] for one in card.training["learnt_from"] if one["trained"]}
    assert trained_on == {digest_of(store_path(tiles, scene)) for scene in ("ant", "bee")}
    assert set(card.provenance["data"]) == {"ant", "cat"}


def test_specialists_go_on_from_the_folder_of_all_or_of_their_own(tiles, tmp_path):
    before = trained(tiles, "specialist", tmp_path / "before/echo+relief", combination="relief+echo")
    for number, folder in enumerate((before, before.parent)):
        out = tmp_path / f"{number}"
        trained(tiles, "specialist", out, combination="echo+relief", origin=folder, learning_rate=1e-12, ema=0.0)
        own, its = (load_file(it / "weights.safetensors") for it in (out, before))
        assert all(torch.allclose(own[name], its[name], atol=1e-8) for name in its)
    with pytest.raises(UserError, match="before/eye/model.json: cannot be read"):
        trained(tiles, "specialist", tmp_path / "out", combination="eye", origin=before.parent)


def test_a_teacher_of_more_labels_is_refused(tiles, teacher, tmp_path):
    fewer = data(split={"labels": 0.5})
    told = read_json(tiles / "statistics.json") | {"split": fewer.split.model_dump(mode="json")}
    here = shutil.copytree(tiles, tmp_path / "tiles")
    write_json(here / "statistics.json", told)
    with pytest.raises(UserError, match=r"data.split.labels: the teacher has 1.0, the config 0.5; train it again"):
        trained(here, "dis2", tmp_path / "out", teacher, data=fewer)


def test_a_teacher_of_other_labels_on_the_same_pixels_is_refused(tiles, teacher, tmp_path):
    here = shutil.copytree(tiles, tmp_path / "tiles")
    images, valid, labels = scene("ant", list(SCENES).index("ant"))
    shutil.rmtree(store_path(here, "ant"))
    write(here, "ant", images, valid, labels[::-1])
    with pytest.raises(UserError, match="the teacher was trained before .*ant.zarr was cut as it is; train it again"):
        trained(unchanged(here), "dis2", tmp_path / "out", teacher)


def test_who_goes_on_elsewhere_may_keep_the_teacher_of_before(tiles, teacher, model, tmp_path):
    """Scenes there may have the same names, and other shares of labels."""
    fewer, here = data(split={"labels": 0.5}), shutil.copytree(tiles, tmp_path / "tiles")
    images, valid, labels = scene("ant", list(SCENES).index("ant"))
    shutil.rmtree(store_path(here, "ant"))
    write(here, "ant", images, valid, labels[::-1])
    statistics(fewer, here, here / "statistics.json")
    line = history(trained(here, "dis2", tmp_path / "out", teacher, origin=model("dis2"), data=fewer))[-1]
    assert line["logits"] > 0


@pytest.mark.parametrize("parts", [{"accumulate": 2}, {"devices": 2}])
def test_a_method_that_looks_at_the_whole_batch_is_not_trained_in_parts(parts, tiles, tmp_path):
    with pytest.raises(UserError, match="training.devices x accumulate: 2: paper looks at the whole batch at once"):
        trained(tiles, "paper", tmp_path, **parts)


@pytest.mark.parametrize("key", ["speckle", "photometric"])
def test_changes_of_a_sensor_that_is_none_are_one_line(key, tiles, tmp_path):
    with pytest.raises(UserError, match=rf"training.{key}.radar: not one of the sensors \(eye, echo, relief\)"):
        trained(tiles, "teacher", tmp_path, **{key: {"radar": 4}})


@pytest.mark.parametrize("looks", [0, -1])
def test_speckle_has_some_looks(looks):
    with pytest.raises(ValidationError, match="greater than 0"):
        settings(speckle={"echo": looks})


def test_speckle_of_relative_values_is_one_line(tiles, tmp_path):
    sensors = {name: spec.model_copy(update={"relative": name == "echo"}) for name, spec in data().sensors.items()}
    told = data().model_copy(update={"sensors": sensors})
    with pytest.raises(UserError, match="training.speckle.echo: its values are relative"):
        trained(tiles, "teacher", tmp_path, data=told, speckle={"echo": 4})


def test_speckle_of_heights_over_what_is_around_is_one_line(tiles, tmp_path):
    sensors = data().sensors | {"relief": Sensor(bands=1, kind="surface", relief=5)}
    with pytest.raises(UserError, match=r"training.speckle.relief: its values are heights \(relief\)"):
        trained(tiles, "teacher", tmp_path, data=data().model_copy(update={"sensors": sensors}), speckle={"relief": 4})


POSITIVE = {sensor: {"low": [0.0] * bands} for sensor, bands in SENSORS.items()}


def test_speckle_is_drawn_in_the_order_of_the_config_and_not_of_a_set(tiles):
    for told in list(SENSORS), list(reversed(SENSORS)):
        assert list(_speckle(settings(speckle=dict.fromkeys(told, 4.0)), data(), tiles, POSITIVE)) == told


@pytest.mark.parametrize(("unit", "decibels"), [(None, False), ("m", False), ("dB", True)])
def test_speckle_is_that_of_decibels_where_the_values_are(unit, decibels, tmp_path):
    for seed, name in enumerate(SCENES):
        write(tmp_path, name, *scene(name, seed), units={"echo": unit} if unit else {})
    assert _speckle(settings(speckle={"echo": 4}), data(), tmp_path, POSITIVE) == {"echo": (4.0, decibels)}


def test_values_below_zero_are_speckled_only_when_they_are_said_to_be_decibels(tiles, tmp_path):
    with pytest.raises(
        UserError, match=r"speckle.echo: values go down to -.*set data.sensors.echo.scaling: {unit: dB}; else leave it out"
    ):
        trained(tiles, "teacher", tmp_path, speckle={"echo": 4})
    for seed, name in enumerate(SCENES):
        write(tmp_path, name, *scene(name, seed), units={"echo": "dB"} if name == "ant" else {})
    scenes = data().scenes | {"cat": data().scenes["cat"].model_copy(update={"split": "train"})}
    more = data().model_copy(update={"scenes": scenes})
    with pytest.raises(UserError, match="speckle.echo: some scenes are in dB, others not"):
        _speckle(settings(speckle={"echo": 4}), more, tmp_path, POSITIVE)


def test_speckle_looks_at_the_values_that_are_trained_on_and_not_at_those_of_the_origin(tiles, model, tmp_path):
    with pytest.raises(UserError, match="speckle.echo: values go down to -"):
        trained(tiles, "sensor-dropout", tmp_path / "out", origin=powers(model("sensor-dropout"), tmp_path), speckle={"echo": 4})


def powers(folder, tmp_path):
    """A model that knows values from 0 on."""
    out = shutil.copytree(folder, tmp_path / "powers")
    card = read_json(out / "model.json")
    for one in card["statistics"].values():
        one["low"] = [0.0] * len(one["low"])
    write_json(out / "model.json", card)
    return out


def test_speckle_of_a_sensor_does_not_concern_the_specialist_of_another(tiles, tmp_path):
    assert trained(tiles, "specialist", tmp_path / "one", combination="eye", speckle={"echo": 4}).is_dir()


def test_a_state_is_of_these_scenes_in_this_order(tmp_path, monkeypatch):
    tiles = made(tmp_path / "tiles", units={"echo": "dB"})

    def key(**changes):
        monkeypatch.setattr(Loop, "run", lambda loop: (_ for _ in ()).throw(UserError(loop.key)))
        with pytest.raises(UserError) as told:
            trained(tiles, "sensor-dropout", tmp_path / "out", speckle={"echo": 4}, **changes)
        return str(told.value)

    known, scenes = data(), data().scenes
    assert key() == key(cache="none")
    for changes in (
        {"scenes": dict(reversed(scenes.items()))},
        {"scenes": scenes | {"bee": scenes["cat"], "cat": scenes["bee"]}},
    ):
        assert key(data=known.model_copy(update=changes)) != key()


def test_a_model_is_not_gone_on_from_with_values_of_another_scale(tiles, model, tmp_path):
    sensors = data().sensors | {"echo": Sensor(bands=2, scaling={"factor": 10})}
    with pytest.raises(UserError, match=r"sensors.echo.scaling: the model has .*factor=None.*, the config factor=10.*train it"):
        trained(tiles, "dis2", tmp_path / "out", origin=model("dis2"), data=data().model_copy(update={"sensors": sensors}))


def test_without_its_teacher_a_method_that_distils_says_that_it_learns_from_labels_alone(tiles, model, tmp_path, capsys):
    trained(tiles, "dis2", tmp_path / "out", origin=model("dis2"))
    assert "dis2: learns from labels alone, since no --teacher is given" in capsys.readouterr().err


def test_a_training_that_stops_early_tells_the_steps_that_it_took(tiles, tmp_path):
    changes = {"teacher_steps": 40, "validate_every": 1, "patience": 1, "learning_rate": 1e-12}
    card = read_card(trained(tiles, "teacher", tmp_path, **changes)).training
    assert card["steps"] == len(history(tmp_path)) < 40
    assert card["steps"] * 2 / card["tiles_per_second"] == pytest.approx(card["seconds"], abs=0.06)  # seconds are told to a tenth


def test_what_cannot_be_written_is_told_before_the_training(tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "run", lambda loop: pytest.fail("it was trained"))
    (tmp_path / "file").touch()
    for out, state in ((tmp_path / "file" / "out", None), (tmp_path / "out", tmp_path / "file")):
        with pytest.raises(UserError, match=r"file.*cannot be written"):
            trained(tiles, "teacher", out, state=state)


def test_a_student_is_no_teacher(tiles, model, tmp_path):
    with pytest.raises(UserError, match="a model of dis2, not a teacher"):
        trained(tiles, "dis2", tmp_path / "out", model("dis2"))


def test_a_student_of_another_chunk_size_takes_the_same_teacher(tiles, teacher, tmp_path):
    assert trained(tiles, "dis2", tmp_path / "out", teacher, model=MODEL.model_copy(update={"class_chunk": 2})).is_dir()
