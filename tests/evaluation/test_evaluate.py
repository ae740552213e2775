"""The evaluation stage: every combination with its confusion matrix and all that follows from it."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dis2.combinations import combinations, name_of
from dis2.config.evaluation import EvaluationSettings
from dis2.errors import UserError
from dis2.evaluation.evaluate import FAILURES, evaluate, rowwise
from dis2.evaluation.openings import openings
from dis2.files import read_json, write_json
from dis2.models.files import CARD, load, read_card, save
from tests.models.rivals.test_specialist import saved, specialist
from tests.training.tiny import CLASSES, SENSORS, data

NAMES = [name_of(c) for c in combinations(tuple(SENSORS))]

PLAIN = {"partial": {"windows": 0}}


@pytest.fixture
def evaluated(tiles, model, tmp_path):
    def of(method="dis2", split="test", zeros=False, tile=32, folder=None, teacher=None, told=PLAIN, **changes):
        settings = EvaluationSettings.model_validate({"tile": tile, "batch": 2, "bins": 10} | told)
        evaluate(data(**changes), settings, folder or model(method), tiles, tmp_path / "found.json", split, zeros, teacher)
        return read_json(tmp_path / "found.json")

    return of


def test_every_combination_has_its_confusion_matrix_and_the_scores_that_follow_from_it(evaluated):
    found = evaluated()
    assert list(found["combinations"]) == NAMES and found["method"] == "dis2" and found["scenes"] == ["dog"]
    for entry in found["combinations"].values():
        for part in (entry, entry["all_pixels"]):
            matrix, scores = np.array(part["confusion"]), part["scores"]
            hit = np.diag(matrix)
            iou = hit / (matrix.sum(0) + matrix.sum(1) - hit)
            assert list(scores["iou"].values()) == pytest.approx(iou.tolist(), abs=1e-6) and list(scores["iou"]) == list(CLASSES)
            assert scores["miou"] == pytest.approx(iou.mean(), abs=1e-6)
            assert scores["oa"] == pytest.approx(hit.sum() / matrix.sum(), abs=1e-6) and scores["pixels"] == matrix.sum()
            reliability = part["reliability"]
            assert sum(reliability["count"]) == matrix.sum() and sum(reliability["right"]) == hit.sum()
            apart = np.abs(np.array(reliability["right"]) - reliability["confidence"]).sum() / matrix.sum()
            assert scores["ece"] == pytest.approx(apart, abs=1e-6)


def test_all_combinations_are_scored_on_the_same_pixels(evaluated):
    found = evaluated()
    rows = {str(np.sum(entry["confusion"], 1)) for entry in found["combinations"].values()}
    every = {str(np.sum(entry["all_pixels"]["confusion"], 1)) for entry in found["combinations"].values()}
    assert len(rows) == len(every) == 1
    assert 0 < found["protocol"]["pixels"] < found["protocol"]["labelled_pixels"]


def test_the_summary_is_that_of_a_loop_over_all_failures(evaluated):
    found = evaluated()
    miou = {name: entry["scores"]["miou"] for name, entry in found["combinations"].items()}
    summary = found["summary"]
    assert summary["mean_miou"] == pytest.approx(np.mean(list(miou.values())), abs=1e-6)
    assert summary["worst"]["miou"] == min(miou.values()) == miou[summary["worst"]["combination"]]
    assert summary["drop"] == {name: pytest.approx(miou[NAMES[0]] - score, abs=1e-6) for name, score in miou.items()}
    for p in FAILURES:
        total = weight = 0.0
        for fails in itertools.product([True, False], repeat=3):
            if not all(fails):
                chance = np.prod([p if failed else 1 - p for failed in fails])
                total += chance * miou[name_of(s for s, failed in zip(SENSORS, fails, strict=True) if not failed)]
                weight += chance
        assert summary["expected"][str(p)] == pytest.approx(total / weight, abs=1e-6)


def test_a_teacher_fed_zeros_is_named_so_and_scores_otherwise(evaluated):
    plain, zeros = evaluated("teacher"), evaluated("teacher", zeros=True)
    assert (plain["method"], zeros["method"]) == ("teacher", "teacher-zeros")
    assert plain["combinations"][NAMES[0]] == zeros["combinations"][NAMES[0]]
    assert plain["combinations"]["echo"]["confusion"] != zeros["combinations"]["echo"]["confusion"]
    assert plain["protocol"] == zeros["protocol"]


def test_methods_are_scored_by_one_protocol(evaluated):
    """What belongs to a model is not part of it, or the report would say that scores cannot be compared."""
    told = [evaluated(method) for method in ("dis2", "unet")]
    assert told[0]["protocol"] == told[1]["protocol"] and told[0]["model"] != told[1]["model"]


def test_the_protocol_tells_what_was_not_scored(evaluated):
    assert evaluated()["protocol"]["ignored"] == ["255"]
    assert evaluated(ignore=[255, 7, "clouds"])["protocol"]["ignored"] == ["255", "7", "clouds"]


def test_each_combination_is_scored_by_its_own_specialist(evaluated, tmp_path):
    """All specialists in one folder are one model; another network for one combination changes that one's numbers only."""
    folder = saved(tmp_path / "specialists")
    before = evaluated(folder=folder)
    save(folder / "eye+relief", specialist(("eye", "relief"), seed=9).float(), read_card(folder / "eye+relief"))
    after = evaluated(folder=folder)
    changed = {name for name in NAMES if before["combinations"][name] != after["combinations"][name]}
    assert changed == {"eye+relief"}
    assert before["method"] == "specialist" and before["model"]["steps"] == 35 and list(before["combinations"]) == NAMES


