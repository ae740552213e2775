"""SGMA-style fusion: one encoder for all sensors, each weighed by how well it agrees with what the classes look like.

After L. Wen et al., "SGMA: semantic-guided modality-aware segmentation for remote sensing with incomplete multimodal data", 2026.
At each level a first guess of the classes makes one prototype for each, and every sensor is weighed, cell by cell, by its
agreement with the prototypes that are expected there; the same agreement tells which sensors are fragile, and training shows
these alone more often.

Different here: each sensor has its own stem, since bands differ; prototypes are plain means of the sensors' mean over the guessed
classes, and how sharply agreement weighs is our choice; full-resolution features are weighed as level 1 is; decoder and recipe
are those of all fusion rivals, to whose deep supervision the guesses are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.losses import weighed_mean
from dis2.models.layers import LEVELS, doubled, joined, widths
from dis2.models.prediction import Encoded, Images, Measured, Validity
from dis2.models.rivals.network import EPSILON, FusionNetwork, SharedEncoders, averaged, maps, shares, side_by_side
from dis2.models.slots import Shown

SHARPNESS = 4.0
"""A sensor that agrees fully weighs e^4 times one that has nothing in common."""

Maps = dict[str, Tensor]
"""By sensor."""


@dataclass
class Ranked(Encoded):
    """Encoded sensors, and how robust each of them is."""

    robustness: Tensor | None = None
    """agreement with all sensors' prototypes, the mean over valid cells of level 4: [B, N]"""


class SemanticFusion(nn.Module):
    """One level of all sensors, weighed by their agreement with the prototypes of the classes."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.guess = nn.Conv2d(channels, classes, 1)
        self.join = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Maps, shares: Maps) -> tuple[Tensor, Tensor, Maps]:
        """The fused map [V B, C, h, w], the guess [V B, K, h, w] and what each sensor weighs [V B, 1, h, w]."""
        guess, expected = self.expected(features, shares)
        weights = {s: shares[s] * torch.exp(SHARPNESS * (agreement(x, expected) - 1)) for s, x in features.items()}
        return self.join(joined([averaged(features, weights), expected])), guess, weights

    def expected(self, features: Maps, shares: Maps) -> tuple[Tensor, Tensor]:
        """The guess from the sensors' mean [V B, K, h, w], and the prototypes where it has the classes [V B, C, h, w]."""
        mean = averaged(features, shares)
        guess = self.guess(mean)
        belief = torch.softmax(guess, 1)  # [V B, K, h, w]
        seen = belief * torch.stack([shares[sensor] for sensor in features]).amax(0)
        total = seen.sum((2, 3)).clamp_min(EPSILON).unsqueeze(-1)
        prototypes = torch.einsum("bkhw,bchw->bkc", seen, mean) / total  # [V B, K, C]
        return guess, torch.einsum("bkhw,bkc->bchw", belief, prototypes)


class Network(FusionNetwork):
    """Every level fused by agreement with its prototypes; full resolution by that of level 1."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings, SharedEncoders(sensors, settings.width))
        self.fusion = nn.ModuleList([SemanticFusion(c, classes) for c in widths(settings.width)])

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        encoded = super().encode(images, valid, measured)
        return Ranked(**vars(encoded), robustness=self._robustness(encoded)) if self.training else encoded

    @torch.no_grad()
    def _robustness(self, encoded: Encoded) -> Tensor:
        coarse, valid = maps(encoded, LEVELS), {sensor: levels[LEVELS] for sensor, levels in encoded.valid.items()}
        coarsest: Any = self.fusion[-1]
        _, expected = coarsest.expected(coarse, valid)
        agrees = {sensor: weighed_mean(agreement(x, expected), valid[sensor]) for sensor, x in coarse.items()}
        return side_by_side(agrees, self.sensors)

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        found = [fuse(maps(encoded, level), shares(seen, level)) for level, fuse in enumerate(self.fusion, 1)]
        fused, guesses, weights = zip(*found, strict=True)
        edges = {sensor: doubled(weight) * seen.shares[sensor][0] for sensor, weight in weights[0].items()}
        return [averaged(encoded.stems, edges), *fused], list(reversed(guesses))


def agreement(features: Tensor, expected: Tensor) -> Tensor:
    """The cosine between what a sensor shows [B, C, h, w] and what is expected of every view: [V B, 1, h, w]."""
    views = expected.unflatten(0, (-1, len(features)))  # [V, B, C, h, w]
    return F.cosine_similarity(features, views, dim=2).flatten(0, 1).unsqueeze(1)
