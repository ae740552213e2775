"""A sensor's place in the fusion: observed where it is valid, compensated where it is not, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dis2.models.layers import LEVELS, fold, weighed, widths
from dis2.models.prediction import Encoded, Slot


@dataclass(frozen=True)
class Shown:
    """What decoding sees of an encoded batch: V availabilities of it, folded into the batch."""

    views: int
    shares: dict[str, list[Tensor]]
    """of every sensor, what is valid and available at levels 0 to 4: [V B, 1, h, w]"""
    there: tuple[str, ...]
    """the sensors that some sample shows"""
    whole: frozenset[str]
    """those that every sample shows everywhere"""
    hiding: dict[str, Tensor]
    """1 where a sample shows one of them, 0 where it does not, unless all do: [V B, 1, 1, 1]"""


def shown(encoded: Encoded, available: Tensor | None, sensors: tuple[str, ...]) -> Shown:
    """The batch as if only some sensors were there: available [V B, N], or as it is."""
    like = next(iter(encoded.valid.values()))
    if available is None:
        available = torch.ones(encoded.batch, len(sensors), dtype=torch.bool, device=like[0].device)
        some = every = [True] * len(sensors)
    else:
        some, every = torch.stack([available.any(0), available.all(0)]).tolist()
    views = len(available) // encoded.batch
    columns = dict(zip(sensors, available.to(like[0].dtype).view(-1, len(sensors), 1, 1, 1).unbind(1), strict=True))
    there = tuple(sensor for sensor, any_of in zip(sensors, some, strict=True) if any_of and sensor in encoded.valid)
    hiding = {sensor: columns[sensor] for sensor, all_of in zip(sensors, every, strict=True) if sensor in there and not all_of}
    return Shown(
        views=views,
        shares={s: [fold(x, views) * column * (s in there) for x in encoded.valid.get(s, like)] for s, column in columns.items()},
        there=there,
        whole=encoded.complete & set(there) - hiding.keys(),
        hiding=hiding,
    )


class Slots(nn.Module):
    """The slots of all sensors: `v E + (1 - v) c`, embeddings of the sensor and of its state, and the certainty beside it."""

    def __init__(self, sensors: tuple[str, ...], width: int, states: bool, levels: int = LEVELS):
        super().__init__()
        self.sensors, self.levels = sensors, levels
        channels = widths(width)[-levels:]
        self.nothing = nn.ParameterList([torch.zeros(len(sensors), c) for c in channels])
        self.sensor = nn.ParameterList([0.02 * torch.randn(len(sensors), c) for c in channels])
        self.state = nn.ParameterList([torch.zeros(len(sensors), c) for c in channels]) if states else None

    def forward(self, encoded: Encoded, seen: Shown, compensated: dict[str, list[Slot]]) -> list[list[tuple[Tensor, Tensor]]]:
        """By level and sensor: features [V B, C, h, w] and certainty [V B, 1, h, w]."""
        return [[self._slot(encoded, seen, sensor, i, compensated) for sensor in self.sensors] for i in range(self.levels)]

    def _slot(
        self, encoded: Encoded, seen: Shown, sensor: str, fused: int, compensated: dict[str, list[Slot]]
    ) -> tuple[Tensor, Tensor]:
        """What is shown whole is only observed, what is not shown at all is only filled."""
        level, index = fused - self.levels, self.sensors.index(sensor)  # levels count from the coarsest one
        share, embedding = seen.shares[sensor][level], self.sensor[fused][index].view(1, -1, 1, 1)
        if sensor in seen.whole:
            return fold(encoded.levels[sensor][level], seen.views) + embedding, share
        filling, trust = self._filling(fused, index, share, compensated.get(sensor))
        if sensor not in seen.there:
            return filling + embedding, trust
        x = weighed(encoded.levels[sensor][level], share) + (1 - share) * filling + embedding
        return x, share + (1 - share) * trust

    def _filling(self, fused: int, index: int, share: Tensor, compensated: list[Slot] | None) -> tuple[Tensor, Tensor]:
        """What stands where nothing is observed [V B, C, h, w], and how far it is trusted [V B, 1, h, w]."""
        nothing = self.nothing[fused][index].view(1, -1, 1, 1)
        missing = nothing if self.state is None else nothing + self.state[fused][index].view(1, -1, 1, 1)
        if compensated is None:
            return missing.expand(len(share), -1, *share.shape[-2:]), torch.zeros_like(share)
        slot = compensated[fused]
        trust = torch.sigmoid(-slot.log_variance)
        return trust * (slot.features - nothing) + missing, trust
