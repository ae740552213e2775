"""SGMA-style fusion: one encoder for all sensors, each weighed by how far it agrees with what the classes look like.

After L. Wen et al., "SGMA: semantic-guided modality-aware segmentation for remote sensing with incomplete multimodal data", 2026,
as its abstract and public notes on it tell. At each level every sensor is projected, a 1 x 1 filter finds the classes, and these
make one prototype for each class over all sensors and cells; the prototypes attend to the cells of all sensors; then each cell,
with what its classes look like, attends to its sensors, which fuses them and tells how robust each one is. Training shows single
sensors alone, by the inverse of their robustness.

Different here: each sensor has its own stem, since bands differ; attention has one head and goes by validity, cell by cell;
full-resolution features are weighed as level 1 is; robustness is that of level 4; the filter's classes are supervised at every
level; decoder and recipe are those of all fusion rivals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.layers import LEVELS, PixelNorm, doubled, weighed, widths
from dis2.models.prediction import Encoded, Images, Measured, Validity
from dis2.models.rivals.network import (
    EPSILON,
    FusionNetwork,
    SharedEncoders,
    averaged,
    maps,
    mean_where_valid,
    shares,
    side_by_side,
)
from dis2.models.slots import Shown

Maps = dict[str, Tensor]
"""By sensor."""


@dataclass
class Ranked(Encoded):
    """Encoded sensors, and how robust each of them is."""

    robustness: Tensor | None = None
    """its share in the fusion of all sensors, the mean over its valid cells of level 4: [B, N]"""


class SemanticFusion(nn.Module):
    """One level of all sensors, weighed by their agreement with the prototypes of the classes."""

    def __init__(self, sensors: tuple[str, ...], channels: int, classes: int):
        super().__init__()
        self.project = nn.ModuleDict({s: nn.Sequential(nn.Conv2d(channels, channels, 1), PixelNorm(channels)) for s in sensors})
        self.filter = nn.Linear(channels, classes)
        self.ask, self.tell = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.show = nn.Linear(channels, channels, bias=False)  # what all keys share, a softmax does not see
        self.query, self.value = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1, bias=False)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Maps, shares: Maps) -> tuple[Tensor, Tensor, Maps]:
        """The fused map [V B, C, h, w], its guess of the classes [V B, K, h, w] and each sensor's weight [V B, 1, h, w]."""
        projected = {sensor: self.project[sensor](x) for sensor, x in features.items()}
        known = {sensor: shares[sensor] for sensor in features}
        mean = averaged(projected, known)
        guess = self.filter(mean.movedim(1, -1)).movedim(-1, 1)
        expected = torch.einsum("bkhw,bkc->bchw", torch.softmax(guess, 1), self.semantics(projected, known))
        weights = self.robustness(self.query(mean + expected), projected, known)
        values = reduce(torch.add, [weighed(self.value(x), weights[sensor]) for sensor, x in projected.items()])
        return mean + expected + self.leave(values), guess, weights

    def semantics(self, projected: Maps, shares: Maps) -> Tensor:
        """Each class's prototype, with what it finds where it attends to the cells of all sensors: [V B, K, C]."""
        cells = torch.stack([x.flatten(2).transpose(1, 2) for x in projected.values()], 1).flatten(1, 2)  # [B, N h w, C]
        there = torch.stack([share.flatten(1) for share in shares.values()], 1).flatten(1)
        there = there.view(-1, *cells.shape[:2], 1)  # [V, B, N h w, 1]
        prototypes = prototypes_of(torch.softmax(self.filter(cells), -1), cells, there)
        scores = torch.einsum("vbkc,bpc->vbpk", self.ask(prototypes), self.show(cells)) / cells.shape[-1] ** 0.5
        found = torch.einsum("vbpk,bpc->vbkc", shared_out(scores, there, 2), self.tell(cells))
        return (prototypes + found).flatten(0, 1)

    def robustness(self, asked: Tensor, projected: Maps, shares: Maps) -> Maps:
        """How much each sensor has of each cell, by what the cell asks for [V B, C, h, w]: 1 in all, where anything is valid."""
        views = asked.unflatten(0, (-1, len(next(iter(projected.values())))))  # [V, B, C, h, w]
        scores = [(views * self.key(x)).sum(2).flatten(0, 1) / asked.shape[1] ** 0.5 for x in projected.values()]
        there = torch.cat(list(shares.values()), 1)  # [V B, N, h, w]
        return dict(zip(projected, shared_out(torch.stack(scores, 1), there, 1).split(1, 1), strict=True))


class Network(FusionNetwork):
    """Every level fused by agreement with its prototypes; full resolution by that of level 1."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings, SharedEncoders(sensors, settings.width))
        self.fusion = nn.ModuleList([SemanticFusion(self.sensors, c, classes) for c in widths(settings.width)])

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        encoded = super().encode(images, valid, measured)
        return Ranked(**vars(encoded), robustness=self._robustness(encoded)) if self.training else encoded

    @torch.no_grad()
    def _robustness(self, encoded: Encoded) -> Tensor:
        coarsest: Any = self.fusion[-1]
        valid = {sensor: levels[LEVELS] for sensor, levels in encoded.valid.items()}
        _, _, weights = coarsest(maps(encoded, LEVELS), valid)
        return side_by_side({s: mean_where_valid(x, valid[s]).squeeze(1) for s, x in weights.items()}, self.sensors)

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        found = [fuse(maps(encoded, level), shares(seen, level)) for level, fuse in enumerate(self.fusion, 1)]
        fused, guesses, weights = zip(*found, strict=True)
        edges = {sensor: doubled(weight) * seen.shares[sensor][0] for sensor, weight in weights[0].items()}
        return [averaged(encoded.stems, edges), *fused], list(reversed(guesses))


def prototypes_of(belief: Tensor, cells: Tensor, there: Tensor) -> Tensor:
    """The mean of what each class is believed to have [B, P, K] of cells [B, P, C], of those there [V, B, P, 1]: [V, B, K, C]."""
    seen = there * belief  # [V, B, P, K]
    return torch.einsum("vbpk,bpc->vbkc", seen, cells) / seen.sum(2).unsqueeze(-1).clamp_min(EPSILON)


def shared_out(scores: Tensor, there: Tensor, dim: int) -> Tensor:
    """The softmax of scores along a dimension among what is there, in proportion to it; 0 where nothing is."""
    top = scores.masked_fill(there == 0, -torch.inf).amax(dim, keepdim=True).detach().nan_to_num(neginf=0.0)
    weights = there * torch.exp((scores - top).clamp_max(0))
    return weights / weights.sum(dim, keepdim=True).clamp_min(EPSILON)
