"""MAGIC-style fusion: the mean of whatever sensors there are, and how like it each of them is."""

import pytest
import torch

from dis2.models.prediction import Encoded
from dis2.models.rivals.magic import similarities
from dis2.models.rivals.network import maps
from dis2.models.slots import shown
from tests.models.tester import SENSORS, NetworkTester, assert_close, complete, sample


def encoded_as(**levels):
    """A batch whose level 4 has these cells [B, C, cells], all valid but NaN ones."""
    coarse = {s: torch.tensor(x).unsqueeze(-1) for s, x in levels.items()}
    valid = {s: (~x[:, :1].isnan()).float() for s, x in coarse.items()}
    return Encoded(
        stems=dict.fromkeys(coarse, torch.zeros(())),
        levels={s: [*[torch.zeros(())] * 3, x.nan_to_num()] for s, x in coarse.items()},
        valid={s: [torch.zeros(())] * 4 + [x] for s, x in valid.items()},
        size=(16, 16),
        batch=1,
    )


class TestMagic(NetworkTester):
    method = "magic"

    @torch.no_grad()
    def test_a_sensor_alone_is_what_is_fused_and_several_are_their_mean(self, network):
        images, _ = sample()
        encoded = network.encode(images, complete(images))
        for there in ([True, False, False], [False, True, True], [True, True, True]):
            fused, _ = network.fuse(encoded, shown(encoded, torch.tensor([there]), tuple(SENSORS)))
            for level, x in enumerate(fused):
                own = [found for found, is_there in zip(maps(encoded, level).values(), there, strict=True) if is_there]
                assert_close(x, torch.stack(own).mean(0))

    @torch.no_grad()
    def test_a_sensor_that_has_the_stem_and_the_image_of_another_is_taken_for_it(self, network):
        """Fusion knows no sensor by its place."""
        images, valid = sample(("eye", "relief"))
        first = network(images, valid).logits
        network.encoders.stems["echo"] = network.encoders.stems["eye"]
        images["echo"], valid["echo"] = images.pop("eye"), valid.pop("eye")
        assert_close(network(images, valid).logits, first)


def test_similarity_is_the_cosine_to_the_mean_of_what_is_valid():
    """Means (2/3, 2/3) in the first cell, of two sensors that are valid (0, 1/2) in the second."""
    encoded = encoded_as(
        a=[[[1.0, 0.0], [0.0, 0.5]]], b=[[[0.0, float("nan")], [1.0, float("nan")]]], c=[[[1.0, 0.0], [1.0, 0.5]]]
    )
    found = similarities(encoded, ("a", "b", "c", "d"))
    half = 0.5**0.5
    assert found.tolist() == [pytest.approx([(half + 1) / 2, half, 1, 0], abs=1e-6)]


def test_a_sensor_that_contradicts_all_others_is_the_least_similar():
    found = similarities(encoded_as(a=[[[3.0], [1.0]]], b=[[[2.0], [1.0]]], c=[[[-1.0], [0.0]]]), ("a", "b", "c"))[0]
    assert found.argmin() == 2 and found[2] < 0 < found[0]
