"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

SECONDS = 10
"""A log gets a line this often."""


class Lines:
    """A log file as a bar's screen: each state of the bar is a line of its own."""

    def __init__(self, stream: TextIO):
        self.stream, self.last = stream, ""

    def write(self, text: str) -> None:
        if (line := text.strip()) and line != self.last:
            self.stream.write(f"{line}\n")
            self.last = line

    def flush(self) -> None:
        self.stream.flush()


def bar(total: int, label: str, unit: str = "it", initial: int = 0, shown: bool = True) -> tqdm:
    """A progress bar that a log file can bear."""
    common = {"total": total, "desc": label, "unit": unit, "initial": initial, "disable": not shown}
    if sys.stderr.isatty():
        return tqdm(**common, mininterval=0.2, dynamic_ncols=True)
    return tqdm(**common, mininterval=SECONDS, ascii=True, ncols=100, file=Lines(sys.stderr))


def track(items: Iterable[Any], label: str, unit: str = "it") -> Iterable[Any]:
    """The items, with a bar that follows them."""
    listed = list(items)
    with bar(len(listed), label, unit) as progress:
        for item in listed:
            yield item
            progress.update()
