"""What decoders share: their widths, and the edges of full resolution."""

import torch

from dis2.models.decoding import steps
from dis2.models.slots import shown
from tests.models.tester import assert_close, fresh, sample, together


def test_level_1_has_half_the_width_but_never_fewer_than_16_channels_where_the_width_reaches_that():
    assert [steps(width)[-1][1] for width in (8, 16, 32, 64)] == [8, 16, 16, 32]
    assert steps(32) == [(256, 128), (128, 64), (64, 16)]


@torch.no_grad()
def test_edges_are_made_once_per_image_and_only_where_a_view_shows_a_measured_sensor():
    network, made = fresh("teacher"), []
    images, valid = together([sample(seed=0), sample(("eye",), seed=1)])
    encoded = network.encode(images, valid)
    for conv in network.edges.values():
        conv.register_forward_hook(lambda conv, given, edge: made.append(edge))
    available = torch.tensor([[True, True, False], [True, True, False], [False, True, False], [True, True, False]])
    eye, echo = network.edges(encoded, shown(encoded, available, network.sensors))
    assert [len(x) for x in made] == [2, 2] and [len(eye), len(echo)] == [4, 4]
    assert_close(eye, torch.cat([made[0], torch.zeros_like(made[0][:1]), made[0][1:]]))
    assert_close(echo[:2], made[1])
    by_hand = torch.nn.functional.conv2d(encoded.stems["eye"] * valid["eye"], network.edges["eye"].weight)
    assert_close(made[0], by_hand)
