"""SGMA-style fusion: sensors weighed by how well they agree with what the classes look like."""

import pytest
import torch

from dis2.models.rivals.network import averaged
from dis2.models.rivals.sgma import SemanticFusion, prototypes_of, shared_out
from dis2.models.slots import shown
from tests.models.tester import SENSORS, NetworkTester, assert_close, complete, sample


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return SemanticFusion(("a", "b"), 4, 3).double()


@pytest.fixture
def level():
    """A level of one sample as two sensors show it, and their shares of its cells in two views: one has holes, one no b."""
    features = {s: torch.randn(1, 4, 2, 3).double() for s in "ab"}
    shares = {s: torch.rand(2, 1, 2, 3).double() for s in "ab"}
    shares["a"][0, 0, 1, 2] = shares["b"][1] = 0
    return features, shares


class TestSGMA(NetworkTester):
    method = "sgma"

    @torch.no_grad()
    def test_a_sensor_alone_has_all_of_every_cell(self, network):
        images, _ = sample(("echo",))
        encoded = network.encode(images, complete(images))
        fused, _ = network.fuse(encoded, shown(encoded, None, tuple(SENSORS)))
        assert_close(fused[0], encoded.stems["echo"])
        _, _, weights = network.fusion[0]({"echo": encoded.levels["echo"][0]}, {"echo": encoded.valid["echo"][1]})
        assert_close(weights["echo"], torch.ones_like(weights["echo"]))

    def test_guesses_are_deeply_supervised_and_robustness_is_told_in_training_only(self, network):
        encoded = network.encode(*sample())
        assert len(network.decode(encoded).features.scales) == 8 and not hasattr(encoded, "robustness")
        images, _ = sample(("eye", "relief"))
        told = network.train().encode(images, complete(images)).robustness
        assert told.shape == (1, len(SENSORS)) and told[0, 1] == 0 and not told.requires_grad
        assert_close(told.sum(), torch.ones(()).double())

    @torch.no_grad()
    def test_a_sensor_with_holes_is_no_less_robust_for_them(self, network):
        """What it has where it is alone, and where it is not there, does not count against it."""
        images, valid = sample(("eye", "relief"))
        valid = complete(images)
        valid["relief"][..., 16:] = False
        encoded = network.train().encode(images, valid)
        eye, relief = encoded.robustness[0, [0, 2]].tolist()
        weights = network.fusion[-1]({s: x[-1] for s, x in encoded.levels.items()}, {s: x[-1] for s, x in encoded.valid.items()})[
            2
        ]
        assert relief == pytest.approx(weights["relief"][..., :1].mean().item()) and relief + eye > 1
        assert weights["eye"][..., 1:].eq(1).all()

    @torch.no_grad()
    def test_full_resolution_is_weighed_by_the_fusion_of_level_1_and_its_own_validity(self, network):
        images, valid = sample()
        valid["eye"][..., :16], valid["echo"][..., 16:] = False, False
        valid["relief"][:] = False
        encoded = network.encode(images, valid)
        fused, _ = network.fuse(encoded, shown(encoded, None, tuple(SENSORS)))
        here = torch.cat([valid["echo"][..., :16], valid["eye"][..., 16:]], -1)
        alone = torch.cat([encoded.stems["echo"][..., :16], encoded.stems["eye"][..., 16:]], -1)
        assert_close(fused[0], here * alone)


def test_prototypes_are_means_of_the_cells_of_a_class_in_each_view():
    """Two cells of the first class, one of both; the last one is half there in the first view and not at all in the second."""
    cells = torch.tensor([[[4.0, 1.0], [2.0, 1.0], [1.0, 5.0]]])
    belief = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])
    there = torch.tensor([[1.0, 1.0, 0.5], [1.0, 0.0, 0.0]]).view(2, 1, 3, 1)
    found = prototypes_of(belief, cells, there)
    assert_close(found[0, 0], torch.tensor([[5 / 1.5, 1.0], [1.5, 3.0]]))
    assert found[1, 0].tolist() == [[4, 1], [0, 0]]


def test_a_softmax_among_what_is_there_goes_by_how_far_it_is():
    scores, there = torch.tensor([[0.0, 1.0, 900.0], [-900.0, -899.0, 5.0], [1.0, 2.0, 3.0]]), torch.tensor([0.5, 1.0, 0.0])
    share = 0.5 / (0.5 + torch.e)
    found = shared_out(scores, torch.stack([there, there, torch.zeros(3)]), 1)
    torch.testing.assert_close(found, torch.tensor([[share, 1 - share, 0], [share, 1 - share, 0], [0, 0, 0]]))


@torch.no_grad()
def test_prototypes_attend_to_the_cells_of_all_sensors_that_are_there(fusion, level):
    features, shares = level
    for view in range(2):
        cells = torch.cat([x[0].flatten(1).T for x in features.values()])
        there = torch.cat([share[view].flatten() for share in shares.values()])
        belief = there[:, None] * torch.softmax(fusion.filter(cells), 1)
        prototypes = belief.T @ cells / belief.sum(0)[:, None]
        weight = there * torch.exp(fusion.ask(prototypes) @ fusion.show(cells).T / 2)  # of 4 channels
        expected = prototypes + weight / weight.sum(1, keepdim=True) @ fusion.tell(cells)
        assert_close(fusion.semantics(features, shares)[view], expected)


@torch.no_grad()
def test_a_cell_is_fused_by_how_its_sensors_answer_to_what_its_classes_look_like(fusion, level):
    features, shares = level
    fused, guess, weights = fusion(features, shares)
    projected = {s: fusion.project[s](x) for s, x in features.items()}
    mean = averaged(projected, shares)
    expected = torch.einsum("bkhw,bkc->bchw", torch.softmax(guess, 1), fusion.semantics(projected, shares))
    asked = fusion.query(mean + expected)
    answer = {s: shares[s] * torch.exp((asked * fusion.key(x)).sum(1, keepdim=True) / 2) for s, x in projected.items()}
    total = sum(answer.values())
    for sensor, weight in weights.items():
        assert_close(weight, answer[sensor] / total)
    assert_close(fused, mean + expected + fusion.leave(sum(weights[s] * fusion.value(x) for s, x in projected.items())))
    assert weights["a"][0, 0, 1, 2] == 0 and weights["b"][1].eq(0).all() and weights["a"][1].eq(1).all()
