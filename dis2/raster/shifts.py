"""The shifts that registration found, as the tile stage and prediction read them."""

from __future__ import annotations

import json
from pathlib import Path

from dis2.errors import UserError
from dis2.raster.grid import Shift


def read_shifts(path: Path) -> dict[str, Shift]:
    """Every sensor's shift from registered/<scene>.json; zero where registration was refused."""
    try:
        sensors = json.loads(path.read_text())["sensors"]
        return {name: Shift(**found["shift"]) for name, found in sensors.items()}
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(f"{path}: no shifts can be read from it ({fault}); run `dis2 register` for this scene again") from fault
