"""The one error that is the user's to mend: it says what is wrong, where, and what to do, in one line."""

from collections.abc import Callable, Sequence
from typing import TypeVar


class UserError(Exception):
    """Shown without a traceback, a line for each fault, whatever the names of files are; the command line then exits with 2."""

    def __init__(self, *faults: str):
        super().__init__(*map(printable, faults))

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each fault."""
        return self.args

    def __str__(self) -> str:
        return "\n".join(self.lines)


Fault = TypeVar("Fault")
FAULTS = 20
"""So many of the same kind are told."""


def first_of(faults: Sequence[Fault], more: str, told: Callable[[Fault], str] = str) -> list[str]:
    """The first of many faults as they are told, and how many more there are: those are not looked into."""
    shown = [told(fault) for fault in faults[:FAULTS]]
    return shown if len(faults) <= FAULTS else [*shown, f"{len(faults) - FAULTS} more {more} such as these"]


def printable(text: str) -> str:
    """The text in one line: a break, and all that cannot be shown, is written as Python does."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
