"""ShaSpec-style fusion: what all sensors share stands in for a sensor that is missing."""

import torch

from dis2.models.rivals.network import maps
from dis2.models.slots import shown
from tests.models.tester import SENSORS, NetworkTester, assert_close, sample


class TestShaSpec(NetworkTester):
    method = "shaspec"

    @torch.no_grad()
    def test_a_slot_is_its_sensor_s_where_that_is_valid_and_the_mean_of_what_the_others_share_elsewhere(self, network):
        encoded = network.encode(*sample(size=(48, 32)))
        available = torch.tensor([[True, False, True]])
        fused, _ = network.fuse(encoded, shown(encoded, available, tuple(SENSORS)))
        for level, join in enumerate(network.join):
            own, shared = maps(encoded, level), maps(encoded.shared, level)
            eye, relief = (encoded.valid[s][level] for s in ("eye", "relief"))
            seen = (eye + relief) > 0
            common = torch.where(seen, (eye * shared["eye"] + relief * shared["relief"]) / (eye + relief), 0.0)
            slots = [eye * own["eye"] + (1 - eye) * common, common, relief * own["relief"] + (1 - relief) * common]
            assert_close(fused[level], join(torch.cat(slots, 1)))

    @torch.no_grad()
    def test_a_sensor_s_slot_is_what_it_shares_and_a_projection_of_shared_and_own(self, network):
        images, valid = sample()
        encoded, own = network.encode(images, valid), network.own(images, valid)
        for level, project in enumerate(network.project):
            shared = maps(encoded.shared, level)["echo"]
            assert_close(maps(encoded, level)["echo"], shared + project(torch.cat([shared, maps(own, level)["echo"]], 1)))

    @torch.no_grad()
    def test_sensors_are_told_apart_in_training_only_and_by_what_is_valid(self, network):
        images, valid = sample(("eye", "echo"))
        assert network.encode(images, valid).taken_for == {}
        told = network.train().encode(images, valid).taken_for
        assert told.keys() == {"eye", "echo"} and told["eye"].shape == (1, len(SENSORS))
        levels, share = network.own(images, valid).levels["echo"][-1], valid["echo"].double().unfold(2, 16, 16).unfold(3, 16, 16)
        share = share.mean((4, 5))
        mean = (levels * share).sum((2, 3)) / share.sum()
        assert_close(told["echo"], network.tell(mean))
