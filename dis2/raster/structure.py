"""Where two images show the same structure: directions of edges, correlated in the frequency domain to a fraction of a pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

EDGE = 4  # pixels around a hole whose gradients would show the hole
LOBE = 3  # half the side of a peak: anything further away is another one
EVENNESS = 0.3  # 0: an edge counts by its energy; 1: all edges count the same
WHITENESS = 0.7  # of the correlation
PASSBAND = 0.25  # cycles per pixel at which the correlation has lost 40 %


class Peak(NamedTuple):
    """Where structure correlates best, how its rival compares to it (1: as high), and the correlation there and at no shift."""

    dx: float
    dy: float
    rival: float
    after: float
    before: float


def ranks(image: NDArray, quantiles: NDArray) -> Array:
    """Values as their rank among quantiles, from -1 to 1: a monotone change of both is without effect."""
    return np.interp(image, quantiles, np.linspace(-1, 1, len(quantiles))).astype(np.float32)


def fill(image: Array, valid: Mask, reach: float = 4) -> Array:
    """Holes filled smoothly from their surroundings, so that their outline is no feature."""
    if valid.all():
        return image
    mean = image[valid].mean()
    weight = ndimage.gaussian_filter(valid.astype(np.float32), reach)
    smooth = ndimage.gaussian_filter(np.where(valid, image - mean, 0).astype(np.float32), reach)
    return np.where(valid, image, mean + smooth / np.maximum(weight, 1e-3)).astype(np.float32)


def trusted(valid: Mask) -> Mask:
    """Valid pixels whose surroundings are valid, too."""
    return valid if valid.all() else ndimage.minimum_filter(valid, 2 * EDGE + 1, mode="nearest")


def gradients(image: Array, scale: float = 1.0) -> tuple[Array, Array]:
    """Gaussian derivatives to the right and down."""
    return ndimage.gaussian_filter(image, scale, order=(0, 1)), ndimage.gaussian_filter(image, scale, order=(1, 0))


def steepness(images: Array) -> Array:
    """The magnitude of the gradient over all bands: what a surface and an image have in common."""
    return np.sqrt(sum(right**2 + down**2 for right, down in (gradients(image, 1.5) for image in images)))


def descriptor(images: Array) -> NDArray[np.complex64]:
    """[2, H, W] from the structure tensor of all bands: the double angle of edges (blind to contrast's sign) and their energy."""
    angle = np.zeros(images.shape[1:], np.complex64)
    energy = np.zeros(images.shape[1:], np.float32)
    for image in images:
        right, down = gradients(image)
        angle += (right + 1j * down) ** 2
        energy += right**2 + down**2
    angle = ndimage.gaussian_filter(angle, 1.0)
    energy = ndimage.gaussian_filter(energy, 1.0)
    root = energy**EVENNESS
    root += 0.1 * np.median(root) + 1e-9
    return np.stack([angle / root, energy / root]).astype(np.complex64)


def locate(reference: NDArray, second: NDArray, weights: tuple[Mask, Mask], search: int) -> Peak:
    """The shift of the second descriptor against the reference: whole pixels first, then the fraction over the common part."""
    spectrum, power = cross_spectrum(reference, second, weights)
    surface = fft.ifft2(whitened(spectrum, power)).real
    steps = np.arange(-search, search + 1)
    surface = surface[np.ix_(steps, steps)]
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    elsewhere = np.ones(surface.shape, bool)
    elsewhere[max(0, row - LOBE) : row + LOBE + 1, max(0, column - LOBE) : column + LOBE + 1] = False
    rival = float(surface[elsewhere].max() / max(surface[row, column], 1e-12))

    dy, dx = int(steps[row]), int(steps[column])
    here, there = common(reference.shape[1:], dy, dx)
    inner = weights[0][here] & weights[1][there]
    before = float(spectrum.real.sum() / max(power.sum(), 1e-12))
    spectrum, power = cross_spectrum(reference[:, *here], second[:, *there], (inner, inner))
    fraction_y, fraction_x = refine(whitened(spectrum, power))
    after = float((spectrum * phase(spectrum.shape, fraction_y, fraction_x)).real.sum() / max(power.sum(), 1e-12))
    return Peak(float(dx + fraction_x), float(dy + fraction_y), rival, after, before)


def common(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The parts of two windows that show the same when the second one is shifted by whole pixels."""
    here = [slice(max(0, -step), side - max(0, step)) for side, step in zip(shape, (dy, dx), strict=True)]
    there = [slice(max(0, step), side - max(0, -step)) for side, step in zip(shape, (dy, dx), strict=True)]
    return (here[0], here[1]), (there[0], there[1])


def cross_spectrum(reference: NDArray, second: NDArray, weights: tuple[Mask, Mask]) -> tuple[NDArray, NDArray]:
    """The band-limited cross-spectrum summed over channels, and the product of both amplitudes."""
    height, width = reference.shape[1:]
    spectra = []
    for channels, weight in zip((reference, second), weights, strict=True):
        soft = softened(weight)
        means = (channels * soft).sum((1, 2), keepdims=True) / (soft.sum() + 1e-9)
        spectra.append(fft.fft2((channels - means) * soft))
    band = np.exp(-(fft.fftfreq(height)[:, None] ** 2 + fft.fftfreq(width) ** 2) / (2 * PASSBAND**2))
    power = np.sqrt((np.abs(spectra[0]) ** 2).sum(0) * (np.abs(spectra[1]) ** 2).sum(0))
    return (np.conj(spectra[0]) * spectra[1]).sum(0) * band, power * band


def whitened(spectrum: NDArray, power: NDArray) -> NDArray:
    """Between correlation (0) and phase correlation (1): sharp peaks without noise at full weight."""
    return spectrum / (power + 1e-3 * power.mean() + 1e-12) ** WHITENESS


def softened(weight: Mask) -> Array:
    """What each pixel counts: less towards the ends of the window and towards what is not trusted."""
    taper = np.outer(*map(tapered, weight.shape))
    return taper if weight.all() else taper * ndimage.gaussian_filter(weight.astype(np.float32), EDGE / 2)


def tapered(side: int, share: float = 0.15) -> Array:
    """1 in the middle and down to 0 at both ends."""
    ends = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    return np.sin(np.pi / 2 * np.clip(ends / (share * side), 0, 1)).astype(np.float32) ** 2


def phase(shape: tuple[int, ...], dy: float, dx: float) -> NDArray:
    """What turns a spectrum so that its value at (dy, dx) comes to the origin."""
    return np.outer(np.exp(2j * np.pi * dy * fft.fftfreq(shape[0])), np.exp(2j * np.pi * dx * fft.fftfreq(shape[1])))


def refine(spectrum: NDArray, reach: float = 1.5, step: float = 0.05) -> tuple[float, float]:
    """The peak near the origin on a grid of `step`, computed as an upsampled DFT, and the vertex of the parabola through it."""
    offsets = np.arange(-reach, reach + step / 2, step)
    down = np.exp(2j * np.pi * np.outer(offsets, fft.fftfreq(spectrum.shape[0])))
    right = np.exp(2j * np.pi * np.outer(fft.fftfreq(spectrum.shape[1]), offsets))
    surface = (down @ spectrum @ right).real
    row, column = (int(i) for i in np.unravel_index(surface.argmax(), surface.shape))
    return offsets[row] + step * vertex(surface[:, column], row), offsets[column] + step * vertex(surface[row], column)


def vertex(values: NDArray, at: int) -> float:
    """The vertex of the parabola through a maximum and its neighbours, in steps from the maximum."""
    if at in (0, len(values) - 1):
        return 0.0
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
