"""Comparisons of methods whose true difference is known."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import jaccard_score

from dis2.errors import UserError
from dis2.evaluation.compare import (
    MEAN,
    Difference,
    compare,
    compared,
    drawn,
    estimate,
    holm,
    interval,
    said,
    weights,
)

NAMES = ("eye+echo", "eye", "echo")
CLASSES = 3


def document(rng, right, seed=0, method="dis2", blocks=24, pixels=400, places=None, spread=0.0):
    """An evaluation whose share of right pixels is given (by combination), and varies between blocks by `spread`."""
    places = places if places is not None else rng.dirichlet(np.full(CLASSES, 5), blocks)
    truth = np.round(places * pixels).astype(int)
    told = {
        "side": 128,
        "places": [["dog", 0, 128 * i] for i in range(len(truth))],
        "truth": truth.tolist(),
        "hit": {},
        "predicted": {},
    }
    for name in NAMES:
        level = right[name] if isinstance(right, dict) else right
        share = np.clip(level + spread * rng.normal(size=(len(truth), 1)), 0.02, 0.98)
        hit = rng.binomial(truth, np.broadcast_to(share, truth.shape))
        wrong = truth - hit
        predicted = hit + np.roll(wrong, 1, 1)
        told["hit"][name], told["predicted"][name] = hit.tolist(), predicted.tolist()
    return {
        "method": method,
        "seed": seed,
        "split": "test",
        "sensors": ["eye", "echo"],
        "classes": ["a", "b", "c"],
        "combinations": {name: {} for name in NAMES},
        "blocks": told,
    }


def runs(rng, levels, seeds=3, **more):
    """Methods on the same places: the level of each, by name."""
    places = rng.dirichlet(np.full(CLASSES, 5), 24)
    return {
        method: {seed: document(rng, level, seed, method, places=places, **more) for seed in range(seeds)}
        for method, level in levels.items()
    }


def test_the_first_row_is_the_miou_of_scikit_learn_on_all_pixels():
    rng = np.random.default_rng(1)
    truth, chosen = rng.integers(0, CLASSES, (2, 8, 50))
    told = document(rng, 0.5)
    told["blocks"]["truth"] = [np.bincount(row, minlength=CLASSES).tolist() for row in truth]
    for name in NAMES:
        told["blocks"]["predicted"][name] = [np.bincount(row, minlength=CLASSES).tolist() for row in chosen]
        told["blocks"]["hit"][name] = [
            np.bincount(t[t == c], minlength=CLASSES).tolist() for t, c in zip(truth, chosen, strict=True)
        ]
    weight = weights(8, 5)
    found = drawn(told, weight)
    assert found[0] == pytest.approx(jaccard_score(truth.ravel(), chosen.ravel(), average="macro"))
    for row, times in zip(found, weight.astype(int), strict=True):
        pixels = np.repeat(truth, times, 0).ravel(), np.repeat(chosen, times, 0).ravel()
        assert row == pytest.approx(jaccard_score(*pixels, average="macro"))


def test_the_bootstrap_of_a_mean_has_the_standard_error_that_theory_gives():
    """One class whose IoU is a plain mean over blocks of equal size: scipy's t interval of that mean."""
    share = np.random.default_rng(2).uniform(0.2, 0.9, 40)
    weight = weights(40, 20_000)
    found = interval((weight @ share / 40)[:1], (weight @ share / 40)[1:], 40)
    low, high = stats.t.interval(0.95, 39, share.mean(), stats.sem(share))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)


def test_over_seeds_the_interval_without_blocks_that_vary_is_that_of_a_paired_t_test():
    a, b = np.random.default_rng(3).uniform(0.4, 0.6, (2, 5))
    found = interval(a - b, np.full(100, (a - b).mean()), 30)
    test = stats.ttest_rel(a, b)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