def test_the_split_that_is_asked_for_is_scored(evaluated):
    assert evaluated(split="validation")["scenes"] == ["cat"]


def test_the_same_model_gives_the_same_file(evaluated):
    assert json.dumps(evaluated()) == json.dumps(evaluated())


def test_every_encoder_runs_once_a_batch_however_many_combinations_there_are(evaluated, model, monkeypatch):
    calls = []
    loaded = load(model("dis2"))
    for sensor, encoder in loaded.network.encoders.items():
        encoder.register_forward_hook(lambda _, given, __, it=sensor: calls.append(it) if len(given[0]) == 2 else None)
    monkeypatch.setattr("dis2.evaluation.evaluate.load", lambda folder: loaded)
    evaluated()
    assert calls.count("eye") == calls.count("echo") == calls.count("relief") == 3  # six windows, two at once


def test_blocks_likeness_and_partial_loss_are_told_where_they_are_wanted(evaluated, model):
    found = evaluated(teacher=model("teacher"), told={"block": 32, "partial": {"windows": 2, "clouds": [0.5]}})
    assert len(found["blocks"]["places"]) == 6 and list(found["blocks"]["hit"]) == NAMES
    assert list(found["similarity"]) == NAMES and list(found["similarity"]["eye"]) == ["1", "2", "3", "4"]
    damaged = found["partial"]
    assert list(damaged["clouds"]) == list(SENSORS) and list(damaged["clouds"]["eye"]) == ["0.5"]
    assert list(damaged["misregistration"]["echo"]) == ["1", "2", "4"] and list(damaged["noise"]["echo"]) == ["0.5", "1", "2"]
    assert list(damaged["whole"]) == NAMES and 0 < damaged["pixels"] < found["protocol"]["pixels"]
    plain = evaluated(told={"similarity": False} | PLAIN, teacher=model("teacher"))
    assert not {"similarity", "partial"} & plain.keys()
    assert plain["combinations"] == found["combinations"] and plain["protocol"] == found["protocol"]


