"""What an explanation says is what the evaluation finds when a sensor is missing, and what a level is worth."""

import csv

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from dis2.config.data import ClassLabel
from dis2.config.evaluation import EvaluationSettings
from dis2.config.prediction import PredictionSettings
from dis2.errors import UserError
from dis2.evaluation import explain as module
from dis2.evaluation.evaluate import evaluate
from dis2.evaluation.explain import Canvas, explain, flattened, margins
from dis2.files import read_json, write_json
from dis2.models.files import load, save
from dis2.models.registry import METHODS
from dis2.raster.grid import windows
from dis2.tiles.cut import cut
from tests.models.rivals.test_specialist import saved
from tests.models.test_files import card
from tests.models.tester import TINY, fresh, sensors_of
from tests.prediction.scenes import TRUST, written
from tests.training.tiny import CLASSES, SENSORS

ALWAYS = {"explanation.json", "sensors.csv", "levels.csv", "evidence.npy"}


def explained(model, folder, data):
    """What is written for scene `dog`."""
    explain(data, TRUST, PredictionSettings(tile=32, batch=3), model, "dog", None, folder / "found")
    return read_json(folder / "found" / "explanation.json")


def test_the_margin_is_how_far_the_class_lies_above_the_best_other_one():
    logits = np.array([[2.0, 0.0, 5.0], [1.0, 3.0, 0.0], [0.5, 0.0, 4.0]], np.float32)  # classes x pixels
    assert margins(logits, np.array([0, 0, 2], np.uint8)).tolist() == [1.0, -3.0, -1.0]


def test_a_flattened_level_says_its_mean_everywhere_and_the_others_what_they_did():
    fused = [torch.rand(2, channels, 8, 8) for channels in (4, 8, 16, 32)]
    found = flattened(fused, 2)
    assert all(found[i] is fused[i] for i in (0, 2, 3))
    assert found[1].std((2, 3)).max() < 1e-6
    torch.testing.assert_close(found[1][..., 3, 5], fused[1].mean((2, 3)))
    (only,) = flattened(fused[3:], 4)
    assert only.std((2, 3)).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(70, 41), (20, 90), (7, 5)])
def test_a_canvas_is_the_picture_thinned(monkeypatch, height, width):
    monkeypatch.setattr(module, "SIDE", 30)
    picture = np.random.default_rng(0).random((2, height, width), np.float32)
    canvas = Canvas.of(2, height, width)
    for window in windows(height, width, 16):
        canvas.put(window, picture[:, *window.slices])
    assert max(canvas.values.shape) <= 30
    np.testing.assert_array_equal(canvas.values, picture[:, :: canvas.step, :: canvas.step])


def test_what_a_class_loses_without_a_sensor_is_what_the_evaluation_of_the_others_says(model, tmp_path):
    data, _ = written(tmp_path)
    told = explained(model("dis2"), tmp_path, data)
    write_json(tmp_path / "shifts.json", {"sensors": {}})
    cut(data, TRUST, "dog", tmp_path / "shifts.json", tmp_path / "tiles" / "dog.zarr")
    evaluate(data, EvaluationSettings(tile=32), model("dis2"), tmp_path / "tiles", tmp_path / "found.json", "test", False)
    scores = {name: entry["scores"]["iou"] for name, entry in read_json(tmp_path / "found.json")["combinations"].items()}
    assert told["iou"] == scores["eye+echo+relief"]
    for sensor, rest in (("eye", "echo+relief"), ("echo", "eye+relief"), ("relief", "eye+echo")):
        lost = {name: told["iou"][name] - scores[rest][name] for name in CLASSES}
        assert {name: loss["iou"] for name, loss in told["without_sensor"][sensor].items()} == pytest.approx(lost, abs=2e-6)
    assert any(loss["margin"] for loss in told["without_sensor"]["eye"].values()) and told["truth"] == "labels"


def test_tables_hold_what_the_json_says_and_pictures_can_be_looked_at(model, tmp_path):
    told = explained(model("dis2"), tmp_path, written(tmp_path)[0])
    folder = tmp_path / "found"
    assert {path.name for path in folder.iterdir()} == {*ALWAYS, "pictures"} and told["left_out"] == []
    assert {path.stem for path in folder.glob("pictures/*.png")} == {"evidence", "levels", "losses", "sensors"}
    for name, key in (("sensor", "without_sensor"), ("level", "without_level")):
        with (folder / f"{name}s.csv").open() as stream:
            for line in csv.DictReader(stream):
                lost = told[key][line[name]][line["class"]]
                assert (float(line["iou_lost"]), float(line["margin_lost"])) == (lost["iou"], lost["margin"])
                assert int(line["pixels"]) == told["pixels"][line["class"]]
    assert list(told["without_level"]) == ["1", "2", "3", "4"] and list(told["without_sensor"]) == list(SENSORS)
    for path in folder.glob("pictures/*.png"):
        assert len(np.unique(np.asarray(Image.open(path).convert("L")))) > 20


