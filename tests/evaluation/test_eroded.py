"""Eroded labels: what is scored lies further than the radius from any other class."""

import numpy as np
import pytest

from dis2.config.data import IGNORE
from dis2.evaluation.eroded import Eroded, eroded
from dis2.raster.grid import Window
from dis2.tiles.dataset import Scenes
from tests.training.tiny import SIZE, data


def by_hand(labels, radius):
    """Every pixel against every other one."""
    kept = labels.copy()
    known = np.argwhere(labels != IGNORE)
    for y, x in known:
        near = known[((known - (y, x)) ** 2).sum(1) <= radius**2]
        if any(labels[j, i] != labels[y, x] for j, i in near):
            kept[y, x] = IGNORE
    return kept


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_labels_are_eroded_as_a_loop_over_all_pairs_does(radius):
    rng = np.random.default_rng(radius)
    labels = np.kron(rng.integers(0, 3, (4, 5)), np.ones((7, 6))).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.1] = IGNORE
    found = eroded(labels, radius)
    assert np.array_equal(found, by_hand(labels, radius)) and 0 < (found != IGNORE).sum() < (labels != IGNORE).sum()


def test_neither_the_edge_of_a_scene_nor_what_is_ignored_is_another_class():
    labels = np.full((9, 9), 2, np.uint8)
    labels[4, 4] = IGNORE
    assert np.array_equal(eroded(labels, 3), labels)


def test_windows_know_the_classes_beyond_their_edge(tiles):
    whole, plain = Eroded(data(), tiles, "test", 2), Scenes(data(), tiles, "test")
    truth = eroded(plain.sample("dog", Window(0, 0, *SIZE)).labels, 2)
    for window in (Window(0, 0, *SIZE), Window(9, 7, 20, 30), Window(44, 52, 20, 20)):
        assert np.array_equal(whole.sample("dog", window).labels, truth[window.slices])


def test_without_a_radius_scenes_are_as_they_are(tiles):
    window = Window(3, 5, 30, 30)
    labels = [it.sample("dog", window).labels for it in (Eroded(data(), tiles, "test", 0), Scenes(data(), tiles, "test"))]
    assert np.array_equal(*labels)
