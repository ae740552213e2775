"""Views: which sensors the samples of a batch are shown with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dis2.combinations import availability, combinations, name_of
from dis2.training.views import drawn_views, dropped_views, single_views, student_views


def generators(count, seed=0):
    return np.random.default_rng(seed).spawn(count)


NAMES = ("a", "b", "c", "d", "e")

there = st.integers(2, 5).flatmap(lambda n: arrays(bool, st.tuples(st.integers(1, 6), st.just(n))))


@settings(max_examples=80, deadline=None)
@given(there, st.integers(0, 10**6), st.integers(0, 10**6))
def test_views_show_only_what_is_there_and_something_where_there_is_anything(there, step, seed):
    sensors, draws, turns = NAMES[: there.shape[1]], generators(len(there), seed), step + np.arange(len(there))
    for views in (
        student_views(there, sensors, turns, {}, EVEN, 3, draws),
        dropped_views(there, 3, draws),
        single_views(there, turns, 3),
        drawn_views(there, sensors, 3, draws),
    ):
        assert views.shape == (3, *there.shape) and views.dtype == bool
        assert not (views & ~there).any()
        assert (views.any(2) == there.any(1)).all()


EVEN = 0.5


@settings(max_examples=80, deadline=None)
@given(there, st.integers(0, 10**6))
def test_the_first_view_is_everything_and_the_second_a_single_sensor_if_the_sample_has_it(there, step):
    count = there.shape[1]
    turns = step + np.arange(len(there))
    first, single, _ = student_views(there, NAMES[:count], turns, {}, EVEN, 3, generators(len(there)))
    assert (first == there).all()
    for index, (row, has) in enumerate(zip(single, there, strict=True)):
        turn = (step + index) % count
        assert row.tolist() == ([n == turn for n in range(count)] if has[turn] else has.tolist())


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_every_single_sensor_has_its_turn_and_the_third_view_is_any_other_subset(count):
    whole = np.ones((1, count), bool)
    views = [student_views(whole, NAMES[:count], np.array([step]), {}, EVEN, 3, generators(1, step)) for step in range(60)]
    assert {tuple(view[1, 0]) for view in views[:count]} == {tuple(row) for row in np.eye(count, dtype=bool)}
    assert all((view[2, 0] != view[1, 0]).any() for view in views)
    assert {int(view[2, 0].sum()) for view in views} == set(range(1, count))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("asked", [3, 7, 40])
def test_more_views_are_more_subsets_each_another_one_until_all_are_shown(count, asked):
    whole, turns = np.ones((30, count), bool), np.arange(30)
    scores = {name_of(c): 0.9 for c in combinations(NAMES[:count])} | {"a": 0.1}
    shown = student_views(whole, NAMES[:count], turns, scores, 0.0, asked, generators(30))
    assert len(shown) == min(asked, 2**count - 1)
    assert all(len(np.unique(shown[:, sample], axis=0)) == len(shown) for sample in range(30))
    few = student_views(whole, NAMES[:count], turns, scores, 0.0, 3, generators(30))
    assert (shown[:3] == few).all()
    assert len(dropped_views(whole, asked, generators(30))) == len(shown)
    assert len(drawn_views(whole, NAMES[:count], asked, generators(30))) == len(shown)
    singles = single_views(whole, turns, asked)
    assert len(singles) == min(asked, count + 1)
    assert all(len(np.unique(singles[:, sample], axis=0)) == len(singles) for sample in range(30))


def test_worse_subsets_are_shown_more_often_and_none_below_the_floor():
    sensors = NAMES[:4]
    subsets = [c for c in combinations(sensors) if len(c) < 4]
    scores = {name_of(c): 0.99 for c in subsets} | {"a+b": 0.01}
    drawn = student_views(np.ones((20_000, 4), bool), sensors, np.arange(20_000), scores, EVEN, 3, generators(20_000))[2]
    share = {c: (drawn == availability(c, sensors)).all(1).mean() for c in subsets}
    assert share["a", "b"] > 0.4 and sum(share.values()) == pytest.approx(1)
    even = 1 / len(subsets)
    assert min(share.values()) > 0.7 * EVEN * even  # a single is not drawn where it is the second view


def test_an_even_draw_asks_for_no_scores():
    scores = {"a": 0.99, "b": 0.99, "c": 0.99, "a+b": 0.01, "a+c": 0.99, "b+c": 0.99}
    shown = np.ones((50, 3), bool), NAMES[:3], np.arange(50)
    drawn, blind = (student_views(*shown, known, 1.0, 3, generators(50)) for known in (scores, {}))
    assert (drawn == blind).all()


def test_only_those_that_lack_something_are_drawn_if_nothing_is_drawn_evenly_and_any_where_that_is_the_single_one():
    scores, single = {"a": 0.1, "b": 0.9, "c": 0.9, "a+b": 0.9, "a+c": 0.9, "b+c": 0.9}, np.arange(600) % 3
    drawn = student_views(np.ones((600, 3), bool), NAMES[:3], np.arange(600), scores, 0.0, 3, generators(600))[2]
    assert (drawn[single != 0] == [True, False, False]).all()
    assert len({tuple(row) for row in drawn[single == 0]}) == 5


@pytest.mark.parametrize("scores", [{}, dict.fromkeys(("a", "b", "c", "a+b", "a+c", "b+c"), 1.0)])
def test_without_a_difference_between_subsets_the_draw_is_even(scores):
    drawn = student_views(np.ones((9000, 3), bool), NAMES[:3], np.arange(9000), scores, EVEN, 3, generators(9000))[2]
    np.testing.assert_allclose(drawn.mean(0), 8 / 15, atol=0.03)  # of 5 subsets 3 pairs and 2 singles, 8 sensors in all


def test_dropped_sensors_are_half_of_them_and_every_combination_is_met():
    drawn = dropped_views(np.ones((8000, 3), bool), 1, generators(8000))[0]
    assert len(np.unique(drawn, axis=0)) == 7
    np.testing.assert_allclose(drawn.mean(0), 0.5 + 1 / 24, atol=0.03)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_single_views_are_everything_and_two_different_sensors_each_as_often(count):
    views = np.stack([single_views(np.ones((2, count), bool), step + np.arange(2), 3) for step in range(count)])
    assert views[:, 0].all() and (views[:, 1:].sum(-1) == 1).all() and (views[:, 1] != views[:, 2]).any(-1).all()
    assert (views[:, 1:].sum((0, 1)) == 2).all()


def test_drawn_views_are_every_combination_as_often():
    drawn = drawn_views(np.ones((7000, 3), bool), NAMES[:3], 1, generators(7000))[0]
    found, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(found) == 7
    np.testing.assert_allclose(times, 1000, atol=100)


DRAWN = (
    lambda turns, draws: student_views(np.ones((len(turns), 3), bool), NAMES[:3], turns, {}, EVEN, 3, draws),
    lambda turns, draws: dropped_views(np.ones((len(turns), 3), bool), 3, draws),
    lambda turns, draws: drawn_views(np.ones((len(turns), 3), bool), NAMES[:3], 3, draws),
)


def test_the_same_seed_draws_the_same_views():
    for draw in DRAWN:
        assert (draw(np.arange(4), generators(4, 5)) == draw(np.arange(4), generators(4, 5))).all()


@pytest.mark.parametrize("draw", DRAWN)
def test_what_a_sample_is_shown_with_does_not_depend_on_how_its_batch_is_divided(draw):
    whole = draw(np.arange(6), generators(6))
    parts = [draw(np.arange(6)[part], generators(6)[part]) for part in (slice(0, 2), slice(2, 3), slice(3, 6))]
    assert (whole == np.concatenate(parts, 1)).all()
