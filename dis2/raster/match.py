"""How far one sensor's image lies beside the reference's: windows are matched by two independent estimators and must agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dis2.config.registration import Registration
from dis2.raster.consensus import Match, WindowEstimate, consensus
from dis2.raster.grid import Window
from dis2.raster.information import most_informative
from dis2.raster.structure import components, descriptor, fill, locate, steepness, trusted
from dis2.raster.surface import fit_surface

Kind = Literal["image", "surface"]
Mask = NDArray[np.bool_]
Views = tuple[NDArray, Mask, NDArray, Mask]
"""What both sensors show in a window: reference [C, h, w], its validity [h, w], second [C, h, w], its validity."""

SMALLEST = 96  # pixels: smaller scenes have no windows that could disagree
ENOUGH = 0.5  # of a window must be valid
UNIQUE = 0.75  # of the peak's height that no other peak may reach


def lattice(height: int, width: int, settings: Registration) -> list[Window]:
    """Windows spread evenly over the scene, half overlapping where there is room for few; none if it is too small."""
    if min(height, width) < SMALLEST:
        return []
    side = min(settings.window, max(64, 2 * min(height, width) // 3))
    rows, columns = (1 + math.ceil(2 * (length - side) / side) for length in (height, width))
    while rows * columns > settings.windows:
        rows, columns = (rows - 1, columns) if rows * width >= columns * height else (rows, columns - 1)
    ys, xs = (np.linspace(0, length - side, count).round().astype(int) for length, count in ((height, rows), (width, columns)))
    return [Window(int(y), int(x), side, side) for y in ys for x in xs]


def match(
    windows: Iterable[Window],
    read: Callable[[Window], Views],
    settings: Registration,
    kinds: tuple[Kind, Kind] = ("image", "image"),
) -> Match:
    """The shift of the second sensor, from windows read one by one; refused with a reason where it cannot be trusted."""
    estimates = [match_window(window, read(window), settings, kinds) for window in windows]
    if not estimates:
        return Match(False, reason=f"the scene is smaller than {SMALLEST} pixels")
    return consensus(estimates, settings.agreement)


def match_window(window: Window, views: Views, settings: Registration, kinds: tuple[Kind, Kind]) -> WindowEstimate:
    """Both estimates of one window, and whether they count."""
    place = {"y": window.y, "x": window.x, "size": window.height}
    reference, reference_valid, second, second_valid = finite(views)
    if min(reference_valid.mean(), second_valid.mean()) < ENOUGH:
        return WindowEstimate(**place, reason="mostly invalid")
    weights = trusted(reference_valid), trusted(second_valid)
    images = features(reference, reference_valid, kinds[0]), features(second, second_valid, kinds[1])
    if min(weights[0].mean(), weights[1].mean()) < ENOUGH / 2 or min(np.ptp(image[0]) for image in images) < 1e-6:
        return WindowEstimate(**place, reason="nothing to match")

    search = int(min(settings.search, window.height // 4))
    peak = locate(descriptor(images[0]), descriptor(images[1]), weights, search)
    vertical = None
    if kinds == ("surface", "surface"):
        starts = ((0.0, 0.0), (peak.dx, peak.dy))
        fits = [fit_surface(reference[0], second[0], weights, start) for start in starts]
        dx, dy, vertical, _ = min(fits, key=lambda fit: fit.remains)
    else:
        if "surface" in kinds:
            images = steepness(images[0][0], reference_valid)[None], steepness(images[1][0], second_valid)[None]
        dx, dy = most_informative(images[0][0], images[1][0], weights, search)
    reason = doubt(peak.rival, math.hypot(peak.dx - dx, peak.dy - dy), max(abs(peak.dx), abs(peak.dy)) > search, settings)
    return WindowEstimate(
        **place,
        dx=peak.dx,
        dy=peak.dy,
        second_dx=dx,
        second_dy=dy,
        vertical=vertical,
        before=peak.before,
        after=peak.after,
        used=reason is None,
        reason=reason,
    )


def features(bands: NDArray, valid: Mask, kind: Kind) -> NDArray[np.float32]:
    """What is compared: principal components of an image's bands; a surface's heights as they are."""
    return components(bands, valid) if kind == "image" else fill(bands[0].astype(np.float32), valid)[None]


def doubt(rival: float, gap: float, beyond: bool, settings: Registration) -> str | None:
    """Why a window does not count, or None."""
    if beyond:
        return f"beyond the search: more than {settings.search:g} px"
    if rival > UNIQUE:
        return f"peak not unique: another one has {rival:.0%} of its height"
    if gap > settings.agreement:
        return f"estimates differ: by {gap:.2f} px"
    return None


def finite(views: Views) -> Views:
    """The same views with 0 where there is no measurement; what is not finite is none."""
    reference, reference_valid, second, second_valid = views
    reference_valid = reference_valid & np.isfinite(reference).all(0)
    second_valid = second_valid & np.isfinite(second).all(0)
    return np.where(reference_valid, reference, 0), reference_valid, np.where(second_valid, second, 0), second_valid
