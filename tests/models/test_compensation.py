"""Compensation: what sensors offer for a missing one, weighed by how sure they are."""

import math

import pytest
import torch

from dis2.models.compensation import EPSILON, _mean
from dis2.models.prediction import Slot
from dis2.models.slots import shown
from tests.models.tester import SENSORS, complete, fresh, sample


def slot(value, log_variance):
    return Slot(torch.full((1, 2, 1, 1), value).double(), torch.full((1, 1, 1, 1), log_variance).double())


def share(value=1.0):
    return torch.full((1, 1, 1, 1), value).double()


def test_two_offers_are_weighed_by_their_precision_and_by_what_was_measured():
    found = _mean({"a": slot(1.0, 0.0), "b": slot(4.0, -1.0)}, {"a": share(), "b": share(0.5)}, 2)
    total = 1 + 0.5 * math.exp(1) + EPSILON
    assert found.features.flatten().tolist() == pytest.approx([(1 + 0.5 * math.exp(1) * 4) / total] * 2)
    assert found.log_variance.item() == pytest.approx(-math.log(total))


@pytest.mark.parametrize("offers", [{}, {"a": slot(3.0, -6.0)}])
def test_no_offer_and_an_offer_from_where_nothing_is_measured_are_the_same(offers):
    found = _mean(offers, {"a": share(0.0)}, 2)
    assert found.features.flatten().tolist() == [0, 0]
    assert found.log_variance.item() == pytest.approx(-math.log(EPSILON))


def hidden(encoded, network):
    """Each sensor is hidden in one of the views, and so offered by all others."""
    return shown(encoded, ~torch.eye(len(network.sensors), dtype=torch.bool), network.sensors)


@torch.no_grad()
def test_certainty_is_bounded_whatever_the_features():
    network = fresh("dis2")
    images, _ = sample()
    encoded = network.encode({s: 1e6 * image for s, image in images.items()}, complete(images))
    offers = network.offers(encoded, hidden(encoded, network))
    assert all(x.log_variance.abs().max() <= 6 for sources in offers.values() for levels in sources.values() for x in levels)


@torch.no_grad()
def test_each_trunk_runs_once_however_many_targets_it_serves(monkeypatch):
    network, runs = fresh("dis2"), []
    for sensor, offering in network.compensation.offering.items():
        monkeypatch.setattr(offering, "trunk", lambda x, s=sensor, trunk=offering.trunk: runs.append(s) or trunk(x))
    images, _ = sample()
    encoded = network.encode(images, complete(images))
    network.offers(encoded, hidden(encoded, network))
    assert sorted(runs) == sorted(SENSORS)


@torch.no_grad()
def test_a_complete_sensor_asks_for_no_offer():
    network = fresh("dis2")
    images, _ = sample()
    encoded = network.encode(images, complete(images))
    assert network.offers(encoded, shown(encoded, None, network.sensors)) == {}
    assert set(network.offers(encoded, shown(encoded, torch.tensor([[True, False, True]]), network.sensors))) == {"echo"}
