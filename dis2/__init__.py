"""dis2: maps from several sensors that stay good when sensors go missing.

model = dis2.load("results/mine/models/dis2/0")
model.predict({"sar": array}).classes
"""

from importlib import import_module
from os import PathLike
from typing import Any

__version__ = "0.1.0"


def load(folder: str | PathLike[str]) -> Any:
    """A trained model that maps arrays: `dis2.prediction.arrays`, imported only now, so that no stage hangs on it."""
    return import_module("dis2.prediction.arrays").load(folder)
