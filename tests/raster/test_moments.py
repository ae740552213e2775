"""Moments of parts are those of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2.raster.moments import Moments, moments


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=30, deadline=None)
def test_moments_of_parts_merge_to_those_of_the_whole(seed, cuts):
    rng = np.random.default_rng(seed)
    bands, valid = rng.normal(1e4, 3, (2, 20, 20)), rng.random((20, 20)) > 0.5
    parts = zip(np.split(bands.reshape(2, -1), sorted(cuts), 1), np.split(valid.ravel(), sorted(cuts)), strict=True)
    total = sum((moments(part[:, None], there[None]) for part, there in parts), start=moments(bands[:, :0], valid[:0]))
    wanted = bands[:, valid]
    assert total.count == valid.sum() and total.mean == pytest.approx(wanted.mean(1), rel=1e-12)
    assert total.std == pytest.approx(wanted.std(1), rel=1e-9)
    assert np.array_equal(total.low, wanted.min(1)) and np.array_equal(total.high, wanted.max(1))


def test_nothing_has_no_moments():
    nothing = moments(np.ones((2, 3, 3)), np.zeros((3, 3), bool))
    assert isinstance(nothing, Moments) and (nothing + nothing).count == 0 and not nothing.std.any()
