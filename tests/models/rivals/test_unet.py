"""Early fusion: a U-Net of all bands and masks."""

import torch

from dis2.config.model import ModelSettings
from dis2.models.files import build
from tests.models.tester import NetworkTester, assert_close, complete, fresh, sample


class TestUnet(NetworkTester):
    method = "unet"

    def test_at_the_default_width_it_has_the_widths_and_the_size_of_the_one_that_was_measured(self):
        """Worked out by hand for six and two bands, two masks and two classes: two convolutions and two norms a block."""
        network = build("unet", {"s2": 6, "s1": 2}, 2, ModelSettings())
        blocks = [(10, 24), (24, 48), (48, 96), (96, 192), (192 + 96, 96), (96 + 48, 48), (48 + 24, 24)]
        assert sum(p.numel() for p in network.parameters()) == sum(9 * (a + b) * b + 4 * b for a, b in blocks) + 24 * 2 + 2

    @torch.no_grad()
    def test_a_mask_tells_a_zero_from_nothing(self, network):
        images, _ = sample()
        valid = complete(images)
        images["echo"] = torch.zeros_like(images["echo"])
        measured = network(images, valid).logits
        valid["echo"] = torch.zeros_like(valid["echo"])
        assert (measured - network(images, valid).logits).abs().max() > 1e-3

    @torch.no_grad()
    def test_padding_is_nothing_measured(self, network):
        """An image of an odd size is the same image with a margin that no sensor measured."""
        images, _ = sample(size=(27, 30))
        valid = complete(images)
        wider = {s: torch.nn.functional.pad(x, (0, 2, 0, 5), value=7.0) for s, x in images.items()}
        margin = {s: torch.nn.functional.pad(x, (0, 2, 0, 5)) for s, x in valid.items()}
        assert_close(network(images, valid).logits, network(wider, margin).logits[..., :27, :30])


def test_each_sample_is_normalised_by_itself():
    assert not [m for m in fresh("unet").modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