def test_evidence_is_the_gate_of_each_class_in_percent_and_nothing_where_no_sensor_measured(model, tmp_path):
    data, _ = written(tmp_path)
    explained(model("dis2"), tmp_path, data)
    found = np.load(tmp_path / "found" / "evidence.npy")
    measured = np.any([rasterio.open(tmp_path / f"{sensor}.tif").read(1) != -999 for sensor in SENSORS], axis=0)
    assert found.shape == (len(CLASSES), *measured.shape) and ((found == 255) == ~measured).all()
    whole = load(model("dis2"))
    bands = {sensor: rasterio.open(tmp_path / f"{sensor}.tif").read()[None, :, 32:64, 32:64] for sensor in SENSORS}
    with torch.inference_mode():
        given = whole.prepare(bands, {sensor: image[:, 0] != -999 for sensor, image in bands.items()})
        gates = whole.network(*given).features.attention.sigmoid()[0].repeat_interleave(16, 1).repeat_interleave(16, 2)
    seen = measured[32:64, 32:64]
    np.testing.assert_allclose(found[:, 32:64, 32:64][:, seen], 100 * gates.numpy()[:, seen], atol=0.51)


@torch.inference_mode()
def test_evidence_of_a_plain_network_is_the_probability_that_its_coarsest_level_gives(tmp_path):
    plain = TINY.model_copy(update={"classwise": False})
    network = fresh("dis2", plain).float()
    save(tmp_path / "model", network, card("dis2", settings=plain))
    told = explained(tmp_path / "model", tmp_path, written(tmp_path)[0])
    shares = np.load(tmp_path / "found" / "evidence.npy").astype(int)
    known = (shares != 255).all(0)
    assert told["left_out"] == [] and known.any() and np.ptp(shares[:, known]) > 1
    assert abs(shares[:, known].sum(0) - 100).max() <= len(CLASSES)


def test_of_a_model_without_class_evidence_the_rest_is_told_and_that_it_is_left_out(model, tmp_path):
    told = explained(model("unet"), tmp_path, written(tmp_path)[0])
    assert told["left_out"] == [
        "class evidence: unet has no such part",
        "importance of levels: unet has no such part",
    ]
    assert list(told["without_sensor"]) == list(SENSORS) and len(np.load(tmp_path / "found" / "evidence.npy")) == 0
    assert {path.stem for path in tmp_path.glob("found/pictures/*")} == {"losses", "sensors"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_tells_what_each_sensor_gives(method, tmp_path):
    sensors = sensors_of(method)
    if method == "specialist":
        folder = saved(tmp_path / "model")
    else:
        save(folder := tmp_path / "model", fresh(method).float(), card(method, sensors=sensors))
    data, _ = written(tmp_path)
    dog = data.scenes["dog"].model_copy(update={"sensors": {s: data.scenes["dog"].sensors[s] for s in sensors}})
    some = data.model_copy(update={"sensors": {s: data.sensors[s] for s in sensors}, "scenes": {"dog": dog}})
    told = explained(folder, tmp_path, some)
    assert list(told["without_sensor"]) == list(sensors) and sum(told["pixels"].values()) > 0
    assert any(loss["margin"] for loss in told["without_sensor"]["echo"].values())


def test_without_labels_the_map_of_all_sensors_stands_for_the_truth(model, tmp_path):
    told = explained(model("dis2"), tmp_path, written(tmp_path, labelled=False)[0])
    assert told["truth"].startswith("the map of all sensors")
    assert set(told["iou"].values()) <= {1.0, None}
    assert all(
        loss["iou"] is None or loss["iou"] >= 0 for classes in told["without_sensor"].values() for loss in classes.values()
    )


def test_a_scene_in_which_no_pixel_counts_is_told_of_and_shows_where_classes_are_looked_for(model, tmp_path, capsys):
    data, _ = written(tmp_path)
    named = {name: ClassLabel(values=(name,)) for name in data.classes}
    nothing = data.model_copy(update={"ignore": (0, 1, 2, 255), "classes": named})
    told = explained(model("dis2"), tmp_path, nothing)
    (line,) = told["left_out"]
    assert (
        line.endswith("no pixel that every sensor measured has a label")
        and f"warning: scene dog: {line}" in capsys.readouterr().err
    )
    assert told["without_sensor"] == told["without_level"] == {} and len(np.load(tmp_path / "found" / "evidence.npy")) == len(
        CLASSES
    )
    assert {path.name for path in (tmp_path / "found").iterdir()} == {*ALWAYS, "pictures"}


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(model, tmp_path):
    data, _ = written(tmp_path)
    (tmp_path / "found").write_text("in the way")
    with pytest.raises(UserError, match="explanation.json: cannot be written"):
        explained(model("dis2"), tmp_path, data)
