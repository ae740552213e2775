"""mmFormer-style fusion: missing sensors are zeros, and a transformer between the sensors makes up for them."""

import torch

from dis2.models.rivals.network import maps
from dis2.models.slots import shown
from tests.models.tester import SENSORS, NetworkTester, assert_close, sample

WITHOUT_ECHO = torch.tensor([[True, False, True]])


def fused(network, encoded):
    return network.fuse(encoded, shown(encoded, WITHOUT_ECHO, tuple(SENSORS)))[0]


class TestMMFormer(NetworkTester):
    method = "mmformer"

    @torch.no_grad()
    def test_a_missing_sensor_is_zero_at_the_fine_levels(self, network):
        encoded = network.encode(*sample())
        found = fused(network, encoded)
        for level, join in enumerate(network.join[:-1]):
            own, share = maps(encoded, level), {s: levels[level] for s, levels in encoded.valid.items()}
            slots = [share["eye"] * own["eye"], torch.zeros_like(own["echo"]), share["relief"] * own["relief"]]
            assert_close(found[level], join(torch.cat(slots, 1)))

    @torch.no_grad()
    def test_the_tokens_of_a_missing_sensor_still_attend(self, network):
        """What they are is the sensor's embedding alone; were they left out, no other token would know of it."""
        encoded = network.encode(*sample())
        *fine, coarse = fused(network, encoded)
        channels = coarse.shape[1]
        network.join[-1].weight[:, channels : 2 * channels] = 0  # no way through its own place
        before = fused(network, encoded)
        network.sensor[1] += 1
        after = fused(network, encoded)
        assert all(torch.equal(a, b) for a, b in zip(before[:-1], after[:-1], strict=True))
        assert (before[-1] - after[-1]).abs().max() > 1e-3

    @torch.no_grad()
    def test_a_sensor_attends_to_all_of_itself_before_it_meets_the_others(self, network):
        """Behind the convolutions, cells far apart know nothing of each other; behind the transformer they do."""
        images, _ = sample(size=(16, 128))
        valid = {sensor: torch.ones_like(image[:, :1], dtype=torch.bool) for sensor, image in images.items()}
        changed = images | {"eye": images["eye"].clone()}
        changed["eye"][..., 120:] += 1
        one, other = (network.encode(x, valid).levels for x in (images, changed))
        assert_close(one["eye"][2][..., 0], other["eye"][2][..., 0])
        assert (one["eye"][3][..., 0] - other["eye"][3][..., 0]).abs().max() > 1e-6
        assert torch.equal(one["echo"][3], other["echo"][3])
