"""Windows stay in their chip."""

import numpy as np

from dis2.evaluation.chips import chip_of, widened
from dis2.raster.grid import Window
from dis2.tiles.store import open_store
from tests import made


def test_a_window_is_found_in_its_chip_and_widened_no_further(tmp_path):
    chips = {"a": Window(0, 0, 20, 20), "b": Window(0, 20, 20, 24)}
    made.store(tmp_path, "fen", {"thermal": np.zeros((2, 20, 44), "f4")}, chips=chips)
    store = open_store(tmp_path / "fen.zarr")
    assert chip_of(store, Window(4, 19, 8, 1)) == chips["a"] and chip_of(store, Window(0, 20, 8, 8)) == chips["b"]
    assert widened(Window(4, 22, 8, 8), chips["b"], 4) == Window(0, 20, 16, 14)
    assert widened(Window(0, 20, 20, 24), chips["b"], 4) == chips["b"]
