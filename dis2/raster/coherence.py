"""The shift of many windows at once: every frequency counts by how alike both images are in it (Hannan and Thomson, 1973)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from dis2.raster.structure import common, phase, refine, softened

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
View = tuple[Array, Array, Mask, Mask]
"""The one image [H, W] of the reference and of the second sensor in a window, and the pixels of each that are trusted."""

RINGS = 32
"""Bands of frequencies in which coherence is measured."""
ROUNDS = 3
HARMLESS = 0.2
"""Cycles per pixel: what is finer counts less in values that are no longer a sensor's own, for a function of them folds it."""


class Pooled(NamedTuple):
    """The shift, and the deviation that one window's estimate of it can be expected to have."""

    dx: float
    dy: float
    deviation: float


def pooled(views: Iterable[View], start: tuple[float, float], own: bool) -> Pooled:
    """The shift near a start at which all windows fit best together, as precise as the noise allows of sensors' own values."""
    dx, dy = round(start[0]), round(start[1])
    cross, powers = spectra(views, dx, dy)
    rings = rings_of(cross.shape)
    sizes = np.bincount(rings.ravel(), minlength=RINGS + 1)
    amplitude = np.sqrt(np.prod([ring_sums(power, rings) for power in powers], axis=0))
    band = 1 if own else np.exp(-(frequencies(cross.shape) ** 2) / (2 * HARMLESS**2))
    right, down = start[0] - dx, start[1] - dy
    for _ in range(ROUNDS):
        shared = ring_sums((cross * phase(cross.shape, down, right)).real, rings)
        coherence = np.clip(shared / amplitude, 0, 0.999)
        coherence[RINGS] = 0  # the corners beyond the highest frequency of both axes
        down, right = refine(cross * (coherence / (1 - coherence**2) * sizes / amplitude)[rings] * band)
    slope = 2 * np.pi * fft.fftfreq(cross.shape[0])[:, None]
    told = ((coherence**2 / (1 - coherence**2))[rings] * slope**2).sum()
    return Pooled(dx + right, dy + down, float(1 / np.sqrt(max(told, 1e-12))))


def spectra(views: Iterable[View], dx: int, dy: int) -> tuple[NDArray, list[NDArray]]:
    """The cross-spectrum and both power spectra, summed over windows whose second image is moved by whole pixels."""
    cross: NDArray = np.zeros(())
    powers: list[NDArray] = [np.zeros(()), np.zeros(())]
    for reference, second, *weights in views:
        here, there = common(reference.shape, dy, dx)
        soft = softened(weights[0][here] & weights[1][there])
        first, other = (fft.fft2(soft * (x - (x * soft).sum() / (soft.sum() + 1e-9))) for x in (reference[here], second[there]))
        cross = cross + np.conj(first) * other
        powers = [power + np.abs(spectrum) ** 2 for power, spectrum in zip(powers, (first, other), strict=True)]
    return cross, powers


def rings_of(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The band of each frequency; RINGS for those beyond half a cycle per pixel."""
    return np.minimum((frequencies(shape) / 0.5 * RINGS).astype(np.int64), RINGS)


def frequencies(shape: tuple[int, ...]) -> NDArray:
    """Cycles per pixel in any direction."""
    return np.hypot(fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1]))


def ring_sums(values: NDArray, rings: NDArray[np.int64]) -> NDArray:
    """The sum of values in each band."""
    return np.bincount(rings.ravel(), values.ravel(), RINGS + 1)
