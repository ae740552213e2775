"""The shifts that registration found, as the tile stage and prediction read them."""

from __future__ import annotations

from pathlib import Path

from dis2.errors import UserError
from dis2.files import read_json
from dis2.raster.grid import Shift


def read_shifts(path: Path) -> dict[str, Shift]:
    """Every sensor's shift from registered/<scene>.json; zero where registration was refused."""
    found = read_json(path)
    try:
        return {name: Shift(**sensor["shift"]) for name, sensor in found["sensors"].items()}
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: holds no shifts; delete it and run `dis2 register` for this scene again") from None
