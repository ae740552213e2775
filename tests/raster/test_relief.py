"""Relief keeps what stands out and forgets how high the land is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dis2.raster.relief import heights, relief


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_it_is_the_difference_to_the_mean_of_the_valid_pixels_around(seed, radius):
    rng = np.random.default_rng(seed)
    bands, valid = rng.normal(500, 9, (2, 9, 11)), rng.random((9, 11)) > 0.3
    told = relief(np.where(valid, bands, np.nan), valid, radius)
    for y, x in np.argwhere(valid):
        around = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        means = [band[around][valid[around]].mean() for band in bands]
        assert told[:, y, x] == pytest.approx(bands[:, y, x] - means, abs=1e-4)
    assert not told[:, ~valid].any() and told.dtype == np.float32


def test_the_height_of_the_land_makes_no_difference():
    bands, valid = np.random.default_rng(0).normal(size=(1, 20, 20)), np.ones((20, 20), bool)
    assert relief(bands + 4000, valid, 3) == pytest.approx(relief(bands, valid, 3), abs=1e-3)
    assert relief(np.full((1, 20, 20), 4000.0), valid, 3) == pytest.approx(np.zeros((1, 20, 20)), abs=1e-3)


def test_where_nothing_is_valid_there_is_no_relief():
    assert not relief(np.full((1, 4, 4), np.nan), np.zeros((4, 4), bool), 2).any()


def test_heights_and_their_relief_are_bands_beside_each_other():
    bands, valid = np.random.default_rng(0).normal(900, 9, (2, 8, 9)).astype(np.float32), np.ones((8, 9), bool)
    found = heights(bands, valid, (0, 3, 1))
    assert np.array_equal(found[:2], bands) and found.dtype == np.float32
    assert np.array_equal(found[2:4], relief(bands, valid, 3)) and np.array_equal(found[4:], relief(bands, valid, 1))
