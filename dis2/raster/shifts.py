"""The shifts that registration found, as the tile stage and prediction read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dis2.errors import UserError
from dis2.files import read_json
from dis2.raster.grid import UNMOVED, Shift

NOT_LOOKED_FOR = "none"
"""The method of a sensor for which no shift was looked for."""


def read_shifts(path: Path) -> dict[str, Shift]:
    """Every sensor's shift from registered/<scene>.json; zero where registration was refused."""
    found = read_json(path)
    try:
        return {name: _shift(**sensor["shift"]) for name, sensor in found["sensors"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path}: holds no shifts; delete it and run `dis2 register` for this scene again") from None


def _shift(dx: float, dy: float, linear: Sequence[float] = UNMOVED.linear) -> Shift:
    right_x, down_x, right_y, down_y = linear
    return Shift(dx, dy, (right_x, down_x, right_y, down_y))