def test_borders_are_not_scored_where_that_is_wanted(evaluated):
    plain, inner = evaluated(), evaluated(told={"erosion": 2} | PLAIN)
    assert 0 < inner["protocol"]["pixels"] < plain["protocol"]["pixels"] and inner["protocol"]["erosion"] == 2
    for row, whole in zip(inner["combinations"]["eye"]["confusion"], plain["combinations"]["eye"]["confusion"], strict=True):
        assert all(a <= b for a, b in zip(row, whole, strict=True))


@pytest.mark.parametrize("method", ["dis2", "unet", "teacher"])
def test_cost_stands_beside_quality_for_each_combination(evaluated, model, method):
    found = evaluated(method, zeros=method == "teacher")["cost"]
    network = load(model(method)).network
    stored = sum(parameter.numel() for parameter in network.parameters())
    assert list(found) == NAMES and all(0 < it["parameters"] <= stored and it["gflops"] > 0 for it in found.values())
    images = {
        sensor: torch.zeros(1, bands, 32, 32) for sensor, bands in SENSORS.items() if method == "teacher" or sensor == "eye"
    }
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images, {sensor: torch.ones(1, 1, 32, 32, dtype=torch.bool) for sensor in images})
    assert found["eye"]["gflops"] == pytest.approx(counter.get_total_flops() / 1e9, rel=0.02, abs=1e-3)
    assert (found["eye"]["gflops"] < found["eye+echo+relief"]["gflops"]) == (method == "dis2")


def test_a_place_that_cannot_be_written_is_told_before_the_test_split_is_looked_at(evaluated, tiles, tmp_path):
    before = openings(tiles).count
    (tmp_path / "found.json").mkdir()
    with pytest.raises(UserError, match="found.json: cannot be written"):
        evaluated()
    assert openings(tiles).count == before


def test_looking_at_the_test_split_is_counted_and_at_validation_is_not(evaluated, tiles):
    before = openings(tiles).count
    evaluated(split="validation")
    assert openings(tiles).count == before
    evaluated()
    assert openings(tiles).count == before + 1


def test_a_teacher_of_another_run_is_one_clear_line(evaluated, model, tmp_path):
    other = shutil.copytree(model("teacher"), tmp_path / "other")
    card = read_json(other / CARD)
    card["statistics"]["eye"]["mean"][0] += 1
    write_json(other / CARD, card)
    with pytest.raises(UserError, match="other: its statistics are not those of the model; give the teacher of the same run"):
        evaluated(teacher=other)


def test_json_has_a_line_for_each_key_and_each_row(evaluated, tmp_path):
    value = {"a": [[1, 2], [3]], "b": {"c": [], "d": {}}, "e": ["x", None, 0.5], "f": [{"g": 1}]}
    text = rowwise(value)
    assert json.loads(text) == value and "[1, 2]" in text and text.count("\n") == 15
    with pytest.raises(ValueError, match="JSON"):
        rowwise({"a": float("nan")})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sensors": {"eye": 4, "echo": 2}, "scenes": {}},
            "sensors: the model has eye .*relief .*the config eye .4 bands., echo .2 bands.; train",
        ),
        ({"sensors": dict(reversed(SENSORS.items()))}, "sensors: the model has eye .*the config relief"),
        ({"sensors": SENSORS | {"eye": 3}}, "sensors: the model has eye .4 bands.*the config eye .3 bands."),
        ({"classes": ("water", "soil", "tree")}, "classes: the model has water, tree, soil, the config water, soil, tree"),
    ],
)
def test_data_that_do_not_fit_the_model_are_one_clear_line(evaluated, changes, said):
    with pytest.raises(UserError, match=said) as error:
        evaluated(**changes)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_one_clear_line(evaluated, model, tmp_path):
    with pytest.raises(UserError, match="model.json: cannot be read"):
        evaluated(folder=tmp_path)
    damaged = shutil.copytree(model("dis2"), tmp_path / "damaged")
    (damaged / CARD).write_text("{}")
    with pytest.raises(UserError, match="model.json: method: Field required; not a model of this version") as error:
        evaluated(folder=damaged)
    assert "\n" not in str(error.value)
