"""Combinations of sensors: all of them, named in config order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2.combinations import availability, combinations, expected, name_of, parse

SENSORS = st.lists(st.text("abcdefgh-_.", min_size=1, max_size=6), min_size=1, max_size=5, unique=True)


def test_three_sensors_have_seven_combinations_the_full_one_first():
    names = [name_of(it) for it in combinations(("eye", "echo", "relief"))]
    assert names == ["eye+echo+relief", "eye+echo", "eye+relief", "echo+relief", "eye", "echo", "relief"]


@given(SENSORS)
def test_there_are_two_to_the_n_minus_one_and_each_is_parsed_from_its_name(sensors):
    every = combinations(sensors)
    assert len(set(every)) == len(every) == 2 ** len(sensors) - 1
    assert [parse(name_of(it), sensors) for it in every] == every
    assert {availability(it, sensors) for it in every} == {availability(it, sensors) for it in map(reversed, map(list, every))}


def test_a_name_is_parsed_in_config_order_and_a_stranger_is_named():
    assert parse("relief+eye", ("eye", "echo", "relief")) == ("eye", "relief")
    with pytest.raises(ValueError, match="'nose' is not one of the sensors \\(eye, echo\\)"):
        parse("eye+nose", ("eye", "echo"))


def test_availability_is_a_vector_over_the_sensors():
    assert availability(("relief", "eye"), ("eye", "echo", "relief")) == (True, False, True)


def test_the_expected_score_of_two_sensors_worked_out_by_hand():
    scores = {"a+b": 1.0, "a": 0.5, "b": 0.2}
    by_hand = (0.81 * 1.0 + 0.09 * 0.5 + 0.09 * 0.2) / (0.81 + 0.09 + 0.09)
    assert expected(scores, ("a", "b"), 0.1) == pytest.approx(by_hand)


def test_where_nothing_fails_the_expected_score_is_the_full_one():
    assert expected({"a+b": 0.7, "a": 0.0, "b": 0.0}, ("a", "b"), 0.0) == 0.7
