"""Tiles resampled and turned: every sensor, its validity and the labels together."""

import numpy as np
import pytest

from dis2.raster.grid import Window
from dis2.tiles.augment import Sample, resized, turned


def sample_of(bands, valid, labels):
    return Sample({"thermal": bands}, {"thermal": valid}, labels, "fen", Window(0, 0, *labels.shape))


def test_sensors_validity_and_labels_turn_together_in_eight_ways():
    tag = np.arange(36, dtype="uint8").reshape(6, 6)
    sample = sample_of(np.stack([tag, tag]), tag % 3 == 0, tag)
    ways = [turned(sample, way) for way in range(8)]
    for it in ways:
        assert (it.images["thermal"] == it.labels).all() and np.array_equal(it.valid["thermal"], it.labels % 3 == 0)
    assert len({it.labels.tobytes() for it in ways}) == 8 and (ways[0].labels == tag).all()


@pytest.mark.parametrize("size", [8, 24, 31])
def test_a_plane_stays_the_plane_at_any_size(size):
    """What is linear over the ground is linear at every resolution, but for the outermost half pixels."""
    y, x = np.mgrid[:16, :16] + 0.5
    plane = (3 * x - 2 * y)[None].astype(np.float32)
    found = resized(sample_of(plane, np.ones((16, 16), bool), np.zeros((16, 16), np.uint8)), size)
    y, x = (np.mgrid[:size, :size] + 0.5) * 16 / size
    inside = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(found.images["thermal"][0][inside], (3 * x - 2 * y)[inside], atol=1e-4)
    assert found.valid["thermal"].all() and found.labels.shape == (size, size)


@pytest.mark.parametrize("size", [11, 29])
def test_what_is_not_valid_lends_nothing_to_its_neighbours(size):
    valid = np.random.default_rng(0).random((16, 16)) > 0.4
    bands = np.where(valid, 7, 1e6)[None].astype(np.float32)
    found = resized(sample_of(bands, valid, np.zeros((16, 16), np.uint8)), size)
    there = found.valid["thermal"]
    np.testing.assert_allclose(found.images["thermal"][0][there], 7, rtol=1e-5)
    assert there.any() and not found.images["thermal"][0][~there].any()


def test_labels_and_validity_are_those_of_the_nearest_pixel():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = resized(sample_of(np.zeros((1, 16, 16), np.float32), labels % 2 == 0, labels), 32)
    assert (found.labels == np.kron(labels, np.ones((2, 2), np.uint8))).all()
    assert (found.valid["thermal"] == (found.labels % 2 == 0)).all()


def test_a_sample_of_the_right_size_is_left_alone():
    sample = sample_of(np.zeros((1, 16, 16), np.float32), np.ones((16, 16), bool), np.zeros((16, 16), np.uint8))
    assert resized(sample, 16) is sample
