"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def bar(total: int, label: str, unit: str = "it", initial: int = 0) -> tqdm:
    """A progress bar that a log file can bear: there it writes a line every ten seconds."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=label,
        unit=unit,
        initial=initial,
        mininterval=0.2 if terminal else 10,
        ascii=not terminal,
        dynamic_ncols=terminal,
    )


def track(items: Iterable[Any], label: str, total: int | None = None, unit: str = "it") -> Iterable[Any]:
    """The items, with a bar that follows them."""
    items = items if total is not None else list(items)
    with bar(total if total is not None else len(items), label, unit) as progress:  # type: ignore[arg-type]
        for item in items:
            yield item
            progress.update()
