"""From the numbers in a file to the values of a sensor: linear, then decibels, then clipped. No value is scaled elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from dis2.config.data import Scaling

DECADE = {"power": 10.0, "amplitude": 20.0}
"""Decibels that ten times as much are."""


@dataclass(frozen=True)
class Scale:
    """What is done to the bands of one file, pixel by pixel."""

    factor: NDArray[np.float64]  # [C, 1, 1]
    offset: NDArray[np.float64]  # [C, 1, 1]
    decibels: float | None
    low: float | None
    high: float | None

    def __call__(self, bands: NDArray[Any]) -> NDArray[np.float32]:
        """Bands [C, h, w] in float32; what is no value is not finite, clipped or not, but a logarithm of zero is clipped."""
        exact = np.result_type(bands.dtype, np.float32)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = bands * self.factor.astype(exact) + self.offset.astype(exact)
            if bands.dtype.kind == "f":
                values[np.isinf(values)] = np.nan
            if self.decibels:
                values = self.decibels * np.log10(values, out=values)
            if self.low is not None or self.high is not None:
                np.clip(values, self.low, self.high, out=values)
            return values.astype(np.float32, copy=False)


def scale_of(source: rasterio.DatasetReader, bands: Sequence[int], settings: Scaling) -> Scale | None:
    """What the config says, or the file itself by its scale and offset; None where numbers are values already."""
    return scale_by([(source.scales[i - 1], source.offsets[i - 1]) for i in bands], settings)


def scale_by(own: Sequence[tuple[float, float]], settings: Scaling) -> Scale | None:
    """What the config says, or else each band's own factor and offset; None where numbers are values already."""
    linear = own
    if settings.linear:
        linear = [(1.0 if settings.factor is None else settings.factor, settings.offset or 0.0)] * len(own)
    if set(linear) == {(1.0, 0.0)} and settings.decibels is None and settings.clip is None:
        return None
    factor, offset = np.array(linear, np.float64).T[:, :, None, None]
    low, high = settings.clip or (None, None)
    return Scale(factor, offset, DECADE[settings.decibels] if settings.decibels else None, low, high)


def unit_of(source: rasterio.DatasetReader, bands: Sequence[int], settings: Scaling) -> str | None:
    """The unit of a file's values: as the config says, or as the file does where it is still true of all bands."""
    if settings.unit or settings.decibels:
        return settings.unit or "dB"
    return common_unit([None if settings.linear else source.units[i - 1] for i in bands])


def common_unit(units: Sequence[str | None]) -> str | None:
    """The unit that all have."""
    return units[0] or None if len(set(units)) == 1 else None
