"""What decoders share: the edges of full resolution."""

import torch

from dis2.models.slots import shown
from tests.models.tester import assert_close, fresh, sample, together


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
