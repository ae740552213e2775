"""Where windows lie in the chips of a scene."""

from dis2.raster.grid import Window
from dis2.tiles.store import Store


def chip_of(store: Store, window: Window) -> Window:
    """The chip that a window lies in."""
    return next(
        chip
        for chip in store.chips.values()
        if chip.y <= window.y < chip.y + chip.height and chip.x <= window.x < chip.x + chip.width
    )


def widened(window: Window, chip: Window, margin: int) -> Window:
    """A window with a margin, as far as its chip reaches."""
    top, left = max(chip.y, window.y - margin), max(chip.x, window.x - margin)
    bottom = min(chip.y + chip.height, window.y + window.height + margin)
    right = min(chip.x + chip.width, window.x + window.width + margin)
    return Window(top, left, bottom - top, right - left)
