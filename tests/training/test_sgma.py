"""SGMA-style training: single sensors, the fragile ones more often."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dis2.training.sgma import drawn_singles
from tests.models.tester import COMBINATIONS, assert_close, batch_of, fresh, objective_of, sample, together

there = st.integers(2, 5).flatmap(lambda n: arrays(bool, st.tuples(st.integers(1, 6), st.just(n))))


@settings(max_examples=60, deadline=None)
@given(there, st.integers(0, 10**6))
def test_two_different_single_sensors_are_drawn_of_those_that_are_there(there, seed):
    rng = np.random.default_rng(seed)
    first, second = drawn_singles(there, rng.random(size=there.shape), 2, rng.spawn(len(there)))
    assert not (first & ~there).any() and not (second & ~there).any()
    assert (first.sum(1) == there.any(1)).all() and (second.sum(1) == there.any(1)).all()
    assert ((first == second).all(1) == (there.sum(1) < 2)).all()


def test_no_more_single_sensors_are_drawn_than_there_are():
    drawn = drawn_singles(np.ones((5, 3), bool), np.ones((5, 3)), 6, np.random.default_rng(0).spawn(5))
    assert drawn.shape == (3, 5, 3) and (drawn.sum(0) == 1).all()


def test_sensors_are_drawn_by_the_inverse_of_their_robustness():
    """1/.6, 1/.3 and 1/.1 are shares of 1/9 : 2/9 : 6/9; two draws without return, so the first one tells."""
    robust = np.tile([0.6, 0.3, 0.1], (6000, 1))
    first, _ = drawn_singles(np.ones((6000, 3), bool), robust, 2, np.random.default_rng(0).spawn(6000)).mean(1)
    np.testing.assert_allclose(first, [1 / 9, 2 / 9, 6 / 9], atol=0.02)


def test_a_sensor_without_any_share_of_the_fusion_is_drawn_and_not_always():
    first, _ = drawn_singles(
        np.ones((6000, 2), bool), np.tile([1e-30, 0.01], (6000, 1)), 2, np.random.default_rng(0).spawn(6000)
    ).mean(1)
    np.testing.assert_allclose(first, [10 / 11, 1 / 11], atol=0.02)


def test_it_is_the_network_s_own_measure_that_decides(monkeypatch):
    network, objective, seen = fresh("sgma").train(), objective_of("sgma"), []
    batch = batch_of(*together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)]))
    monkeypatch.setattr("dis2.training.sgma.drawn_singles", lambda *told: seen.append(told) or drawn_singles(*told))
    objective.terms(network, batch)
    (has, robustness, count, _) = seen[0]
    assert count == 2
    assert (has == batch.there).all()
    np.testing.assert_array_equal(robustness, network.encode(batch.images, batch.valid).robustness.numpy())


def test_the_full_view_weighs_twice_what_the_single_sensors_weigh(monkeypatch):
    """Where only one sensor is, all views are the same; a view's own share shows by the gradient of its logits."""
    network, objective, seen = fresh("sgma").train(), objective_of("sgma"), {}
    before = network.decode

    def decode(encoded, available):
        seen["logits"] = (prediction := before(encoded, available)).logits
        prediction.logits.retain_grad()
        return prediction

    network.decode = decode
    objective.terms(network, batch_of(*together([sample(("echo",))])))["cross_entropy"].backward()
    full, *singles = seen["logits"].grad.unbind(0)
    for single in singles:
        assert_close(full, 4 * single)
