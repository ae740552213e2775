"""Slots: a sensor's place in the fusion."""

import torch

from dis2.models.slots import shown
from tests.models.tester import assert_close, fresh, sample, together


@torch.no_grad()
def test_validity_of_a_cell_is_the_share_of_its_pixels_and_nothing_where_a_sensor_is_unavailable():
    network = fresh("teacher")
    images, valid = sample(("eye", "echo"))
    encoded = network.encode(images, valid)
    shares = shown(encoded, torch.tensor([[True, True, True], [False, True, True]]), network.sensors).shares
    by_hand = valid["eye"].double().unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    assert_close(shares["eye"][2], torch.cat([by_hand, torch.zeros_like(by_hand)]))
    assert not any(x.any() for x in shares["relief"])


@torch.no_grad()
def test_without_compensation_a_missing_slot_is_the_learned_nothing_and_no_certainty():
    network = fresh("teacher")
    encoded = network.encode(*sample(("eye",)))
    for level, found in enumerate(network.slots(encoded, shown(encoded, None, network.sensors), {})):
        features, certainty = found[1]
        nothing = network.slots.nothing[level][1] + network.slots.sensor[level][1]
        assert_close(features, nothing.view(1, -1, 1, 1).expand_as(features))
        assert not certainty.any()


@torch.no_grad()
def test_what_is_shown_follows_from_what_was_measured_and_what_is_asked_for():
    network = fresh("teacher")
    images, valid = together([sample(), sample(("eye", "relief"), seed=1)])
    valid["relief"][:] = True
    encoded = network.encode(images, valid)
    everything = shown(encoded, None, network.sensors)
    assert (everything.there, everything.whole, everything.hiding) == (("eye", "echo", "relief"), {"relief"}, {})
    asked = shown(encoded, torch.tensor([[True, False, True], [True, False, False]]), network.sensors)
    assert asked.there == ("eye", "relief") and not asked.whole and list(asked.hiding) == ["relief"]
    assert asked.hiding["relief"].flatten().tolist() == [1, 0]
    assert_close(asked.shares["eye"][3], everything.shares["eye"][3])
