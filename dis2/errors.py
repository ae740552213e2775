"""The one error that is the user's to mend: it says what is wrong, where, and what to do, in one line."""


class UserError(Exception):
    """Shown as one line without a traceback; the command line then exits with 2."""


FAULTS = 20
"""So many of the same kind are told."""


def first_of(faults: list[str], more: str) -> list[str]:
    """The first of many faults, and how many more there are."""
    return faults if len(faults) <= FAULTS else [*faults[:FAULTS], f"{len(faults) - FAULTS} more {more} such as these"]


def printable(text: str) -> str:
    """The text in one line: a break, and all that cannot be shown, is written as Python does."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
