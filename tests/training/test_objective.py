"""What the loop asks of every method."""

import numpy as np
import pytest
import torch

from dis2.config.training import LossWeights
from dis2.models.registry import METHODS
from tests.models.tester import COMBINATIONS, SENSORS, batch_of, fresh, objective_of, sample, together


def everything():
    return together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)])


def test_what_is_there_is_what_has_any_valid_pixel():
    batch = batch_of(*everything())
    assert batch.there.tolist() == [[sensor in combination for sensor in SENSORS] for combination in COMBINATIONS]


def test_views_are_folded_view_by_view():
    views = np.array([[[1, 1, 1], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]], bool)
    assert batch_of(*everything()).tensor(views).int().tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_the_same_batch_has_the_same_terms_and_the_views_are_drawn_from_its_own_generator(method):
    network, objective = fresh(method).train(), objective_of(method)
    first, second = (objective.terms(network, batch_of(*everything(), seed=4)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_are_compared_see_three_views(method):
    assert objective_of(method).views(batch_of(*everything())).shape == (3, len(COMBINATIONS), len(SENSORS))


def test_the_total_is_the_weighted_sum_and_a_term_of_weight_0_moves_nothing():
    objective = objective_of("teacher")
    objective.weights = LossWeights(cross_entropy=2.0, dice=0.0)
    a, b = torch.tensor(3.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    total = objective.total({"cross_entropy": a, "dice": b})
    total.backward()
    assert (total, a.grad, b.grad) == (6, 2, 0)
