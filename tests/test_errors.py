"""What is said to people is one line."""

from dis2.errors import printable


def test_what_is_printed_is_one_line():
    assert printable("ä b\n\u2028\\n") == "ä b\\n\\u2028\\n"
