"""Heights relative to what lies around them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Array = NDArray[Any]


def heights(bands: Array, valid: Array, radii: Sequence[int]) -> Array:
    """Bands [C, h, w] as they are (radius 0) and relative to what lies around, for each radius in turn: [C * radii, h, w].

    Beside how high the land is, its slopes are small: a network sees them only where they are a band of their own.
    """
    found = [relief(bands, valid, radius) if radius else bands for radius in radii]
    return found[0] if len(found) == 1 else np.concatenate(found)


def relief(bands: Array, valid: Array, radius: int) -> Array:
    """Bands [C, h, w] less the mean of the valid pixels within a radius: what stands out counts, not how high the land is."""
    size = 2 * radius + 1
    share = uniform_filter(valid.astype(np.float64), size, mode="constant")
    filled = np.where(valid, bands, 0).astype(np.float64)
    local = np.stack([uniform_filter(band, size, mode="constant") for band in filled]) / np.maximum(share, 1e-6)
    return np.where(valid, bands - local, 0).astype(np.float32)
