"""MAGIC-style training: which sensors are selected, and that they are to say what all say."""

import numpy as np
import torch

from dis2.training.magic import selected
from tests.models.tester import SENSORS, batch_of, fresh, objective_of, sample, together


def test_the_most_and_the_least_similar_of_the_sensors_that_are_there_are_selected():
    similarity = np.array([[0.2, 0.9, 0.5, 0.1], [0.2, 0.9, 0.5, 0.1], [0.3, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.7], [1, 1, 1, 1]])
    there = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    assert selected(similarity, there).astype(int).tolist() == [
        [0, 1, 0, 1],
        [1, 0, 1, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
    ]


def test_the_third_view_is_the_selection_only_where_there_is_something_to_select():
    objective, samples = objective_of("magic"), together([sample(seed=0), sample(("eye", "echo"), seed=1)])
    for count in (3, 7):
        usual = objective.views(batch_of(*samples, views=count))
        shown = objective.shown(batch_of(*samples, views=count), torch.tensor([[0.1, 0.5, 0.9], [0.1, 0.5, 0.0]]))
        assert shown.shape == (count, 2, len(SENSORS))
        assert shown[2, 0].tolist() == [True, False, True]
        assert len(np.unique(shown[:, 0], axis=0)) == count
        assert (shown[:2] == usual[:2]).all() and (shown[:, 1] == usual[:, 1]).all()


def test_views_that_are_the_same_are_consistent_and_others_are_not():
    network, objective = fresh("magic").train(), objective_of("magic")
    alone, several = (
        objective.terms(network, batch_of(*together([sample(combination, seed=seed) for seed in range(2)])))["consistency"]
        for combination in (("echo",), tuple(SENSORS))
    )
    assert alone.abs() < 1e-9 and several > 1e-4


def test_consistency_moves_the_selection_towards_all_sensors_and_not_back():
    """Of the three views' logits, those of the selection alone get a gradient."""
    network, objective = fresh("magic").train(), objective_of("magic")
    seen = {}
    before = network.decode

    def decode(encoded, available):
        prediction = before(encoded, available)
        prediction.logits.retain_grad()
        seen["logits"] = prediction.logits
        return prediction

    network.decode = decode
    objective.terms(network, batch_of(*together([sample(seed=seed) for seed in range(2)])))["consistency"].backward()
    full, single, kept = seen["logits"].grad.chunk(3)
    assert not full.any() and not single.any() and kept.any()
