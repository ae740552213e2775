"""The few layers that everything is built from."""

import torch
import torch.nn.functional as F

from dis2.models.layers import NormReLU, doubled, fold, joined, weighed
from tests.models.tester import assert_close


def test_a_map_is_weighed_for_every_view_as_if_it_were_repeated():
    x, weight = torch.randn(2, 3, 4, 5).double(), torch.rand(6, 1, 4, 5).double()
    assert_close(weighed(x, weight), weight * torch.cat([x] * 3))
    assert torch.equal(fold(x, 3), torch.cat([x] * 3))


def test_maps_are_joined_with_channels_last_whatever_their_layout():
    maps = [
        torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.randn(2, 1, 4, 5),
        torch.randn(2, 2, 4, 5),
    ]
    assert torch.equal(joined(maps), torch.cat(maps, 1)) and joined(maps).is_contiguous(memory_format=torch.channels_last)


def test_normalised_and_rectified_in_place_has_the_gradient_of_the_plain_way():
    torch.manual_seed(0)
    layer = NormReLU(3).double()
    torch.nn.init.normal_(layer.norm.weight)
    x = torch.randn(2, 3, 4, 5).double().requires_grad_()
    plain = F.layer_norm(x.movedim(1, -1), (3,), layer.norm.weight, layer.norm.bias).movedim(-1, 1).relu()
    assert_close(layer(x), plain)
    weight = torch.randn_like(plain)
    assert_close(*(torch.autograd.grad((y * weight).sum(), x)[0] for y in (layer(x), plain)))


def test_twice_the_resolution_keeps_pixels_aligned_with_the_means_of_two_by_two():
    """A ramp stays the same ramp but for the outermost pixels: cell 2 i and 2 i + 1 lie a quarter beside cell i."""
    fine = doubled(torch.arange(4.0).view(1, 1, 1, 4))[0, 0, 0]
    assert fine.tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
