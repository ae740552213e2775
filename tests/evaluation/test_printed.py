"""Tables for a terminal."""

from dis2.evaluation.printed import aligned


def test_columns_are_aligned():
    assert aligned([("a", "number"), ("long", "1")]) == "| a    | number |\n|------|-------:|\n| long |      1 |"
