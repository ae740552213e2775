"""A sensor's place in the fusion: observed where it is valid, compensated where it is not, with how sure that is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.models.layers import LEVELS, fold, widths
from dis2.models.prediction import Encoded, Slot


class Slots(nn.Module):
    """The slots of all sensors: `v E + (1 - v) c`, embeddings of the sensor and of its state, and the certainty as a channel."""

    def __init__(self, sensors: tuple[str, ...], width: int, states: bool):
        super().__init__()
        self.sensors = sensors
        channels = widths(width)
        self.stem_channels = width // 2
        self.nothing = nn.ParameterList([torch.zeros(len(sensors), c) for c in channels])
        self.sensor = nn.ParameterList([0.02 * torch.randn(len(sensors), c) for c in channels])
        self.state = nn.ParameterList([torch.zeros(len(sensors), c) for c in channels]) if states else None

    def forward(
        self, encoded: Encoded, available: Tensor, compensated: dict[str, list[Slot]]
    ) -> tuple[Tensor, list[list[Tensor]], Tensor]:
        """Stems [V B, N w / 2, H, W], slots [V B, C + 1, h, w] by level and sensor, validity [V B, N, h, w] at level 4."""
        views = len(available) // encoded.batch
        shares = [validity(encoded, available, self.sensors, level) for level in range(LEVELS + 1)]
        stems = [self._stem(encoded, sensor, shares[0][i], views) for i, sensor in enumerate(self.sensors)]
        levels = [
            [
                self._slot(encoded, sensor, level, shares[level + 1][i], compensated, views)
                for i, sensor in enumerate(self.sensors)
            ]
            for level in range(LEVELS)
        ]
        return torch.cat(stems, 1), levels, torch.cat(shares[-1], 1)

    def _stem(self, encoded: Encoded, sensor: str, v: Tensor, views: int) -> Tensor:
        if sensor not in encoded.stems:
            return v.expand(-1, self.stem_channels, -1, -1)
        return v * fold(encoded.stems[sensor], views)

    def _slot(
        self, encoded: Encoded, sensor: str, level: int, v: Tensor, compensated: dict[str, list[Slot]], views: int
    ) -> Tensor:
        index = self.sensors.index(sensor)
        nothing = self.nothing[level][index].view(1, -1, 1, 1)
        certainty = v
        if sensor in compensated:
            slot = compensated[sensor][level]
            precision = torch.exp(-slot.log_variance)
            trust = precision / (1 + precision)
            filling = trust * slot.features + (1 - trust) * nothing
            certainty = v + (1 - v) * trust
        else:
            filling = nothing
        x = (1 - v) * filling
        if sensor in encoded.levels:
            x = x + v * fold(encoded.levels[sensor][level], views)
        x = x + self.sensor[level][index].view(1, -1, 1, 1)
        if self.state is not None:
            x = x + (1 - v) * self.state[level][index].view(1, -1, 1, 1)
        return torch.cat([x, certainty], 1)  # [V B, C + 1, h, w]


def validity(encoded: Encoded, available: Tensor, sensors: tuple[str, ...], level: int) -> list[Tensor]:
    """Each sensor's share of valid pixels at a level, nothing where it is unavailable: [V B, 1, h, w]."""
    views = len(available) // encoded.batch
    shape = next(iter(encoded.valid.values()))[level]
    absent = shape.new_zeros((len(available), 1, *shape.shape[-2:]))
    return [
        fold(encoded.valid[sensor][level], views) * available[:, i].view(-1, 1, 1, 1).to(shape.dtype)
        if sensor in encoded.valid
        else absent
        for i, sensor in enumerate(sensors)
    ]
