"""What each sensor can tell about the others, and how sure it is: the features that fill the slots of missing sensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import LEVELS, PixelNorm, fold, up, widths
from dis2.models.prediction import Encoded, Offers, Slot
from dis2.models.slots import validity

EPSILON = 1e-4
LOG_VARIANCE = 6.0
"""Certainties are kept within e^-6 and e^6."""


class Compensation(nn.Module):
    """One per sensor: a trunk over its features that runs once, coarse levels guiding fine ones; FiLM turns it to a target."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        channels = widths(width)
        self.lateral = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for c in channels])
        self.above = nn.ModuleList([nn.Conv2d(2 * c, c, 1) for c in channels[:-1]])
        self.norm = nn.ModuleList([PixelNorm(c) for c in channels])
        self.film = nn.ModuleList([nn.Linear(embedding, 2 * c) for c in channels])

    def trunk(self, levels: list[Tensor]) -> list[Tensor]:
        """Levels 1 to 4 with the context of the coarser ones: [B, C, h, w]."""
        found: list[Tensor] = []
        for level in reversed(range(LEVELS)):
            x = self.lateral[level](levels[level])
            if found:
                x = x + up(self.above[level](found[0]), x)
            found.insert(0, F.relu(self.norm[level](x)))
        return found

    def towards(self, x: Tensor, target: Tensor, level: int) -> Tensor:
        """The trunk's level as one target asks for it: [B, C, h, w]."""
        scale, shift = self.film[level](target).chunk(2)
        return F.relu(x * (1 + scale.view(1, -1, 1, 1)) + shift.view(1, -1, 1, 1))


class Compensations(nn.Module):
    """All sensors' offers for all slots. Heads belong to the target, so parameters grow with N and not with its square."""

    def __init__(self, sensors: tuple[str, ...], width: int, embedding: int = 16):
        super().__init__()
        self.sensors, self.channels = sensors, widths(width)
        self.offering = nn.ModuleDict({sensor: Compensation(width, embedding) for sensor in sensors})
        self.target = nn.ParameterDict({sensor: nn.Parameter(torch.randn(embedding)) for sensor in sensors})
        self.heads = nn.ModuleDict({s: nn.ModuleList([nn.Conv2d(c, c + 1, 1) for c in widths(width)]) for s in sensors})

    def offers(self, encoded: Encoded, targets: list[str]) -> Offers:
        """What each sensor that is there offers for each other target: made once, however many availabilities are decoded."""
        made = encoded.offers
        for source, levels in encoded.levels.items():
            wanted = [target for target in targets if target != source and source not in made.get(target, {})]
            if wanted:
                offering: Any = self.offering[source]
                trunk = offering.trunk(levels)
                for target in wanted:
                    slots = [self._offer(offering, target, x, level) for level, x in enumerate(trunk)]
                    made.setdefault(target, {})[source] = slots
        return {target: made.get(target, {}) for target in targets}

    def _offer(self, offering: Compensation, target: str, x: Tensor, level: int) -> Slot:
        heads: Any = self.heads[target]
        features, certainty = heads[level](offering.towards(x, self.target[target], level)).split([x.shape[1], 1], 1)
        return Slot(features, LOG_VARIANCE * torch.tanh(certainty / LOG_VARIANCE))

    def forward(self, encoded: Encoded, available: Tensor, offers: Offers) -> dict[str, list[Slot]]:
        """Slots filled by what the valid sensors offer, each weighted by its certainty."""
        views = len(available) // encoded.batch
        shares = [
            dict(zip(self.sensors, validity(encoded, available, self.sensors, level + 1), strict=True)) for level in range(LEVELS)
        ]
        return {
            target: [
                _weighed({s: slots[level] for s, slots in sources.items()}, shares[level], views, self.channels[level])
                for level in range(LEVELS)
            ]
            for target, sources in offers.items()
        }


def _weighed(offers: dict[str, Slot], shares: dict[str, Tensor], views: int, channels: int) -> Slot:
    """The offers' mean by precision, and the precision of all together: [V B, C, h, w] and [V B, 1, h, w].

    No offer at all is the same as offers of no weight, so that a sample does not depend on what its batch has.
    """
    nothing = torch.zeros_like(next(iter(shares.values())))
    weights = {source: shares[source] * torch.exp(-fold(slot.log_variance, views)) for source, slot in offers.items()}
    total = EPSILON + sum(weights.values(), nothing)
    mean = sum((weights[source] * fold(slot.features, views) for source, slot in offers.items()), nothing) / total
    return Slot(mean.expand(-1, channels, -1, -1), -torch.log(total))
