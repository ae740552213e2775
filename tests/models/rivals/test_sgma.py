"""SGMA-style fusion: sensors weighed by how well they agree with what the classes look like."""

import math

import pytest
import torch

from dis2.models.rivals.network import maps
from dis2.models.rivals.sgma import SHARPNESS, SemanticFusion, agreement
from dis2.models.slots import shown
from tests.models.tester import SENSORS, NetworkTester, assert_close, complete, sample


def row(*cells):
    """A map of one row of cells: [1, C, 1, cells]."""
    return torch.tensor(cells, dtype=torch.double).T[None, :, None]


@pytest.fixture
def certain():
    """A fusion of two channels whose guess is the larger channel, without any doubt."""
    fusion = SemanticFusion(2, 2).double()
    with torch.no_grad():
        fusion.guess.weight.copy_(1000 * torch.eye(2)[..., None, None])
        fusion.guess.bias.zero_()
    return fusion


class TestSGMA(NetworkTester):
    method = "sgma"

    @torch.no_grad()
    def test_a_sensor_alone_is_taken_as_it_is(self, network):
        images, valid = sample(("echo",))
        encoded = network.encode(images, complete(images))
        fused, _ = network.fuse(encoded, shown(encoded, None, tuple(SENSORS)))
        assert_close(fused[0], encoded.stems["echo"])
        for level, fuse in enumerate(network.fusion, 1):
            own = maps(encoded, level)["echo"]
            _, expected = fuse.expected({"echo": own}, {"echo": torch.ones_like(own[:, :1])})
            assert_close(fused[level], fuse.join(torch.cat([own, expected], 1)))

    def test_guesses_are_deeply_supervised_and_robustness_is_told_in_training_only(self, network):
        encoded = network.encode(*sample())
        assert len(network.decode(encoded).features.scales) == 8 and not hasattr(encoded, "robustness")
        told = network.train().encode(*sample(("eye", "relief"))).robustness
        assert told.shape == (1, len(SENSORS)) and told[0, 1] == 0 and not told.requires_grad
        assert told.abs().max() <= 1

    @torch.no_grad()
    def test_full_resolution_is_weighed_by_the_agreement_of_level_1_and_its_own_validity(self, network):
        images, valid = sample()
        valid["eye"][..., :16], valid["echo"][..., 16:] = False, False
        valid["relief"][:] = False
        encoded = network.encode(images, valid)
        fused, _ = network.fuse(encoded, shown(encoded, None, tuple(SENSORS)))
        here = torch.cat([valid["echo"][..., :16], valid["eye"][..., 16:]], -1)
        alone = torch.cat([encoded.stems["echo"][..., :16], encoded.stems["eye"][..., 16:]], -1)
        assert_close(fused[0], here * alone)


def test_prototypes_are_means_of_the_cells_of_a_class_and_come_back_to_them(certain):
    """Two cells of the first class, two of the second, and one without any measurement that takes part in none."""
    features = {"a": row([4.0, 1.0], [2.0, 1.0], [0.0, 3.0], [1.0, 5.0], [9.0, 0.0])}
    shares = {"a": row([1.0], [1.0], [1.0], [1.0], [0.0])}
    guess, expected = certain.expected(features, shares)
    assert guess.argmax(1).flatten().tolist()[:4] == [0, 0, 1, 1]
    assert_close(expected[..., :4], row([3.0, 1.0], [3.0, 1.0], [0.5, 4.0], [0.5, 4.0]))


def test_the_sensor_that_agrees_outweighs_the_one_that_does_not_by_the_cosines(certain):
    features = {"a": row([4.0, 0.0], [2.0, 0.0]), "b": row([0.0, 1.0], [0.0, 1.0])}
    shares = {"a": row([1.0], [1.0]), "b": row([1.0], [0.5])}
    _, _, weights = certain(features, shares)
    _, expected = certain.expected(features, shares)
    first, second = ((expected * x).sum(1) / (expected.norm(dim=1) * x.norm(dim=1)) for x in features.values())
    ratio = weights["a"] / weights["b"]
    assert first.min() > second.max()
    assert_close(ratio[0, 0, 0], torch.exp(SHARPNESS * (first - second))[0, 0] * torch.tensor([1.0, 2.0]).double())


def test_agreement_is_a_cosine_of_every_view():
    expected = torch.cat([row([1.0, 0.0]), row([1.0, 1.0])])  # two views of one sample
    found = agreement(row([1.0, 1.0]), expected)
    assert found.flatten().tolist() == pytest.approx([math.sqrt(0.5), 1.0])
