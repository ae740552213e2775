"""One tile, and what may be done to all its sensors and labels alike: filled up, resampled, turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.config.data import IGNORE
from dis2.raster.grid import Window

Array = NDArray[Any]


@dataclass
class Sample:
    """One tile: raw bands and validity of every sensor (zeros where a sensor is absent), labels, and where it is from."""

    images: dict[str, Array]
    """[C, h, w] by sensor"""
    valid: dict[str, NDArray[np.bool_]]
    """[h, w] by sensor"""
    labels: NDArray[np.uint8]
    scene: str
    window: Window

    def each(self, bands: Callable[[str], Array], mask: Callable[[Array], Array]) -> Sample:
        """The same tile with every sensor's bands, and every mask and the labels, made anew."""
        images = {sensor: bands(sensor) for sensor in self.images}
        return Sample(images, {s: mask(valid) for s, valid in self.valid.items()}, mask(self.labels), self.scene, self.window)


@dataclass(frozen=True)
class Draw:
    """A tile that is decided on and not read yet: its place, in which of eight ways it is turned, and how wide it is."""

    scene: str
    window: Window
    way: int = 0
    side: int = 0
    """in pixels of the ground, before it is resampled to the size that is wanted (0: that size)"""


def padded(sample: Sample, size: int) -> Sample:
    """The sample with its right and lower side filled up by what is neither valid nor labelled."""
    down, right = size - sample.window.height, size - sample.window.width
    if down <= 0 and right <= 0:
        return sample
    pad = ((0, max(0, down)), (0, max(0, right)))
    return Sample(
        {sensor: np.pad(image, ((0, 0), *pad)) for sensor, image in sample.images.items()},
        {sensor: np.pad(valid, pad) for sensor, valid in sample.valid.items()},
        np.pad(sample.labels, pad, constant_values=IGNORE),
        sample.scene,
        sample.window,
    )


def resized(sample: Sample, size: int) -> Sample:
    """A square sample resampled to a size: bands between their valid neighbours, validity and labels by the nearest pixel."""
    side = sample.labels.shape[0]
    if side == size:
        return sample
    middle = (np.arange(size) + 0.5) * side / size - 0.5
    nearest = np.rint(middle).astype(int).clip(0, side - 1)

    def mask(array: Array) -> Array:
        return array[np.ix_(nearest, nearest)]

    def bands(sensor: str) -> Array:
        valid = sample.valid[sensor].astype(np.float32)
        weight = between(valid, middle)
        values = between(sample.images[sensor] * valid, middle) / np.where(weight > 0, weight, 1)
        return np.where(mask(sample.valid[sensor]), values, 0).astype(np.float32)

    return sample.each(bands, mask)


def between(array: Array, middle: NDArray[np.floating]) -> Array:
    """Bilinear values at the same places along the last two dimensions; beyond the outermost pixels those pixels'."""
    last = array.shape[-1] - 1
    low = np.floor(middle).astype(int)
    share = (middle - low).astype(np.float32)
    first, second = low.clip(0, last), (low + 1).clip(0, last)
    rows = array[..., first, :] * (1 - share)[:, None] + array[..., second, :] * share[:, None]
    return rows[..., first] * (1 - share) + rows[..., second] * share


def turned(sample: Sample, way: int) -> Sample:
    """One of the eight symmetries of a square, the same for all sensors and the labels."""

    def turn(array: Array) -> Array:
        array = np.rot90(array, way % 4, (-2, -1))
        return np.array(array[..., ::-1] if way >= 4 else array, order="C")

    return sample.each(lambda sensor: turn(sample.images[sensor]), turn)
