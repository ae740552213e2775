"""ShaSpec-style training: the terms, worked out by hand."""

import math

import pytest
import torch

from dis2.training.shaspec import alignment_term, domain_term
from tests.models.tester import COMBINATIONS, batch_of, fresh, objective_of, sample, together

AB = ("a", "b")


def row(*cells):
    """A map of one row of cells: [1, C, 1, cells]."""
    return torch.tensor(cells).T[None, :, None]


def test_alignment_is_the_distance_of_normalised_features_where_both_sensors_are_valid():
    """Two channels are normalised to (1, -1) or (-1, 1): 2 apart in the first cell, 0 in the second; the third is not valid."""
    shared = {"a": row([5.0, 1.0], [3.0, 7.0], [1.0, 0.0]), "b": row([0.0, 9.0], [10.0, 20.0], [0.0, 1.0])}
    valid = {"a": row([1.0], [1.0], [0.0]), "b": row([1.0], [1.0], [1.0])}
    assert alignment_term(shared, valid, AB) == pytest.approx((2 + 0) / 2, abs=1e-4)
    assert alignment_term(shared, {**valid, "a": row([1.0], [0.5], [0.0])}, AB) == pytest.approx(2 / 1.5, abs=1e-4)
    assert alignment_term(shared, {**valid, "b": row([0.0], [1.0], [1.0])}, AB) == pytest.approx(0, abs=1e-4)


def test_alignment_cannot_be_had_by_features_that_vanish():
    shared, valid = {"a": row([5.0, 1.0]), "b": row([1.0, 5.0])}, {"a": row([1.0]), "b": row([1.0])}
    small = {s: 0.1 * x for s, x in shared.items()}
    assert alignment_term(small, valid, AB) == pytest.approx(float(alignment_term(shared, valid, AB)), rel=1e-2)


def test_alignment_is_the_mean_over_pairs_and_nothing_for_a_sensor_alone():
    shared = {"a": row([5.0, 1.0]), "b": row([1.0, 5.0]), "c": row([2.0, 6.0])}
    valid = dict.fromkeys(shared, row([1.0]))
    assert alignment_term(shared, valid, ("a", "b", "c")) == pytest.approx((2 + 2 + 0) / 3, abs=1e-4)
    assert alignment_term({s: shared[s] for s in AB}, valid, ("a", "b", "c")) == pytest.approx(2 / 3, abs=1e-4)
    assert alignment_term({"a": shared["a"]}, valid, AB) == 0


def test_telling_sensors_apart_is_a_cross_entropy_in_which_absent_sensors_count_0():
    """Sensor a: sure and right, then undecided; sensor c: undecided, then absent."""
    taken_for = {"a": torch.tensor([[100.0, 0, 0], [0, 0, 0]]), "c": torch.tensor([[0.0, 0, 0], [100, 0, 0]])}
    valid = {"a": torch.ones(2, 1, 1, 1), "c": torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)}
    term = domain_term(taken_for, valid, ("a", "b", "c"))
    assert term == pytest.approx((math.log(3) / 2 + math.log(3) / 2) / 3)


def test_a_classifier_that_takes_each_sensor_for_another_is_wrong():
    taken_for, valid = (
        {"a": torch.tensor([[0.0, 9.0]]), "b": torch.tensor([[9.0, 0.0]])},
        dict.fromkeys("ab", torch.ones(1, 1, 1, 1)),
    )
    assert domain_term(taken_for, valid, AB) > 8 > 1 > domain_term(taken_for, valid, ("b", "a"))


def test_own_terms_have_weights_of_their_own_and_the_others_those_of_the_config():
    objective, network = objective_of("shaspec"), fresh("shaspec").train()
    batch = batch_of(*together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)]))
    terms = objective.terms(network, batch)
    assert terms.keys() == {"cross_entropy", "dice", "scales", "auxiliary", "alignment", "domain"}
    one = dict.fromkeys(terms, torch.tensor(0.0))
    assert [float(objective.total({**one, name: torch.tensor(1.0)})) for name in ("scales", "alignment", "domain")] == [
        pytest.approx(weight) for weight in (0.4, 0.1, 0.02)
    ]
