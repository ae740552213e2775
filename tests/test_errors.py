"""What is said to people is one line."""

from dis2.errors import FAULTS, UserError, first_of, printable


def test_what_is_printed_is_one_line():
    assert printable("ä b\n\u2028\\n") == "ä b\\n\\u2028\\n"


def test_an_error_has_a_line_for_each_fault_and_none_for_breaks_in_what_it_names():
    error = UserError("a\nb.tif: missing", "c.tif: missing")
    assert str(error).splitlines() == list(error.lines) == ["a\\nb.tif: missing", "c.tif: missing"]


def test_many_faults_are_told_in_a_few_lines():
    faults = [f"fault {number}" for number in range(FAULTS + 3)]
    assert first_of(faults[:FAULTS], "faults") == faults[:FAULTS]
    assert first_of(faults, "faults") == [*faults[:FAULTS], "3 more faults such as these"]