@pytest.mark.parametrize(("seeds", "blocks"), [(1, 8), (1, 24), (3, 16), (5, 24)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, blocks):
    """Two methods that are equal on average over places and trainings, both of which matter."""
    rng, held, times = np.random.default_rng(4), 0, 400
    weight = weights(blocks, 200)
    for _ in range(times):
        place = 0.05 * rng.normal(size=blocks)
        training = 0.03 * rng.normal(size=(seeds, 1)) * (seeds > 1)
        gap = place + training + 0.02 * rng.normal(size=(seeds, blocks))  # [S, blocks]
        sampled = gap @ weight.T / blocks
        found = interval(sampled[:, 0], sampled[:, 1:].mean(0), blocks)
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / times <= 0.99


def test_a_known_difference_of_counts_is_found_within_its_interval_and_none_where_there_is_none():
    found = lost = 0
    for seed in range(60):
        told = runs(np.random.default_rng(seed), {"dis2": 0.70, "near": 0.70, "far": 0.62}, spread=0.04)
        near, far = compared(told, [("dis2", "near"), ("dis2", "far")])
        true = iou_of(0.70) - iou_of(0.62)
        found += far.differences[MEAN].low <= true <= far.differences[MEAN].high
        lost += near.differences[MEAN].low <= 0 <= near.differences[MEAN].high
        assert far.differences[MEAN].verdict == "leads"
        assert far.differences[MEAN].mean == pytest.approx(far.scores[MEAN][0].mean - far.scores[MEAN][1].mean)
    assert found >= 54 and lost >= 54


def iou_of(level):
    """The expected mIoU of that many right pixels where errors go to the next class, classes being equal."""
    return level / (2 - level)


def test_holm_by_hand_and_never_below_the_chance_itself():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


def test_holm_keeps_false_claims_among_all_to_one_in_twenty():
    rng = np.random.default_rng(5)
    false = sum(min(holm(rng.uniform(size=12).tolist())) < 0.05 for _ in range(4000))
    assert 0.035 <= false / 4000 <= 0.06


def test_means_and_combinations_are_corrected_as_families_of_their_own():
    (a, b) = compared(
        runs(np.random.default_rng(6), {"dis2": 0.7, "x": 0.69, "y": 0.68}, spread=0.05), [("dis2", "x"), ("dis2", "y")]
    )
    for family in ([MEAN], list(NAMES)):
        told = [it.differences[name] for it in (a, b) for name in family]
        assert [it.holm for it in told] == pytest.approx(holm([it.p for it in told]))


def test_methods_are_paired_by_seed_and_by_block():
    """Noise that both share at a seed or in a block leaves no doubt about their difference."""
    told = runs(np.random.default_rng(7), {"dis2": 0.7}, spread=0.2)
    twin = {seed: json.loads(json.dumps(it)) | {"method": "twin"} for seed, it in told["dis2"].items()}
    (found,) = compared(told | {"twin": twin}, [("dis2", "twin")])
    assert found.differences[MEAN] == Difference(0.0, 0.0, 0.0, 1.0, 1.0)
    assert found.seeds == (0, 1, 2) and found.blocks == 24


def test_words_claim_what_the_intervals_carry():
    rng = np.random.default_rng(8)
    levels = {"dis2": {"eye+echo": 0.8, "eye": 0.7, "echo": 0.6}, "rival": {"eye+echo": 0.7, "eye": 0.6, "echo": 0.6}}
    (found,) = compared(runs(rng, levels, pixels=4000), [("dis2", "rival")])
    text = said(found)
    assert text.startswith("dis2 leads rival in mean mIoU (+") and ", 95 % interval +" in text
    assert text.endswith("; better on 2 of 3 combinations (eye+echo and eye); not distinguishable on echo.")
    (other,) = compared(runs(rng, levels, pixels=4000), [("rival", "dis2")])
    assert said(other).startswith("rival trails dis2 in mean mIoU (−") and "worse on 2 of 3" in said(other)
    (same,) = compared(runs(rng, {"dis2": 0.6, "rival": 0.6}, spread=0.1), [("dis2", "rival")])
    assert "dis2 is not distinguishable from rival" in said(same) and said(same).endswith("not distinguishable on any.")


def test_one_block_gives_no_interval_and_no_claim():
    rng = np.random.default_rng(9)
    places = rng.dirichlet(np.full(CLASSES, 5), 1)
    told = {name: {0: document(rng, level, 0, name, places=places)} for name, level in (("dis2", 0.9), ("rival", 0.2))}
    (found,) = compared(told, [("dis2", "rival")])
    assert found.differences[MEAN].low is None and found.differences[MEAN].verdict == "not distinguishable"
    assert "one block" in said(found)


def test_the_interval_of_known_numbers():
    assert estimate([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.302653 / 3**0.5))
    assert estimate([None, 0.5]) == (0.5, None)
    assert estimate([None]) is None


def written(folder, levels, seeds=2, rng=11, **more):
    """A results folder."""
    for method, by_seed in runs(np.random.default_rng(rng), levels, seeds, **more).items():
        for seed, told in by_seed.items():
            path = folder / f"evaluation/{method}/{seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(told))
    return folder


def in_folds(whole, folder, count):
    """The same evaluations cut into folds: each has some of the blocks."""
    folds = [folder / f"fold{index}" for index in range(count)]
    for path in whole.rglob("*.json"):
        told = json.loads(path.read_text())
        blocks = told["blocks"]
        share = len(blocks["places"]) // count
        for index, fold in enumerate(folds):
            some = slice(index * share, (index + 1) * share)
            part = {"side": blocks["side"], **{key: blocks[key][some] for key in ("places", "truth")}}
            part |= {key: {name: rows[some] for name, rows in blocks[key].items()} for key in ("hit", "predicted")}
            (fold / path.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
            (fold / path.relative_to(whole)).write_text(json.dumps(told | {"blocks": part}))
    return folds


def test_two_runs_are_compared_method_by_method_and_one_run_within_itself(tmp_path, capsys):
    a = written(tmp_path / "a", {"dis2": 0.7, "rival": 0.6})
    b = written(tmp_path / "b", {"dis2": 0.6, "rival": 0.6, "other": 0.1})
    compare(a, b, [], False)
    shown = capsys.readouterr().out
    assert "dis2 (A) leads dis2 (B)" in shown and "rival (A)" in shown and "other" not in shown
    assert "24 blocks, seeds 0, 1" in shown and "| eye+echo |" in shown
    compare(a, None, [], True)
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["first"], told["second"]) == ("dis2", "rival") and list(told["differences"]) == [*NAMES, MEAN]
    compare(a / "evaluation/dis2/0.json", a / "evaluation/rival/1.json", [], False)
    shown = capsys.readouterr().out
    assert "one training of each" in shown and "dis2 leads rival" in shown
    assert shown.endswith("Where each was trained once, nothing is claimed for another training.\n")


def test_the_folds_of_a_study_are_compared_as_one(tmp_path, capsys):
    """What is cut into three and pooled again says what the whole says."""
    whole = written(tmp_path / "whole", {"dis2": 0.7, "rival": 0.69}, spread=0.1)
    first, *others = in_folds(whole, tmp_path, 3)
    compare(whole, None, [], False)
    expected = capsys.readouterr().out
    compare(first, None, others, False)
    assert capsys.readouterr().out == expected
    with pytest.raises(UserError, match="--folds: takes the folds of one study"):
        compare(first, whole, others, False)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"blocks": {}}, "evaluation of dis2, seed 0: no blocks of pixels are in it; evaluate the model again"),
        ({"split": "validation"}, "split: .*; compare what is alike"),
        ({"classes": ["a", "b", "d"]}, "classes: .*; compare what is alike"),
        ({"seed": 1}, "a second evaluation of dis2, seed 1"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(tmp_path, change, line):
    folder = written(tmp_path, {"dis2": 0.7, "rival": 0.6})
    path = folder / "evaluation/dis2/0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=line) as error:
        compare(folder, None, [], False)
    assert "\n" not in str(error.value)


def test_methods_that_share_no_seed_are_one_clear_line():
    told = runs(np.random.default_rng(13), {"dis2": 0.7, "rival": 0.6}, seeds=4)
    apart = {"dis2": {seed: told["dis2"][seed] for seed in (0, 1)}, "rival": {seed: told["rival"][seed] for seed in (2, 3)}}
    with pytest.raises(UserError, match="^dis2 has seeds 0, 1, rival has 2, 3; train both at the same seeds$"):
        compared(apart, [("dis2", "rival")])


def test_other_pixels_nothing_to_compare_and_an_empty_folder_are_one_clear_line(tmp_path):
    a, b = written(tmp_path / "a", {"dis2": 0.7}), written(tmp_path / "b", {"dis2": 0.7}, rng=12)
    with pytest.raises(
        UserError, match=r"of dis2 \(B\), seed 0: other pixels were scored than in evaluation of dis2 \(A\), seed 0"
    ):
        compare(a, b, [], False)
    with pytest.raises(UserError, match="there is only dis2; name a second"):
        compare(a, None, [], False)
    (tmp_path / "c").mkdir()
    with pytest.raises(UserError, match="c: no evaluation there"):
        compare(a, tmp_path / "c", [], False)
    with pytest.raises(UserError, match="gone.json: cannot be read"):
        compare(a, tmp_path / "gone.json", [], False)
