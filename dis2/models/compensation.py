"""What each sensor can tell about the others, and how sure it is: the features that fill the slots of missing sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import LEVELS, NormReLU, doubled, weighed, widths
from dis2.models.prediction import Encoded, Offers, Slot
from dis2.models.slots import Shown

EPSILON = 1e-4
LOG_VARIANCE = 6.0
"""Certainties are kept within e^-6 and e^6."""


class Compensation(nn.Module):
    """One per sensor: a trunk over its features that runs once, coarse levels guiding fine ones; FiLM turns it to a target."""

    def __init__(self, channels: Sequence[int], embedding: int):
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for c in channels])
        self.above = nn.ModuleList([nn.Conv2d(2 * c, c, 1) for c in channels[:-1]])
        self.norm = nn.ModuleList([NormReLU(c) for c in channels])
        self.film = nn.ModuleList([nn.Linear(embedding, 2 * c) for c in channels])

    def trunk(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Each level with the context of the coarser ones: [B, C, h, w]."""
        found: list[Tensor] = []
        for level in reversed(range(len(levels))):
            x = self.lateral[level](levels[level])
            if found:
                x = x + doubled(self.above[level](found[0]))
            found.insert(0, self.norm[level](x))
        return found

    def towards(self, x: Tensor, target: Tensor, level: int) -> Tensor:
        """The trunk's level as one target asks for it: [B, C, h, w]."""
        scale, shift = self.film[level](target).view(2, 1, -1, 1, 1)
        return F.relu(x * (1 + scale) + shift, inplace=True)


class Compensations(nn.Module):
    """All sensors' offers for all slots. Heads belong to the target, so parameters grow with N and not with its square."""

    def __init__(self, sensors: tuple[str, ...], width: int, levels: int = LEVELS, certainty: bool = True, embedding: int = 16):
        super().__init__()
        told = 1 if certainty else 0
        self.channels = widths(width)[-levels:]
        self.offering = nn.ModuleDict({sensor: Compensation(self.channels, embedding) for sensor in sensors})
        self.target = nn.ParameterDict({sensor: nn.Parameter(torch.randn(embedding)) for sensor in sensors})
        self.heads = nn.ModuleDict({s: nn.ModuleList([nn.Conv2d(c, c + told, 1) for c in self.channels]) for s in sensors})

    def offers(self, encoded: Encoded, seen: Shown) -> Offers:
        """What each sensor that is shown offers for each other one that is not shown whole.

        Made once, however many availabilities are decoded.
        """
        made, targets = encoded.offers, [target for target in self.heads if target not in seen.whole]
        for source in seen.there:
            wanted = [target for target in targets if target != source and source not in made.get(target, {})]
            if wanted:
                offering: Any = self.offering[source]
                trunk = offering.trunk(encoded.levels[source][-len(self.channels) :])
                for target in wanted:
                    slots = [self._offer(offering, target, x, level) for level, x in enumerate(trunk)]
                    made.setdefault(target, {})[source] = slots
        return {target: {s: slots for s, slots in made.get(target, {}).items() if s in seen.there} for target in targets}

    def _offer(self, offering: Compensation, target: str, x: Tensor, level: int) -> Slot:
        heads: Any = self.heads[target]
        found = heads[level](offering.towards(x, self.target[target], level))  # [B, C + 1, h, w], or C where all are as sure
        features, told = found[:, : x.shape[1]], found[:, x.shape[1] :]
        return Slot(features, LOG_VARIANCE * torch.tanh(told / LOG_VARIANCE) if told.shape[1] else torch.zeros_like(found[:, :1]))

    def forward(self, offers: Offers, seen: Shown) -> dict[str, list[Slot]]:
        """Slots filled by what the sensors that are shown offer, each weighted by its certainty."""
        count = len(self.channels)
        shares = [{sensor: levels[level - count] for sensor, levels in seen.shares.items()} for level in range(count)]
        return {
            target: [
                _mean({s: slots[level] for s, slots in sources.items()}, shares[level], c)
                for level, c in enumerate(self.channels)
            ]
            for target, sources in offers.items()
        }


def _mean(offers: Mapping[str, Slot], shares: Mapping[str, Tensor], channels: int) -> Slot:
    """The offers' mean by precision, and the precision of all together: [V B, C, h, w] and [V B, 1, h, w].

    No offer at all is the same as offers of no weight, so that a sample does not depend on what its batch has.
    """
    nothing = torch.zeros_like(next(iter(shares.values())))
    weights = {source: weighed(torch.exp(-slot.log_variance), shares[source]) for source, slot in offers.items()}
    total = EPSILON + sum(weights.values(), nothing)
    parts = [weighed(slot.features, weights[source] / total) for source, slot in offers.items()]
    mean = reduce(torch.add, parts) if parts else nothing
    return Slot(mean.expand(-1, channels, -1, -1), -torch.log(total))
