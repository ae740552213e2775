"""SGMA-style training: single sensors, the fragile ones more often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dis2.training.sgma import drawn_singles
from dis2.training.views import FLOOR
from tests.models.tester import COMBINATIONS, batch_of, fresh, objective_of, sample, together

there = st.integers(2, 5).flatmap(lambda n: arrays(bool, st.tuples(st.integers(1, 6), st.just(n))))


@settings(max_examples=60, deadline=None)
@given(there, st.integers(0, 10**6))
def test_two_different_single_sensors_are_drawn_of_those_that_are_there(there, seed):
    rng = np.random.default_rng(seed)
    first, second = drawn_singles(there, rng.normal(size=there.shape), rng.spawn(len(there)))
    assert not (first & ~there).any() and not (second & ~there).any()
    assert (first.sum(1) == there.any(1)).all() and (second.sum(1) == there.any(1)).all()
    assert ((first == second).all(1) == (there.sum(1) < 2)).all()


def test_without_a_difference_every_sensor_is_drawn_as_often():
    drawn = drawn_singles(np.ones((6000, 3), bool), np.zeros((6000, 3)), np.random.default_rng(0).spawn(6000))
    np.testing.assert_allclose(drawn.mean(1), 1 / 3, atol=0.02)


def test_fragile_sensors_are_drawn_first_and_none_less_often_than_the_floor():
    """The middle one is far more fragile than the others, of which one is hardly ever drawn but for the floor."""
    fragility = np.tile([0.0, 2.0, 1.0], (6000, 1))
    first, _ = drawn_singles(np.ones((6000, 3), bool), fragility, np.random.default_rng(0).spawn(6000)).mean(1)
    assert first[1] == pytest.approx(1 - 2 * FLOOR / 3, abs=0.02)
    assert first[[0, 2]] == pytest.approx([FLOOR / 3] * 2, abs=0.02)


def test_it_is_the_network_s_own_measure_that_decides(monkeypatch):
    """Sensors that agree less with the prototypes are drawn more often."""
    network, objective, seen = fresh("sgma").train(), objective_of("sgma"), []
    batch = batch_of(*together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)]))
    monkeypatch.setattr("dis2.training.sgma.drawn_singles", lambda *told: seen.append(told) or drawn_singles(*told))
    objective.terms(network, batch)
    (has, fragility, _), robustness = seen[0], network.encode(batch.images, batch.valid).robustness
    assert (has == batch.there).all()
    np.testing.assert_array_equal(fragility, -robustness.numpy())
