"""Ablations: a network without one of its parts, or without several, is a whole network still."""

from itertools import product

import pytest
import torch

from dis2.models.compensation import EPSILON
from dis2.models.slots import shown
from tests.models.tester import TINY, NetworkTester, complete, fresh, is_new, objective_of, sample

PARTS = ("hierarchy", "classwise", "compensation")


def without(*parts):
    return TINY.model_copy(update=dict.fromkeys(parts, False))


class TestAblations(NetworkTester):
    method = "dis2"

    test_fixed_to_a_combination_it_can_be_exported = None  # seven of them would take minutes

    @pytest.fixture(
        autouse=True,
        params=[chosen for chosen in product((True, False), repeat=3) if not all(chosen)],
        ids=lambda chosen: "without " + ", ".join(part for part, there in zip(PARTS, chosen, strict=True) if not there),
    )
    def its_settings(self, request):
        chosen = dict(zip(PARTS, request.param, strict=True))
        self.settings = TINY.model_copy(update=chosen | {"certainty": chosen["classwise"]})  # so that the default is one of them

    @torch.no_grad()
    def test_with_every_sensor_it_starts_as_its_teacher(self, network):
        teacher = fresh("teacher", self.settings, seed=1)
        objective_of("dis2", teacher).start(network)
        for name, parameter in network.named_parameters():
            if is_new(name):
                parameter.zero_()
        images, _ = sample()
        assert torch.equal(network(images, complete(images)).logits, teacher(images, complete(images)).logits)


@torch.no_grad()
def test_without_hierarchy_only_the_coarsest_level_is_fused_filled_and_decoded():
    network = fresh("dis2", without("hierarchy"))
    images, valid = sample(("eye",))
    encoded = network.encode(images, valid)
    found = network.decode(encoded)
    assert [len(x) for x in (found.features.fused, found.features.compensated["echo"], found.features.offers["echo"]["eye"])] == [
        1
    ] * 3
    encoded.levels["eye"][:3] = [torch.full_like(x, torch.nan) for x in encoded.levels["eye"][:3]]
    assert torch.equal(network.decode(encoded).logits, found.logits)


@torch.no_grad()
def test_without_certainty_all_offers_count_alike():
    network = fresh("dis2", without("certainty"))
    images, valid = sample(("eye", "echo"))
    features = network(images, valid).features
    for level, slot in enumerate(features.compensated["relief"]):
        offers = [features.offers["relief"][source][level] for source in ("eye", "echo")]
        assert not any(offer.log_variance.any() for offer in offers)
        shares = [encoded[level + 1] for encoded in (network.encode(images, valid).valid[s] for s in ("eye", "echo"))]
        total = sum(shares) + EPSILON
        expected = sum(share * offer.features for share, offer in zip(shares, offers, strict=True)) / total
        torch.testing.assert_close(slot.features, expected)


@torch.no_grad()
def test_without_class_wise_features_no_class_has_maps_of_its_own():
    """One linear layer tells the classes at level 4, and what it tells changes no feature on the way up."""
    network = fresh("dis2", without("classwise"))
    images, valid = sample()
    expected = network(images, valid)
    network.decoders.of(network.sensors).attention.classify.weight.zero_()
    found = network(images, valid)
    assert torch.equal(found.logits, expected.logits) and not torch.equal(found.features.attention, expected.features.attention)


@torch.no_grad()
def test_without_compensation_a_missing_sensor_is_the_same_whatever_the_others_see():
    network = fresh("dis2", without("compensation"))
    slots = []
    for seed in range(2):
        encoded = network.encode(*sample(("eye",), seed=seed))
        slots.append([level[1] for level in network.slots(encoded, shown(encoded, None, network.sensors), {})])
    assert network.decode(encoded).features.compensated == {}
    assert all(torch.equal(a, b) for one, other in zip(*slots, strict=True) for a, b in zip(one, other, strict=True))
