"""All windows at once are more precise than one, and say how precise that is."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.registration import MARGIN, inner, shifted
from dis2.raster.coherence import View, pooled
from dis2.raster.grid import Shift

SIDE = 128
TRUE = Shift(1.3, -0.6)


def windows(noise: float, count: int = 16) -> list[View]:
    """Views of other places, moved and noisy, trusted everywhere."""
    rng, trusted = np.random.default_rng(0), np.ones((SIDE, SIDE), bool)
    views = []
    for _ in range(count):
        image = ndimage.gaussian_filter(rng.normal(size=(SIDE + 2 * MARGIN,) * 2), 1.5) * 5
        first, second = (x + rng.normal(0, noise, (SIDE, SIDE)) for x in (inner(image), inner(shifted(image, TRUE))))
        views.append((first.astype(np.float32), second.astype(np.float32), trusted, trusted))
    return views


@pytest.mark.parametrize("own", [True, False])
def test_the_shift_is_found_from_a_start_nearby(own: bool) -> None:
    found = pooled(windows(0.3), (1.0, -1.0), own)
    assert (found.dx, found.dy) == pytest.approx((TRUE.dx, TRUE.dy), abs=0.01)


def test_the_deviation_that_it_tells_is_that_of_single_windows() -> None:
    views = windows(1.0)
    told = pooled(views, (TRUE.dx, TRUE.dy), own=True).deviation
    singles = np.array([pooled([view], (TRUE.dx, TRUE.dy), own=True)[:2] for view in views])
    apart = float((singles - (TRUE.dx, TRUE.dy)).std())
    assert 0.5 * apart < told < 1.5 * apart


def test_more_noise_makes_it_less_sure() -> None:
    deviations = [pooled(windows(noise, 4), (1.0, -1.0), own=True).deviation for noise in (0.1, 0.5, 2.0)]
    assert deviations == sorted(deviations) and deviations[-1] > 5 * deviations[0]


def test_what_is_not_trusted_changes_little() -> None:
    views = windows(0.1, 4)
    for first, second, *_ in views:
        first[:40, :40], second[60:, 90:] = 50, -50
    trusted = [np.ones((SIDE, SIDE), bool) for _ in range(2)]
    trusted[0][:44, :44], trusted[1][56:, 86:] = False, False
    found = pooled([(first, second, trusted[0], trusted[1]) for first, second, *_ in views], (1.0, -1.0), own=True)
    assert (found.dx, found.dy) == pytest.approx((TRUE.dx, TRUE.dy), abs=0.05)
