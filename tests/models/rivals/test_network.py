"""What fusion rivals stand on."""

import pytest
import torch

from dis2.models.files import build
from dis2.models.layers import widths
from dis2.models.rivals.network import averaged, mean_where_valid, side_by_side
from tests.models.tester import SENSORS, TINY, complete, fresh, sample

FUSION_RIVALS = ["shaspec", "mmformer", "magic", "sgma"]


def cells(*values):
    """One cell of some channels for each sample."""
    return torch.tensor(values, dtype=torch.double)[..., None, None]


def parameters(method, sensors):
    return sum(p.numel() for p in build(method, sensors, 3, TINY).parameters())


def test_the_mean_of_sensors_goes_by_weight_for_each_view_and_is_nothing_without_any():
    features = {"a": cells([2.0, 4.0]), "b": cells([6.0, 0.0])}
    weights = {"a": cells([0.5], [1.0], [0.0]), "b": cells([1.5], [0.0], [0.0]), "c": cells([9.0], [9.0], [9.0])}
    assert averaged(features, weights)[..., 0, 0].tolist() == [[5, 1], [2, 4], [0, 0]]


def test_numbers_of_sensors_stand_in_their_order_with_zeros_for_those_that_were_not_measured():
    found = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([3.0, 4.0])}
    assert side_by_side(found, ("a", "b", "c")).tolist() == [[3, 1, 0], [4, 2, 0]]


@torch.no_grad()
@pytest.mark.parametrize("method", FUSION_RIVALS)
def test_a_view_of_sensors_that_no_sample_has_is_a_map_all_the_same(method):
    """Evaluation asks for every combination of every window, and a window may lie outside of what a sensor saw."""
    network = fresh(method)
    views = torch.tensor([[False, True, False], [True, True, True]])
    assert network.decode(network.encode(*sample(("eye",))), views).logits.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("method", FUSION_RIVALS)
def test_fused_features_and_scales_have_the_sizes_of_their_levels(method):
    images, _ = sample(size=(32, 48))
    found = fresh(method)(images, complete(images)).features
    assert [tuple(x.shape[1:]) for x in found.fused] == [(4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 2, 3)]
    assert {tuple(x.shape[1:]) for x in found.scales} == {(3, 2, 3), (3, 4, 6), (3, 8, 12), (3, 16, 24)}
    assert found.penultimate.shape == (1, 4, 32, 48)


@torch.no_grad()
@pytest.mark.parametrize("method", ["shaspec", "magic", "sgma"])
def test_the_trunk_is_the_same_for_all_sensors(method):
    network = fresh(method)
    image = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    there = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    encoders = network.encoders
    encoders.stems["echo"] = encoders.stems["eye"]
    found = encoders({"eye": image, "echo": image}, {"eye": there, "echo": there}).levels
    assert all(torch.equal(a, b) for a, b in zip(found["eye"], found["echo"], strict=True))


@pytest.mark.parametrize("method", ["magic", "sgma"])
def test_one_more_sensor_costs_its_stem_and_its_projections_and_nothing_else(method):
    bands, channels = 5, TINY.width // 2
    stem = 9 * (bands + 1) * channels + channels  # a convolution with its bias
    projections = sum(c * c + 3 * c for c in widths(TINY.width)) if method == "sgma" else 0
    less, more = (parameters(method, sensors) for sensors in (SENSORS, SENSORS | {"new": bands}))
    assert more - less == stem + projections


def test_the_mean_of_a_map_is_that_of_its_valid_part_and_nothing_without_any():
    x, share = torch.tensor([[[[1.0, 3.0]], [[5.0, 9.0]]]] * 2), torch.tensor([[[[1.0, 0.5]]], [[[0.0, 0.0]]]])
    assert mean_where_valid(x, share).tolist() == [[pytest.approx(2.5 / 1.5), pytest.approx(9.5 / 1.5)], [0, 0]]
