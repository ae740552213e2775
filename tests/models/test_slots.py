"""Slots: a sensor's place in the fusion."""

import torch

from dis2.models.slots import validity
from tests.models.tester import assert_close, fresh, sample


@torch.no_grad()
def test_validity_of_a_cell_is_the_share_of_its_pixels_and_nothing_where_a_sensor_is_unavailable():
    network = fresh("teacher")
    images, valid = sample(("eye", "echo"))
    encoded = network.encode(images, valid)
    shares = validity(encoded, torch.tensor([[True, True, True], [False, True, True]]), network.sensors, 2)
    by_hand = valid["eye"].double().unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    assert_close(shares[0], torch.cat([by_hand, torch.zeros_like(by_hand)]))
    assert not shares[2].any()


@torch.no_grad()
def test_without_compensation_a_missing_slot_is_the_learned_nothing_and_no_certainty():
    network = fresh("teacher")
    encoded = network.encode(*sample(("eye",)))
    stems, slots, _ = network.slots(encoded, torch.ones(1, 3, dtype=torch.bool), {})
    for level, found in enumerate(slots):
        nothing = network.slots.nothing[level][1] + network.slots.sensor[level][1]
        assert_close(found[1], torch.cat([nothing, torch.zeros(1)]).view(1, -1, 1, 1).expand_as(found[1]))
    assert stems.shape[1] == 3 * 2 and not stems[:, 2:].any()
