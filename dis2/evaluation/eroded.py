"""Labels without their borders: a pixel near another class is drawn by hand, and half of it belongs to the neighbour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dis2.config.data import IGNORE, Data
from dis2.evaluation.chips import chip_of, widened
from dis2.raster.grid import Window
from dis2.tiles.dataset import Sample, Scenes


class Eroded(Scenes):
    """Scenes in which no pixel is labelled that lies within a radius of another class."""

    def __init__(self, data: Data, tiles: Path, split: str, radius: int):
        super().__init__(data, tiles, split)
        self.radius = radius

    def sample(self, scene: str, window: Window) -> Sample:
        sample = super().sample(scene, window)
        if not self.radius:
            return sample
        wide = widened(window, chip_of(self.stores[scene], window), self.radius)
        inside = Window(window.y - wide.y, window.x - wide.x, window.height, window.width)
        return replace(sample, labels=eroded(self.labels(scene, wide), self.radius)[inside.slices])


def eroded(labels: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """Labels [h, w] with what lies within a radius of another class ignored; what is ignored is no class."""
    reach = np.arange(-radius, radius + 1)
    disk = reach[:, None] ** 2 + reach[None] ** 2 <= radius**2
    told: Any = labels.astype(np.int16)
    largest = ndimage.maximum_filter(np.where(labels == IGNORE, -1, told), footprint=disk, mode="nearest")
    least = ndimage.minimum_filter(np.where(labels == IGNORE, IGNORE, told), footprint=disk, mode="nearest")
    return np.where(largest > least, IGNORE, labels).astype(np.uint8)
