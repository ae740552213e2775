"""Temperatures: the likeliest one is found, and each pixel gets that of the sensors it has."""

import pytest
import torch
from scipy.optimize import minimize_scalar

from dis2.models.temperature import COLDEST, HOTTEST, fitted, tempered

SENSORS = ("eye", "echo")


def drawn(temperature, count=200_000, classes=4, seed=0):
    """Logits, and classes drawn by the probabilities that they have at this temperature."""
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=rng)
    truth = torch.multinomial((logits / temperature).softmax(1), 1, generator=rng).squeeze(1)
    return logits, truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_by_which_the_truth_was_drawn_is_found(temperature):
    assert fitted(*drawn(temperature)) == pytest.approx(temperature, rel=0.02)


def test_it_is_where_the_likelihood_is_greatest():
    logits, truth = drawn(1.7, count=500)
    loss = torch.nn.functional.cross_entropy
    best = minimize_scalar(lambda t: float(loss(logits.double() / t, truth)), bounds=(0.1, 10), method="bounded").x
    assert fitted(logits, truth) == pytest.approx(best, rel=1e-3)


def test_what_is_always_right_or_mostly_wrong_stays_within_bounds():
    logits = torch.eye(3).repeat(10, 1)
    assert fitted(logits, torch.arange(3).repeat(10)) == pytest.approx(COLDEST, rel=1e-3)
    assert fitted(logits, (torch.arange(3).repeat(10) + 1) % 3) == pytest.approx(HOTTEST, rel=1e-3)
    assert fitted(logits[:0], torch.arange(0)) == 1


def test_each_pixel_has_the_temperature_of_the_sensors_that_measured_it():
    logits = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    valid = {
        "eye": torch.tensor([[[[1, 1], [0, 0]]], [[[1, 1], [1, 1]]]]).bool(),
        "echo": torch.tensor([[[[1, 0], [1, 0]]], [[[0, 0], [0, 0]]]]).bool(),
    }
    by = torch.tensor([[[[4.0, 2.0], [0.5, 1.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])
    found = tempered(logits, valid, SENSORS, {"eye+echo": 4.0, "eye": 2.0, "echo": 0.5})
    assert torch.equal(found, logits / by)
    assert torch.equal(tempered(logits, valid, ("eye",), {"eye": 2.0})[1], logits[1] / 2)


def test_without_temperatures_nothing_changes():
    logits = torch.randn(1, 3, 2, 2)
    assert tempered(logits, {}, SENSORS, {}) is logits
    assert torch.equal(tempered(logits, {s: torch.ones(1, 1, 2, 2).bool() for s in SENSORS}, SENSORS, {"echo": 3.0}), logits)
