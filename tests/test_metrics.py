"""Scores are what scikit-learn makes of the same pixels, and what does not exist is NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from torchmetrics.functional import classification as second_oracle

from dis2.metrics import Calibration, accuracy, confusion, f1, iou, kappa, mean, miou, recall

SEEDS = st.integers(0, 2**32 - 1)


def pixels(seed, classes=4, count=300, share=0.6):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    return truth, np.where(rng.random(count) < share, truth, rng.integers(0, classes, count))


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_scores_are_those_of_scikit_learn(seed):
    truth, predicted = pixels(seed)
    labels = range(4)
    matrix = confusion(truth.astype(np.uint8), predicted.astype(np.uint8), 4)
    assert np.array_equal(matrix, oracle.confusion_matrix(truth, predicted, labels=labels))
    assert iou(matrix) == pytest.approx(oracle.jaccard_score(truth, predicted, labels=labels, average=None))
    assert f1(matrix) == pytest.approx(oracle.f1_score(truth, predicted, labels=labels, average=None))
    assert recall(matrix) == pytest.approx(oracle.recall_score(truth, predicted, labels=labels, average=None))
    assert miou(matrix) == pytest.approx(oracle.jaccard_score(truth, predicted, labels=labels, average="macro"))
    assert accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, predicted))
    assert kappa(matrix) == pytest.approx(oracle.cohen_kappa_score(truth, predicted))


def test_scores_and_calibration_are_those_of_torchmetrics_too():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, 500)
    probability = torch.from_numpy(rng.dirichlet(np.ones(4), 500) * 0.7 + 0.3 * np.eye(4)[truth]).float()
    predicted, told = probability.argmax(1), torch.from_numpy(truth)
    matrix = confusion(truth, predicted.numpy(), 4)
    third = {"num_classes": 4, "average": "none"}
    assert iou(matrix) == pytest.approx(second_oracle.multiclass_jaccard_index(predicted, told, **third).tolist())
    assert f1(matrix) == pytest.approx(second_oracle.multiclass_f1_score(predicted, told, **third).tolist())
    assert recall(matrix) == pytest.approx(second_oracle.multiclass_accuracy(predicted, told, **third).tolist())
    assert accuracy(matrix) == pytest.approx(second_oracle.multiclass_accuracy(predicted, told, 4, average="micro").item())
    assert kappa(matrix) == pytest.approx(second_oracle.multiclass_cohen_kappa(predicted, told, 4).item())
    calibration = Calibration.empty(15)
    sure = probability.max(1).values.numpy()
    calibration.add(sure, predicted.numpy() == truth)
    ece = second_oracle.multiclass_calibration_error(probability, told, 4, n_bins=15, norm="l1").item()
    assert calibration.ece == pytest.approx(ece, abs=1e-6)


@given(SEEDS, st.integers(0, 300))
@settings(max_examples=20, deadline=None)
def test_matrices_of_parts_add_up_to_that_of_the_whole(seed, cut):
    truth, predicted = pixels(seed)
    parts = confusion(truth[:cut], predicted[:cut], 4) + confusion(truth[cut:], predicted[cut:], 4)
    assert np.array_equal(parts, confusion(truth, predicted, 4))


def test_a_class_that_is_neither_true_nor_predicted_does_not_count():
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert np.isnan(iou(matrix)[2]) and np.isnan(f1(matrix)[2]) and np.isnan(recall(matrix)[2])
    assert miou(matrix) == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_no_pixel_has_no_score():
    nothing = np.zeros((3, 3), np.int64)
    assert all(
        np.isnan(score)
        for score in (miou(nothing), accuracy(nothing), kappa(nothing), mean(f1(nothing)), Calibration.empty(5).ece)
    )


@given(SEEDS, st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_calibration_error_is_the_gap_between_sure_and_right_whatever_the_parts(seed, cut):
    rng = np.random.default_rng(seed)
    sure = rng.random(200)
    right = rng.random(200) < sure**2
    calibration = Calibration.empty(10)
    for part in (slice(0, cut), slice(cut, None)):
        calibration.add(sure[part], right[part])
    bins = [(sure >= low / 10) & (sure < (low + 1) / 10) for low in range(10)]
    assert calibration.ece == pytest.approx(sum(abs(sure[b].mean() - right[b].mean()) * b.mean() for b in bins if b.any()))
    assert calibration.count.sum() == 200


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_extremes_of_confidence_have_a_bin(sure):
    calibration = Calibration.empty(4)
    calibration.add(np.full(3, sure), np.full(3, bool(sure)))
    assert calibration.count.sum() == 3 and calibration.ece == 0
