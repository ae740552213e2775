"""What is said to people is one line."""

from dis2.errors import FAULTS, first_of, printable


def test_what_is_printed_is_one_line():
    assert printable("ä b\n\u2028\\n") == "ä b\\n\\u2028\\n"


def test_many_faults_are_told_in_a_few_lines():
    faults = [f"fault {number}" for number in range(FAULTS + 3)]
    assert first_of(faults[:FAULTS], "faults") == faults[:FAULTS]
    assert first_of(faults, "faults") == [*faults[:FAULTS], "3 more faults such as these"]
