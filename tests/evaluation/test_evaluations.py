"""Evaluations as they are found in folders, and those of a study's folds as one."""

import json

import pytest

from dis2.errors import UserError
from dis2.evaluation.evaluations import evaluations, pooled
from tests.evaluation.test_compare import in_folds, written

LEVELS = {"dis2": 0.7, "rival": 0.6}


def test_a_results_folder_is_read_by_what_its_files_say(tmp_path):
    folder = written(tmp_path, LEVELS)
    (folder / "evaluation/notes.json").write_text("[]")
    assert {method: list(seeds) for method, seeds in evaluations(folder).items()} == {"dis2": [0, 1], "rival": [0, 1]}
    assert list(evaluations(folder / "evaluation/rival")) == ["rival"]


def test_what_was_cut_into_folds_is_whole_again(tmp_path):
    whole = written(tmp_path / "whole", LEVELS)
    assert pooled(in_folds(whole, tmp_path, 4)) == evaluations(whole)


def test_the_calibration_error_of_folds_is_their_mean_over_pixels(tmp_path):
    whole = written(tmp_path / "whole", LEVELS)
    folds, pixels = in_folds(whole, tmp_path, 2), []
    for fold, error in zip(folds, (0.1, 0.3), strict=True):
        entry = {"scores": {"ece": error}, "untempered": {"ece": 2 * error}}
        changed(fold, lambda told, entry=entry: told.update(combinations=dict.fromkeys(told["combinations"], entry)))
        pixels.append(sum(map(sum, evaluations(fold)["dis2"][0]["blocks"]["truth"])))
    expected = (0.1 * pixels[0] + 0.3 * pixels[1]) / sum(pixels)
    for entry in pooled(folds)["dis2"][0]["combinations"].values():
        assert entry["scores"]["ece"] == pytest.approx(expected, abs=1e-6)
        assert entry["untempered"]["ece"] == pytest.approx(2 * expected, abs=1e-6)


def changed(folder, change):
    for path in folder.rglob("*.json"):
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda told: told.update(split="validation"),
            "fold1: split: validation, but test in .*fold0; folds of one",
        ),
        (
            lambda told: told["blocks"].update(side=64),
            "fold1: evaluation.block: 64, but 128 in .*fold0; evaluate all",
        ),
        (lambda told: told.update(seed=told["seed"] + 1), "fold0: no evaluation of dis2, seed 2, which other folds have; run it"),
    ],
)
def test_folds_that_are_not_of_one_study_are_one_clear_line(tmp_path, change, line):
    folds = in_folds(written(tmp_path / "whole", LEVELS), tmp_path, 2)
    changed(folds[1], change)
    with pytest.raises(UserError, match=line) as error:
        pooled(folds)
    assert "\n" not in str(error.value)


def test_a_fold_that_is_given_twice_is_one_clear_line(tmp_path):
    folds = in_folds(written(tmp_path / "whole", LEVELS), tmp_path, 2)
    with pytest.raises(UserError, match="fold0: scored the same pixels as .*fold0 .*give each fold once"):
        pooled([*folds, folds[0]])
