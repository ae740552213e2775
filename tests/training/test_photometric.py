"""Changes of a sensor's values: of the size that was asked for, each sample's by its own seed."""

import numpy as np
import pytest
import torch

from dis2.training.photometric import photometric, speckled, varied
from tests.training.tiny import settings

STATISTICS = {"mean": [20.0, 5.0], "std": [4.0, 2.0]}


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_changes_keep_to_each_band_and_sample_and_to_their_seed():
    image = torch.randn(2, 3, 64, 64)
    assert varied(image, 0.0, generators(1, 2)) is image
    one, other = (varied(image, 0.1, generators(1, 2)) for _ in range(2))
    assert torch.equal(one, other) and torch.equal(one[1:], varied(image[1:], 0.1, generators(2)))
    change = (one - image).mean((2, 3))
    assert len(change.flatten().unique()) == 6 and 0.02 < change.std() < 0.3 and 0.05 < (one - image).std() < 0.3


@pytest.mark.parametrize("looks", [1, 4])
def test_speckle_multiplies_values_by_gamma_noise_of_mean_one(looks):
    mean, std = (torch.tensor(STATISTICS[name]).view(-1, 1, 1) for name in ("mean", "std"))
    values = torch.tensor([30.0, 6.0]).view(1, 2, 1, 1).expand(1, 2, 200, 200)
    seen = speckled((values - mean) / std, looks, False, STATISTICS, generators(3)) * std + mean
    ratio = (seen / values).numpy()
    np.testing.assert_allclose(ratio.mean((2, 3)), 1, atol=0.02)
    np.testing.assert_allclose(ratio.var((2, 3)), 1 / looks, rtol=0.05)  # the variance of intensity of so many looks


def test_speckle_of_decibels_is_added():
    """One look's logarithm has a standard deviation of 5.57 dB and lies 2.51 dB below that of its mean."""
    seen = speckled(torch.zeros(1, 2, 300, 300), 1, True, STATISTICS, generators(3))
    decibels = seen * torch.tensor(STATISTICS["std"]).view(-1, 1, 1)
    np.testing.assert_allclose(decibels.std((2, 3)).numpy(), 5.57, atol=0.05)
    np.testing.assert_allclose(decibels.mean((2, 3)).numpy(), -2.51, atol=0.05)


def test_only_sensors_with_speckle_are_speckled():
    images = {"eye": torch.randn(1, 2, 16, 16), "echo": torch.randn(1, 2, 16, 16)}
    seen = photometric(images, lambda sensor: 0.0, {"echo": (4.0, True)}, {"echo": STATISTICS}, generators(5))
    assert torch.equal(seen["eye"], images["eye"]) and not torch.equal(seen["echo"], images["echo"])


def test_each_sensor_is_varied_by_its_own_strength():
    images = {"eye": torch.randn(1, 2, 16, 16), "echo": torch.randn(1, 2, 16, 16), "relief": torch.randn(1, 1, 16, 16)}
    told = settings(photometric={"eye": 0.0, "echo": 0.5})
    seen = photometric(images, told.strength, {}, {}, generators(5))
    change = {sensor: (seen[sensor] - image).std().item() for sensor, image in images.items()}
    assert change["eye"] == 0 and change["echo"] > 3 * change["relief"] > 0
    assert {settings(photometric=0.3).strength(sensor) for sensor in images} == {0.3}
