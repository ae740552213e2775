"""An affine is told from a translation by chance alone, and never by few windows."""

import numpy as np
import pytest

from dis2.raster.growth import growing

PLACES = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), -1).reshape(-1, 2) * 100.0
LINEAR = (0.004, -0.002, 0.001, 0.003)


def said(noise: float, linear: tuple[float, ...] = LINEAR, seed: int = 0) -> np.ndarray:
    """What 25 windows say of a misregistration of (3, -2) pixels in the middle."""
    return (3, -2) + PLACES @ np.reshape(linear, (2, 2)).T + np.random.default_rng(seed).normal(0, noise, PLACES.shape)


def test_an_affine_is_found_with_its_growth_in_either_direction() -> None:
    found = growing(PLACES, said(0.02), said(0.02), 0.5)
    assert found is not None and found.inside.all()
    assert (found.shift.dx, found.shift.dy) == pytest.approx((3, -2), abs=0.02)
    assert found.shift.linear == pytest.approx(LINEAR, abs=1e-4)


def test_windows_that_lie_apart_are_left_out() -> None:
    moves = said(0.02)
    moves[[3, 17]] += 4
    found = growing(PLACES, moves, moves, 0.5)
    assert found is not None
    assert np.flatnonzero(~found.inside).tolist() == [3, 17]
    assert found.shift.linear == pytest.approx(LINEAR, abs=1e-4)


@pytest.mark.parametrize("noise", [0.001, 0.05, 0.2])
def test_noise_around_a_translation_is_no_growth(noise: float) -> None:
    assert [growing(PLACES, said(noise, (0,) * 4, seed), said(noise, (0,) * 4, seed), 0.5) for seed in range(50)] == [None] * 50


def test_too_few_windows_or_windows_in_a_row_show_no_growth() -> None:
    moves = said(0.01)
    assert growing(PLACES[:7], moves[:7], moves[:7], 0.5) is None
    row = PLACES[:, 1] == 0
    repeated = np.repeat(np.flatnonzero(row), 2)
    assert growing(PLACES[repeated], moves[repeated], moves[repeated], 0.5) is None


def test_growth_beyond_reason_is_none() -> None:
    moves = said(0.01, (0.2, 0, 0, 0.2))
    assert growing(PLACES, moves, moves, 0.5) is None
