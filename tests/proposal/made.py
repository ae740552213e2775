"""Values of rasters for folders that a config is proposed for."""

import numpy as np

SIDE = 64


def land(rng, side=SIDE):
    """Labels of three classes in fields [1, side, side]."""
    return np.kron(rng.integers(0, 3, (side // 8, side // 8)), np.ones((8, 8), int))[None].astype("uint8")


def image(bands, side=SIDE):
    return np.random.default_rng(bands).normal(700, 90, (bands, side, side)).astype("float32")
