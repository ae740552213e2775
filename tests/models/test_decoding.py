"""What decoders share: their widths, and the edges of full resolution."""

import pytest
import torch

from dis2.models.decoding import steps
from dis2.models.slots import shown
from tests.models.tester import assert_close, fresh, sample, together


def test_level_1_has_half_the_width_but_never_fewer_than_16_channels_where_the_width_reaches_that():
    assert [steps(width)[-1][1] for width in (8, 16, 32, 64)] == [8, 16, 16, 32]
    assert steps(32) == [(256, 128), (128, 64), (64, 16)]


def test_edges_are_made_once_per_image_and_only_where_a_view_shows_a_measured_sensor():
    network, made = fresh("teacher"), []
    images, valid = together([sample(seed=0), sample(("eye",), seed=1)])
    with torch.no_grad():
        encoded = network.encode(images, valid)
    for conv in edges_of(network).values():
        conv.register_forward_hook(lambda conv, given, edge: made.append(edge))
    available = torch.tensor([[True, True, False], [True, True, False], [False, True, False], [True, True, False]])
    found = edges_of(network)(encoded, shown(encoded, available, network.sensors), torch.zeros_like(map_for(network, encoded, 4)))
    assert [len(x) for x in made] == [2, 2]
    eye, echo = made
    assert_close(found, torch.cat([eye[:1] + echo[:1], eye[1:] + echo[1:], echo[:1], eye[1:] + echo[1:]]))
    assert_close(eye, torch.nn.functional.conv2d(encoded.stems["eye"] * valid["eye"], edges_of(network)["eye"].weight))


def edges_of(network):
    return network.decoders.of(network.sensors).edges


def map_for(network, encoded, count):
    shape = count, edges_of(network)["eye"].out_channels, *encoded.stems["eye"].shape[-2:]
    return torch.randn(shape, dtype=edges_of(network)["eye"].weight.dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_without_gradients_edges_are_the_same_and_no_map_of_them_is_made(bfloat16):
    network, made = fresh("teacher").float(), []
    images, valid = together([sample(seed=0), sample(seed=1)])
    images = {sensor: image.float() for sensor, image in images.items()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        encoded = network.encode(images, valid)
        seen = shown(encoded, None, network.sensors)
        x = map_for(network, encoded, 2).to(torch.bfloat16 if bfloat16 else torch.float32)
        with torch.enable_grad():
            expected = edges_of(network)(encoded, seen, x.clone()).detach()
        for conv in edges_of(network).values():
            conv.register_forward_hook(lambda *call: made.append(call))
        found = edges_of(network)(encoded, seen, x)
    assert not made and found.data_ptr() == x.data_ptr()
    torch.testing.assert_close(found, expected, **({"atol": 0.05, "rtol": 0.02} if bfloat16 else {"atol": 1e-5, "rtol": 1e-5}))
